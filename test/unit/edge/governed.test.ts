/** A visit: what an identity is refused by its rules, and whose lease ids are good in its hands. */
import { describe, expect, test } from 'vitest';
import { anybody, type Rule, sealFor } from '../../../src/domain/access.ts';
import { leaseValueIn } from '../../../src/domain/lease.ts';
import { refuse } from '../../../src/domain/refusals.ts';
import { CALLER } from '../../../src/edge/access/identity-of.ts';
import type { Visit } from '../../../src/edge/access/visit.ts';
import type { Granted } from '../../../src/locks/locks.ts';
import { asking, stays } from '../../harness/asking.ts';
import { holder } from './fake-locks.ts';
import { ALL, denied, GovernedScene, leaseOf, quiet } from './governed-scene.ts';

test('nobody in particular pays for none of it, and is audited where acts are kept', async () => {
  const open = new GovernedScene(false);
  const [one, other] = [open.visits.of(open.call(anybody)), open.visits.of(open.call(anybody))];
  expect(one).toBe(other);
  expect([one.principal, one.seal]).toEqual(['', '']);
  await one.locks.acquire(asking({ owner: '~acme/w1' }), stays);
  expect(open.locks.acquires).toHaveLength(1);
  expect(open.acts).toEqual([]);
  const kept = new GovernedScene();
  const visit = kept.visits.of(kept.call(anybody));
  await visit.locks.acquire(asking({ owner: '~acme/w1' }), stays);
  expect(kept.acts).toMatchObject([
    { action: 'acquire', outcome: 'granted', identity: '', peer: '10.0.0.1:5', owner: '~acme/w1' },
  ]);
});

describe('rules', () => {
  const none: readonly Rule[] = [{ prefixes: ['other/'], verbs: ['acquire', 'inspect', 'force_release'] }];

  test.each<[string, string, (visit: Visit) => Promise<unknown>]>([
    ['acquire', 'acquire', ({ locks }) => locks.acquire(asking(), stays)],
    ['acquire', 'acquire', ({ locks }) => locks.hold(asking({ resources: ['other/1', 'r'] }), stays, quiet)],
    ['inspect', 'inspect', ({ locks }) => locks.inspect('r', 0)],
    ['list', 'inspect', ({ locks }) => locks.list({ prefix: '', owner: '', pageSize: 1, after: '' })],
    ['check_token', 'inspect', ({ locks }) => locks.checkToken('r', 1n)],
    [
      'history',
      'inspect',
      ({ locks }) => locks.history({ resource: 'r', owner: '', prefixes: [], pageSize: 1, after: '' }),
    ],
    [
      'force_release',
      'force_release',
      ({ locks }) => locks.forceRelease({ resource: 'r', leaseRef: '', reason: 'hangs' }),
    ],
  ])(
    '%s without the verb is refused before the locks hear of it, counted and told',
    async (action, verb, ask) => {
      const scene = new GovernedScene();
      expect(await ask(scene.visit({}, none))).toMatchObject(denied(verb));
      expect(scene.counted).toEqual([`${action} refused DENIED`, `denied ${verb}`]);
      expect(scene.acts).toMatchObject([
        { action, outcome: 'DENIED', identity: 'ann', tenant: '', peer: '10.0.0.1:5' },
      ]);
      expect(scene.locks.acquires.length + scene.locks.holds.length).toBe(0);
      const allowed = await ask(scene.visit());
      expect(allowed).not.toMatchObject({ kind: 'refusal' });
    },
  );

  test('that went do not trap a lease: it is renewed and released, but not resumed', async () => {
    const scene = new GovernedScene();
    const lease = await leaseOf(scene.visit());
    const visit = scene.visit({}, none);
    expect(await visit.locks.heartbeat({ lease, progress: '' })).toMatchObject({ kind: 'renewed' });
    expect(await visit.locks.resume(lease, quiet)).toMatchObject(denied('acquire'));
    expect(await visit.locks.release({ lease, reason: '' })).toMatchObject({ released: true });
  });

  test('that change while a stream stands count from then on', async () => {
    const scene = new GovernedScene();
    const call = scene.call({ name: 'ann', tenant: '', rules: ALL, quota: {} });
    const visit = scene.visits.of(call);
    expect(await visit.locks.acquire(asking(), stays)).toMatchObject({ kind: 'lease' });
    call.call[CALLER].identity = { name: 'ann', tenant: '', rules: none, quota: {} };
    expect(await visit.locks.acquire(asking(), stays)).toMatchObject(denied('acquire'));
  });

  test('about an owner become prefixes for those who look it up', async () => {
    const scene = new GovernedScene();
    let asked: readonly string[] = [];
    scene.locks.history = async ({ prefixes }) => {
      asked = prefixes;
      return { kind: 'past', events: [], gaps: [], next: '' };
    };
    const ask = { resource: '', owner: 'w1', prefixes: [], pageSize: 1, after: '' };
    await scene.visit({}, none).locks.history(ask);
    expect(asked).toEqual(['other/']);
    await scene.visit({}, none, 'acme').locks.history(ask);
    expect(asked).toEqual(['~acme/other/']);
    await scene.visit({}, ALL, 'acme').locks.history(ask);
    expect(asked).toEqual(['~acme/']);
  });

  test('let everybody end what is their own, and nothing else', async () => {
    const scene = new GovernedScene();
    const visit = scene.visit({}, [{ prefixes: [], verbs: ['acquire'] }]);
    const ask = { resource: 'gpu/0', leaseRef: holder.leaseRef, reason: 'stuck' };
    const inspection = await scene.locks.inspect('gpu/0', 0);
    const holds = (principal?: string) => {
      const one = principal === undefined ? holder : { ...holder, principal };
      scene.locks.inspect = async () => ({ ...inspection, holders: [one] }) as never;
    };
    for (const principal of [undefined, 'bob', '']) {
      holds(principal);
      expect(await visit.locks.forceRelease(ask)).toMatchObject(denied('force_release'));
    }
    holds('ann');
    expect(await visit.locks.forceRelease({ ...ask, leaseRef: '' })).toMatchObject(denied('force_release'));
    expect(await visit.locks.forceRelease({ ...ask, leaseRef: 'x'.repeat(16) })).toMatchObject(
      denied('force_release'),
    );
    expect(await visit.locks.forceRelease(ask)).toMatchObject({ kind: 'forced' });
    scene.locks.inspect = async () => refuse('UNKNOWN_RESOURCE', 'never seen');
    expect(await visit.locks.forceRelease(ask)).toMatchObject(denied('force_release'));
  });

  test('keep owners that read as a tenant’s from whoever is of none', async () => {
    const scene = new GovernedScene();
    expect(await scene.visit().locks.acquire(asking({ owner: '~acme/w1' }), stays)).toMatchObject({
      reason: 'INVALID_FIELD',
      fields: [{ field: 'owner' }],
    });
    expect(await scene.visit().locks.acquire(asking({ owner: '~acme' }), stays)).toMatchObject({
      kind: 'lease',
    });
  });

  test('keep administration from tenants', () => {
    const scene = new GovernedScene();
    const admin: readonly Rule[] = [{ prefixes: [], verbs: ['admin'] }];
    expect(scene.visit({}, admin).mayAdmin('Reload')).toBeUndefined();
    expect(scene.visit({}, admin, 'acme').mayAdmin('Reload')).toMatchObject(denied('admin'));
    expect(scene.visit().mayAdmin('SetLogLevel')).toMatchObject(denied('admin'));
    expect(scene.told).toEqual(['reload DENIED', 'set_log_level DENIED']);
  });
});

describe('lease ids', () => {
  test('are sealed on their way in, whoever brings them', async () => {
    const scene = new GovernedScene();
    const lease = await leaseOf(scene.visit());
    const bob = scene.visits.of(scene.call({ name: 'bob', tenant: '', rules: ALL, quota: {} }));
    await scene.visit().locks.release({ lease, reason: '' });
    await bob.locks.release({ lease, reason: '' });
    const [own, other] = scene.locks.releases.map((ask) => ask.lease.value.split('|')[0]!);
    expect(own).toBe(lease.secret + sealFor({ ...anybody, name: 'ann' }));
    expect(other).toBe(lease.secret + sealFor({ ...anybody, name: 'bob' }));
    expect(scene.visit().seal).toBe(sealFor({ ...anybody, name: 'ann' }));
  });

  test('that a stream keeps are named as their client names them', async () => {
    const scene = new GovernedScene();
    scene.locks.onHold = async (ask, caller, news) => {
      const kept = scene.locks.keep(scene.locks.grant(ask), news);
      const name = kept.name;
      const sealed = { ...name, secret: name.secret + caller.seal, value: `${name.secret}${caller.seal}|1` };
      return { ...kept, kind: 'granted', lease: kept.lease, kept: { name: sealed, end: () => {} } };
    };
    const visit = scene.visit();
    const caller = { ...stays, seal: visit.seal };
    const answer = (await visit.locks.hold(asking(), caller, quiet)) as Granted;
    expect(answer.kept.name.value).toBe(leaseValueIn(answer.lease.leaseId));
  });
});
