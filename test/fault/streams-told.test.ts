/** What streams are told and what stands when others act: the replica dies, a lease is ended by force, somebody asks. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { HoldStream, machineMs, SessionStream } from '../harness/lock-streams.ts';
import { Nodes } from '../harness/nodes.ts';
import { bootstrapped, type Environment, ReplicaProcess } from '../harness/replica.ts';
import { expireMs, type Lease, span } from '../harness/rpc-client.ts';
import { until } from '../harness/until.ts';

const WAIT = { seconds: 50 };
/** Of a busy machine. */
const SLACK_MS = 5000;
const YIELD_AFTER_MS = 200;

let nodes: Nodes;
let [one, two, three] = [] as unknown as ReplicaProcess[] as [ReplicaProcess, ReplicaProcess, ReplicaProcess];
const closing: (() => unknown)[] = [];

const env: Environment = { HOLDFAST_MAX_TTL: '60s', HOLDFAST_YIELD_AFTER: `${YIELD_AFTER_MS}ms` };

beforeAll(async () => {
  nodes = await Nodes.start(3);
  await bootstrapped(nodes.list, env);
  const started = [1, 2, 3].map(() => ReplicaProcess.start(nodes.list, env));
  [one, two, three] = (await Promise.all(started)) as [ReplicaProcess, ReplicaProcess, ReplicaProcess];
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
afterAll(async () => {
  await Promise.all([one, two, three].map((replica) => replica.stop()));
  await nodes.close();
});

function stream<Opened extends HoldStream | SessionStream>(opened: Opened): Opened {
  closing.push(() => opened.cancel());
  return opened;
}

/** Waits at `at`, and stands in line by the time this resolves. */
async function waiting(
  at: ReplicaProcess,
  resource: string,
  owner: string,
  more: { priority?: number } = {},
): Promise<{ lease: Promise<Lease> }> {
  const lease = at.client.lock(resource, { owner, wait: WAIT, ...more });
  // Whoever fails hears of it where it is awaited.
  lease.catch(() => {});
  await until(`${owner} stands in line`, async () =>
    (await three.client.inspect(resource)).waiters.some((waiter) => waiter.owner === owner),
  );
  return { lease };
}

/** When whoever has it now asked for it: before any node can have let it have it. */
const takenMs = ({ acquire_time }: Lease): number =>
  Number(acquire_time!.seconds) * 1000 + acquire_time!.nanos / 1e6;

describe('kill -9 of the replica that keeps leases', () => {
  const TTL_MS = 4000;
  const ttl = span(TTL_MS);

  test('leaves them until they expire, to those who resume them and before those who wait', async () => {
    const doomed = await ReplicaProcess.start(nodes.list, env);
    closing.push(() => doomed.stop());
    const [resumes, leaves] = ['dead/resumed', 'dead/left'].map((name) =>
      stream(HoldStream.acquire(doomed.address, name, { ttl })),
    ) as [HoldStream, HoldStream];
    const session = stream(new SessionStream(doomed.address));
    const inSession = await session.lock('dead/session', { ttl });
    await Promise.all([resumes.granted(), leaves.granted()]);
    await resumes.renewals(1);
    const next = await Promise.all(
      ['dead/resumed', 'dead/left', 'dead/session'].map((name) => waiting(two, name, `next of ${name}`)),
    );
    doomed.signal('SIGKILL');
    await doomed.ended();
    for (const told of [resumes, leaves, session])
      expect(await told.over()).toMatchObject({ code: 14, reason: '' });
    const resumed = stream(HoldStream.resume(three.address, resumes.lease));
    expect((await resumed.granted()).fencing_token).toBe(resumes.lease.fencing_token);

    const [renewed] = session.of('renewed').slice(-1);
    const left = [leaves.lease, renewed?.renewed ?? inSession];
    const taken = await Promise.all(next.slice(1).map(({ lease }) => lease));
    for (const [at, lease] of taken.entries()) {
      expect(takenMs(lease)).toBeGreaterThanOrEqual(expireMs(left[at]!));
      // What was renewed as it died, nobody was told.
      expect(takenMs(lease)).toBeLessThan(expireMs(left[at]!) + TTL_MS + SLACK_MS);
    }
    await resumed.renewals(2);
    const { holders } = await two.client.inspect('dead/resumed');
    expect(holders.map(({ fencing_token }) => fencing_token)).toEqual([resumes.lease.fencing_token]);
    const letGoMs = Date.now();
    resumed.cancel();
    expect(takenMs(await next[0]!.lease)).toBeGreaterThanOrEqual(letGoMs);
  });
});

describe('ForceRelease at another replica', () => {
  /** The first renewal of a lease of a minute comes after 15 s. */
  const ttl = { seconds: 60 };
  const LONG_BEFORE_MS = 5000;

  test('is told to a Hold as lost at once, and ends it', async () => {
    const hold = stream(HoldStream.acquire(one.address, 'forced/hold', { ttl }));
    const { lease_ref, fencing_token } = await hold.granted();
    const next = await waiting(three, 'forced/hold', 'next');
    const startedMs = machineMs();
    await two.client.force({ resource: 'forced/hold', reason: 'a test' });
    const lost = await hold.first('lost', LONG_BEFORE_MS);
    expect(lost).toMatchObject({ reason: 'LOST_REASON_FORCED', lease_ref, fencing_token });
    process.stderr.write(
      `streams-told.test.ts: ForceRelease asked to lost told: ${Math.round(machineMs() - startedMs)} ms\n`,
    );
    expect(await hold.over()).toBe('OK');
    expect(hold.of('renewed')).toEqual([]);
    expect((await next.lease).owner).toBe('next');
  });

  test('is told to a Session as lost at once, and ends that lease alone', async () => {
    const session = stream(new SessionStream(one.address));
    const leases = [await session.lock('forced/a', { ttl }), await session.lock('forced/b', { ttl })];
    await two.client.force({ resource: 'forced/a', reason: 'a test' });
    await until('it is told', () => session.of('lost').length > 0, LONG_BEFORE_MS);
    expect(session.of('lost')).toHaveLength(1);
    expect(session.of('lost')[0]).toMatchObject({
      lease_id: leases[0]!.lease_id,
      lost: { reason: 'LOST_REASON_FORCED', fencing_token: leases[0]!.fencing_token },
    });
    expect(session.ended).toBeUndefined();
    expect((await two.client.checkToken('forced/b', leases[1]!.fencing_token)).current).toBe(true);
  });
});

describe('a waiter of higher priority at another replica', () => {
  const TTL_MS = 1500;
  const ttl = span(TTL_MS);

  test('asks a Hold once, after it has waited, and the holder keeps its lease', async () => {
    const hold = stream(HoldStream.acquire(one.address, 'yield/hold', { ttl, priority: 1 }));
    await hold.granted();
    const same = await waiting(three, 'yield/hold', 'as urgent', { priority: 1 });
    await hold.renewals(3);
    expect(hold.of('yield_request')).toEqual([]);
    const urgent = await waiting(two, 'yield/hold', 'urgent', { priority: 9 });
    const asked = await hold.first('yield_request');
    expect(asked).toMatchObject({ owner: 'urgent', priority: 9 });
    const waitedMs = Number(asked.waited!.seconds) * 1000 + asked.waited!.nanos / 1e6;
    expect(waitedMs).toBeGreaterThanOrEqual(YIELD_AFTER_MS);
    expect(waitedMs).toBeLessThan(TTL_MS + SLACK_MS);
    await hold.renewals(4);
    expect(hold.of('yield_request')).toHaveLength(1);
    expect(hold.of('lost')).toEqual([]);
    // It was a request, and to yield is the holder's.
    hold.cancel();
    const first = await urgent.lease;
    await two.client.release(first.lease_id);
    expect(BigInt((await same.lease).fencing_token)).toBeGreaterThan(BigInt(first.fencing_token));
  });

  test('asks a Session for the lease that it wants', async () => {
    const session = stream(new SessionStream(one.address));
    await session.lock('yield/other', { ttl });
    const { lease_id } = await session.lock('yield/session', { ttl });
    await waiting(two, 'yield/session', 'urgent', { priority: 9 });
    await until('it is asked', () => session.of('yield_request').length > 0);
    const before = session.of('renewed').length;
    await until('it is renewed', () => session.of('renewed').length > before + 5);
    expect(session.of('yield_request')).toHaveLength(1);
    expect(session.of('yield_request')[0]).toMatchObject({ lease_id, yield_request: { owner: 'urgent' } });
    expect(session.of('lost')).toEqual([]);
  });

  test('does not keep the next one who asks from being told, too', async () => {
    const hold = stream(HoldStream.acquire(one.address, 'yield/two', { ttl }));
    await hold.granted();
    const asked = () => hold.of('yield_request').map(({ owner, priority }) => `${owner} ${priority}`);
    await waiting(two, 'yield/two', 'most urgent', { priority: 9 });
    await until('the first is told', () => asked().length === 1);
    await waiting(three, 'yield/two', 'urgent', { priority: 5 });
    await until('the second is told', () => asked().length === 2);
    await hold.renewals(3);
    expect(asked()).toEqual(['most urgent 9', 'urgent 5']);
  });
});
