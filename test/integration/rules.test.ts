/** Rules over gRPC: each verb on each call, the answer to whoever lacks it, its line in the audit log, and a reload that counts at once. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { all, GovernedSite, type Person } from '../harness/governed.ts';
import { type Refused, refusal } from '../harness/replica.ts';
import { until } from '../harness/until.ts';

const people: readonly Person[] = [
  { name: 'ops', allow: all },
  { name: 'worker', allow: [{ prefixes: ['gpu/'], verbs: ['acquire'] }] },
  { name: 'viewer', allow: [{ prefixes: ['gpu/'], verbs: ['inspect'] }] },
  { name: 'mender', allow: [{ prefixes: ['gpu/'], verbs: ['force_release'] }] },
  { name: 'nobody', allow: [] },
];

let site: GovernedSite;

beforeAll(async () => {
  site = await GovernedSite.open(people);
});

afterAll(() => site.close());

const audited = (line: string): Promise<unknown> =>
  until(`the audit log has ${line}`, () => site.audit().includes(line));

type Ask = (who: string) => Promise<unknown>;

const calls: readonly [string, string, Ask][] = [
  ['acquire', 'acquire', (who) => site.by(who).client.lock(`gpu/${who}`, { owner: who })],
  ['inspect', 'inspect', (who) => site.by(who).client.inspect('gpu/there')],
  ['list', 'inspect', (who) => site.by(who).client.list({ prefix: 'gpu/' })],
  ['history', 'inspect', (who) => site.by(who).client.history({ resource: 'gpu/there' })],
  ['check_token', 'inspect', (who) => site.by(who).client.checkToken('gpu/there', '1')],
  [
    'force_release',
    'force_release',
    (who) => site.by(who).client.force({ resource: 'gpu/there', reason: 'r' }),
  ],
  ['status', 'admin', (who) => site.by(who).client.status()],
  ['reload', 'admin', (who) => site.by(who).client.reload()],
  ['set_log_level', 'admin', (who) => site.by(who).client.setLogLevel('silent')],
  ['run_janitor', 'admin', (who) => site.by(who).client.janitor(true)],
];

const HAS: Readonly<Record<string, readonly string[]>> = {
  ops: ['acquire', 'inspect', 'force_release', 'admin'],
  worker: ['acquire'],
  viewer: ['inspect'],
  mender: ['force_release'],
  nobody: [],
};

test.each(calls)(
  '%s is answered to those who have the verb %s, and DENIED to all others',
  async (action, verb, ask) => {
    await site
      .by('ops')
      .client.lock('gpu/there', { owner: 'ops' })
      .catch(() => {});
    for (const who of Object.keys(HAS)) {
      if (HAS[who]!.includes(verb)) {
        // What is not served here is another answer than what is not allowed.
        const failed = await ask(who).then(
          () => '',
          async (error) => (await refusal(Promise.reject(error))).reason,
        );
        expect(['', 'NOT_SERVED']).toContain(failed);
      } else {
        expect(await refusal(ask(who))).toMatchObject({ code: 7, reason: 'DENIED', metadata: { verb } });
        await audited(`${action} DENIED ${who}`);
      }
    }
  },
);

test('streams ask the same rules: Hold, Session and Watch', async () => {
  const hold = site.by('viewer').hold({ acquire: { resources: ['gpu/1'], owner: 'v' } });
  expect(await hold.over()).toMatchObject({ reason: 'DENIED', metadata: { resource: 'gpu/1' } });
  const session = site.by('worker').session();
  const [outside, within, check] = session.ask([
    { acquire: { resources: ['gpu/2', 'cpu/2'], owner: 'w' } },
    { acquire: { resources: ['gpu/2'], owner: 'w' } },
    { check_token: { resource: 'gpu/2', fencing_token: '1' } },
  ]);
  expect(await session.refused(outside!)).toMatchObject({ code: 7, reason: 'DENIED' });
  expect(await session.result(within!)).toMatchObject({ acquire: { lease: { resources: ['gpu/2'] } } });
  expect(await session.refused(check!)).toMatchObject({ reason: 'DENIED' });
  const watch = await site.by('viewer').watch({ prefix: 'gpu/' });
  await site.by('worker').client.lock('gpu/3', { owner: 'w3' });
  await until('the viewer has seen it', () => watch.events.some(({ resource }) => resource === 'gpu/3'));
  expect(await refusal(site.by('viewer').watch({ prefix: '' }))).toMatchObject({ reason: 'DENIED' });
  await audited('watch DENIED viewer');
});

test('DENIED is the same for what is there and for what is not', async () => {
  await site.by('ops').client.lock('secret/there', { owner: 'ops' });
  const told = async (name: string): Promise<Refused> => refusal(site.by('viewer').client.inspect(name));
  const [there, absent] = [await told('secret/there'), await told('secret/nope_')];
  expect(JSON.stringify(there).replaceAll('secret/there', 'X')).toBe(
    JSON.stringify(absent).replaceAll('secret/nope_', 'X'),
  );
});

test('everybody may end by force what is their own, by its lease_ref', async () => {
  const { client } = site.by('worker');
  const own = await client.lock('gpu/own', { owner: 'w' });
  const other = await site.by('ops').client.lock('gpu/other', { owner: 'w' });
  const denied = { reason: 'DENIED' };
  expect(await refusal(client.force({ resource: 'gpu/own', reason: 'r' }))).toMatchObject(denied);
  for (const resource of ['gpu/other', 'gpu/own', 'gpu/nowhere']) {
    const ask = { resource, lease_ref: other.lease_ref, reason: 'not mine' };
    expect(await refusal(client.force(ask))).toMatchObject(denied);
  }
  const ask = { resource: 'gpu/own', lease_ref: own.lease_ref, reason: 'my process hangs' };
  expect((await client.force(ask)).freed).toMatchObject([{ lease_ref: own.lease_ref }]);
  expect(await refusal(client.heartbeat(own.lease_id))).toMatchObject({ metadata: { why: 'forced' } });
  await audited('force_release forced worker');
});

test('a request id belongs to its identity: who repeats another’s meets a lock that is taken', async () => {
  const request = { resources: ['gpu/request'], owner: 'same', request_id: 'same' };
  const { lease } = await site.by('worker').client.acquire(request);
  expect((await site.by('ops').client.acquire(request)).busy).toMatchObject({ holders: [{ owner: 'same' }] });
  const again = await site.by('worker').client.acquire(request);
  expect(again.lease).toMatchObject({ replayed: true, lease_id: lease!.lease_id });
});

test('a rule that is taken away counts at once, also for a stream, and traps no lease', async () => {
  const { client } = site.by('worker');
  const lease = await client.lock('gpu/trap', { owner: 'w' });
  const session = site.by('worker').session();
  const kept = await session.lock('gpu/kept');
  const without = people.map((one) => (one.name === 'worker' ? { ...one, allow: [] } : one));
  await site.change(without, 'ops');
  expect(await refusal(client.acquire({ resources: ['gpu/new'] }))).toMatchObject({ reason: 'DENIED' });
  const [seq] = session.ask([{ acquire: { resources: ['gpu/new'], owner: 'w' } }]);
  expect(await session.refused(seq!)).toMatchObject({ reason: 'DENIED' });
  expect(await client.heartbeat(lease.lease_id)).toMatchObject({ resources: ['gpu/trap'] });
  expect(await client.release(lease.lease_id)).toBe(true);
  expect(await client.release(kept.lease_id)).toBe(true);
  await site.change(people, 'ops');
  expect(await client.lock('gpu/new', { owner: 'w' })).toMatchObject({ resources: ['gpu/new'] });
});

test('what was refused is counted by its verb', async () => {
  const before = await site.replica.metric('holdfast_denied_total');
  await refusal(site.by('nobody').client.inspect('x'));
  expect(await site.replica.metric('holdfast_denied_total')).toBe(before + 1);
});
