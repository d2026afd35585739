/** A visit: what is told of it to whoever keeps acts. */
import { describe, expect, test } from 'vitest';
import { anybody } from '../../../src/domain/access.ts';
import type { LeaseName } from '../../../src/domain/lease.ts';
import { invalidField, refuse } from '../../../src/domain/refusals.ts';
import type { Visit } from '../../../src/edge/access/visit.ts';
import { asking, callerWho, stays } from '../../harness/asking.ts';
import { busy } from './fake-locks.ts';
import { ALL, GovernedScene, leaseOf, quiet } from './governed-scene.ts';
import { turn } from './stream-scene.ts';

describe('the audit', () => {
  test('has each change with who, what and why, and no read that was allowed', async () => {
    const scene = new GovernedScene();
    const visit = scene.visit({}, ALL, 'acme');
    const lease = await leaseOf(visit, { resources: ['gpu/0'] });
    await visit.locks.heartbeat({ lease, progress: '' });
    await visit.locks.inspect('gpu/0', 0);
    await visit.locks.list({ prefix: '', owner: '', pageSize: 1, after: '' });
    await visit.locks.release({ lease, reason: 'done' });
    scene.locks.release = async () => ({ kind: 'released', released: false });
    await visit.locks.release({ lease, reason: 'again' });
    await visit.locks.forceRelease({ resource: 'gpu/0', leaseRef: '', reason: 'hangs' });
    await turn();
    expect(scene.told).toEqual([
      'acquire granted',
      'release released',
      'release not_held',
      'force_release forced',
    ]);
    const common = { identity: 'ann', tenant: 'acme', peer: '10.0.0.1:5', resources: ['gpu/0'] };
    for (const act of scene.acts) expect(act).toMatchObject(common);
    expect(scene.acts[0]).toMatchObject({ owner: 'w1', leaseRef: 'abcdefghijklmnop' });
    expect(scene.acts[1]).toMatchObject({ why: 'done', leaseRef: expect.stringMatching(/^[\w-]{16}$/) });
    const { why, detail } = scene.acts[3]!;
    expect(why).toBe('hangs');
    expect(detail).toMatch(/^freed gpu\/0 by w2 \(abcdefghijklmnop, token 5\); now held: gpu\/0 by w2/);
    expect(JSON.stringify(scene.acts.map((act) => ({ ...act })))).not.toContain(lease.secret);
  });

  test('leaves out who was merely busy, and who went before it was answered', async () => {
    const scene = new GovernedScene();
    const visit = scene.visit();
    scene.locks.onAcquire = async () => busy;
    await visit.locks.acquire(asking(), stays);
    scene.locks.onAcquire = async () => refuse('INTERNAL', 'the caller went');
    await visit.locks.acquire(
      asking(),
      callerWho(() => true),
    );
    expect(scene.told).toEqual([]);
    scene.locks.onAcquire = async () => refuse('DEADLOCK', 'a cycle');
    await visit.locks.acquire(asking(), stays);
    expect(scene.told).toEqual(['acquire DEADLOCK']);
  });

  test('has the end of a stream that releases, and none of one that does not', async () => {
    const scene = new GovernedScene();
    const visit = scene.visit();
    for (const how of ['drained', 'silent', 'closed'] as const) {
      const answer = await visit.locks.hold(asking(), stays, quiet);
      if (answer.kind === 'granted') answer.kept.end(how, 0);
    }
    expect(scene.told.filter((line) => line !== 'acquire granted')).toEqual(['release released']);
    expect(scene.acts.at(-1)).toMatchObject({ why: 'stream closed', owner: 'w1', resources: ['r'] });
  });

  test.each<[string, (visit: Visit, lease: LeaseName) => Promise<unknown>]>([
    ['release not_held', ({ locks }, lease) => locks.release({ lease, reason: '' })],
    ['heartbeat LEASE_LOST', ({ locks }, lease) => locks.heartbeat({ lease, progress: '' })],
    ['resume LEASE_LOST', ({ locks }, lease) => locks.resume(lease, quiet)],
    ['acquire DEADLOCK', ({ locks }) => locks.acquire(asking(), stays)],
    ['check_token UNKNOWN_RESOURCE', ({ locks }) => locks.checkToken('r', 1n)],
    ['inspect INVALID_FIELD', async (visit) => visit.turnedAway('inspect', invalidField('resource', 'no'))],
  ])('is not filled by what changes nothing: %s', async (told, act) => {
    const scene = new GovernedScene();
    const visits = { ann: scene.visit(), nobody: scene.visits.of(scene.call(anybody)) };
    const lease = await leaseOf(visits.ann);
    scene.acts.length = 0;
    scene.locks.release = async () => ({ kind: 'released', released: false });
    scene.locks.heartbeat = async () => refuse('LEASE_LOST', 'gone');
    scene.locks.onResume = async () => refuse('LEASE_LOST', 'gone');
    scene.locks.checkToken = async () => refuse('UNKNOWN_RESOURCE', 'never seen');
    scene.locks.onAcquire = async () => refuse('DEADLOCK', 'a cycle');
    for (const visit of Object.values(visits)) for (let at = 0; at < 100; at += 1) await act(visit, lease);
    expect(scene.told).toEqual(Array.from({ length: 40 }, () => told));
    scene.clock.advance(1000);
    await act(visits.ann, lease);
    expect(scene.acts.at(-1)!.detail).toMatch(/; 80 more changed nothing and were not told of$/);
  });

  test('has every change, however many there are', async () => {
    const scene = new GovernedScene();
    const visit = scene.visit();
    for (let at = 0; at < 100; at += 1) await leaseOf(visit);
    expect(scene.told).toHaveLength(100);
  });

  test('costs nothing where nobody keeps it', async () => {
    const scene = new GovernedScene(false);
    const visit = scene.visit();
    await leaseOf(visit);
    await visit.locks.forceRelease({ resource: 'gpu/0', leaseRef: '', reason: 'hangs' });
    await scene.visit({}, []).locks.inspect('r', 0);
    expect(scene.acts).toEqual([]);
    expect(scene.counted).toEqual(['inspect refused DENIED', 'denied inspect']);
  });
});
