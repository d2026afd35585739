/** Quotas over gRPC: each one used up, refused with RESOURCE_EXHAUSTED and a time, and had again. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { all, GovernedSite, type Person } from '../harness/governed.ts';
import { type Lease, refusal, span } from '../harness/replica.ts';
import { until } from '../harness/until.ts';

const limited = (name: string, quota: Person['quota']): Person => ({ name, allow: all, quota: quota! });

const people: readonly Person[] = [
  { name: 'ops', allow: all },
  limited('leases', { leases: 3 }),
  limited('reloaded', { leases: 1 }),
  limited('waiters', { waiters: 2 }),
  limited('streams', { streams: 2 }),
  limited('rate', { rate: 5 }),
  limited('ttl', { max_ttl: '5s' }),
  limited('hold', { max_hold: '1500ms' }),
];

let site: GovernedSite;

beforeAll(async () => {
  site = await GovernedSite.open(people);
});

afterAll(() => site.close());

const over = (quota: string) => ({ code: 8, reason: 'QUOTA', metadata: { quota }, retryAfter: true });

test('leases: of many at once as many are granted as the quota has, over calls and streams', async () => {
  const { client } = site.by('leases');
  const asked = Array.from({ length: 20 }, (_, at) =>
    client.lock(`leases/${at}`).then(
      (lease) => lease,
      async (error: unknown) => refusal(Promise.reject(error)),
    ),
  );
  const answers = await Promise.all(asked);
  const leases = answers.filter((answer): answer is Lease => 'lease_id' in answer);
  expect(leases).toHaveLength(3);
  for (const answer of answers) if (!('lease_id' in answer)) expect(answer).toMatchObject(over('leases'));
  const hold = site.by('leases').hold({ acquire: { resources: ['leases/hold'], owner: 'h' } });
  expect(await hold.over()).toMatchObject(over('leases'));
  await client.release(leases[0]!.lease_id);
  const session = site.by('leases').session();
  const kept = await session.lock('leases/session');
  expect(await refusal(client.lock('leases/more'))).toMatchObject(over('leases'));
  session.cancel();
  await until('the session has given its lease back', () =>
    client.lock('leases/more').catch(() => undefined),
  );
  expect(await refusal(client.heartbeat(kept.lease_id))).toMatchObject({ reason: 'LEASE_LOST' });
  // Nobody else pays for it.
  expect(await site.by('ops').client.lock('leases/ops')).toBeDefined();
});

test('leases: a lease that was not renewed counts no longer than it lasts', async () => {
  const { client } = site.by('reloaded');
  await client.lock('short/1', { ttl: span(200) });
  expect(await refusal(client.lock('short/2'))).toMatchObject(over('leases'));
  const lease = await until('the first has expired', () => client.lock('short/2').catch(() => undefined));
  await client.release(lease.lease_id);
});

test('leases: a reload changes the limit, and what is held counts on', async () => {
  const { client } = site.by('reloaded');
  const first = await client.lock('reload/1');
  const more = people.map((one) => (one.name === 'reloaded' ? limited('reloaded', { leases: 2 }) : one));
  await site.change(more, 'ops');
  const second = await client.lock('reload/2');
  expect(await refusal(client.lock('reload/3'))).toMatchObject(over('leases'));
  await site.change(people, 'ops');
  await client.release(first.lease_id);
  expect(await refusal(client.lock('reload/3'))).toMatchObject(over('leases'));
  await client.release(second.lease_id);
  expect(await client.lock('reload/3')).toBeDefined();
});

test('waiters: those who may wait are counted until they are answered', async () => {
  const lease = await site.by('ops').client.lock('line/1', { owner: 'ops' });
  const hands = site.by('waiters');
  const holds = ['a', 'b'].map((owner) => hands.hold({ acquire: { resources: ['line/1'], owner } }));
  for (const hold of holds) await hold.first('queued');
  const ask = { resources: ['line/1'], owner: 'c', wait: span(5000) };
  expect(await refusal(hands.client.acquire(ask))).toMatchObject(over('waiters'));
  expect((await hands.client.acquire({ ...ask, wait: null })).busy).not.toBeNull();
  await site.by('ops').client.release(lease.lease_id);
  const served = await until('one was served', () => holds.find((hold) => hold.of('granted').length > 0));
  const third = hands.hold({ acquire: ask });
  await third.first('queued');
  for (const hold of [served, ...holds, third]) hold.cancel();
});

test('streams: each kind counts, until it ends', async () => {
  const hands = site.by('streams');
  const watch = await hands.watch({ prefix: 'streams/' });
  const session = hands.session();
  await session.lock('streams/1');
  const hold = hands.hold({ acquire: { resources: ['streams/2'], owner: 'h' } });
  expect(await hold.over()).toMatchObject(over('streams'));
  expect(await hands.session().over()).toMatchObject(over('streams'));
  watch.close();
  const again = await until('the watch has ended', async () => {
    const one = hands.hold({ acquire: { resources: ['streams/2'], owner: 'h' } });
    return (await one.decided()) ? one : undefined;
  });
  again.cancel();
  session.cancel();
});

test('rate: calls and operations of a session are counted one by one, and time brings new ones', async () => {
  const hands = site.by('rate');
  const session = hands.session();
  const ops = Array.from({ length: 30 }, () => ({ check_token: { resource: 'r', fencing_token: '1' } }));
  const results = await Promise.all(session.ask(ops).map((seq) => session.result(seq)));
  const refused = results.filter(({ error }) => error?.reason === 'QUOTA');
  expect(refused.length).toBeGreaterThanOrEqual(20);
  expect(refused[0]!.error).toMatchObject({ code: 8, metadata: { quota: 'rate' } });
  expect(refused[0]!.error!.retry_after).not.toBeNull();
  expect(refused.length).toBeLessThan(30);
  await until('time has brought another call', () =>
    hands.client.list().then(
      () => true,
      () => undefined,
    ),
  );
  session.cancel();
});

test('max_ttl: nothing longer is granted or renewed, and who says no ttl gets as much', async () => {
  const { client } = site.by('ttl');
  expect(await refusal(client.lock('ttl/1', { ttl: span(5001) }))).toMatchObject(over('max_ttl'));
  const lease = await client.lock('ttl/1');
  expect(lease.ttl).toMatchObject({ seconds: '5', nanos: 0 });
  expect(await refusal(client.heartbeat(lease.lease_id, 6000))).toMatchObject(over('max_ttl'));
  expect(await client.heartbeat(lease.lease_id, 4000)).toBeDefined();
});

test('max_hold: a lease is renewed up to it and not beyond, and a stream’s is ended there', async () => {
  const hands = site.by('hold');
  const hold = hands.hold({ acquire: { resources: ['hold/1'], owner: 'h', ttl: span(800) } });
  const granted = await hold.granted();
  expect(await hold.first('lost')).toMatchObject({
    reason: 'LOST_REASON_RELEASED',
    lease_ref: granted.lease_ref,
    detail: expect.stringContaining('as long as its identity may'),
  });
  expect(await hold.over()).toBe('OK');
  expect(hold.of('renewed').length).toBeGreaterThan(0);
  const next = await until('the nodes have let go of it', () =>
    site.by('ops').client.tryLock('hold/1', { owner: 'next' }),
  );
  expect(next.resources).toEqual(['hold/1']);
  const lease = await hands.client.lock('hold/2', { ttl: span(800) });
  const last = await until('it is not renewed any more', async () => {
    const answer = await refusal(hands.client.heartbeat(lease.lease_id)).catch(() => undefined);
    return answer;
  });
  expect(last).toMatchObject(over('max_hold'));
  expect(await hands.client.release(lease.lease_id)).toBe(true);
});

test('what was refused is counted by its quota, and written down', async () => {
  const { text } = await site.replica.http('/metrics');
  for (const quota of ['leases', 'waiters', 'streams', 'rate', 'max_ttl', 'max_hold']) {
    const found = new RegExp(`^holdfast_quota_refusals_total{quota="${quota}"} [1-9]`, 'm');
    expect(text).toMatch(found);
  }
  await until('the audit log has it', () => site.audit().includes('acquire QUOTA leases'));
});
