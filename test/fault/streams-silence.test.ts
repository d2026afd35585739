/** A client that falls silent keeps its lock exactly as long as it was promised, and can know by itself when that is over. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Cable } from '../harness/cable.ts';
import { HoldingProcess } from '../harness/holding.ts';
import { keeps } from '../harness/kept.ts';
import { HoldStream, machineMs } from '../harness/lock-streams.ts';
import type { ReplicaProcess } from '../harness/replica.ts';
import { expireMs, type Lease, span } from '../harness/rpc-client.ts';
import { Scene } from '../harness/scene.ts';
import { until } from '../harness/until.ts';

const KEEPALIVE_MS = 300;
/** Longer than a renewal takes to come: a stopped client always has one waiting for it. */
const KEEPALIVE_TIMEOUT_MS = 600;
const TTL_MS = 1000;
/** Of a busy machine. */
const SLACK_MS = 3000;
const WAIT = { seconds: 50 };
/** How many times its ttl a Hold is watched; by hand for minutes. */
const TTLS = Number(process.env.HOLDFAST_TTLS ?? 30);

let scene: Scene;
let [one, two, three] = [] as unknown as ReplicaProcess[] as [ReplicaProcess, ReplicaProcess, ReplicaProcess];
let long: { client: HoldingProcess; waiting: HoldStream };
const closing: (() => unknown)[] = [];

beforeAll(async () => {
  scene = await Scene.open();
  const keepalive = {
    HOLDFAST_KEEPALIVE_TIME: `${KEEPALIVE_MS}ms`,
    HOLDFAST_KEEPALIVE_TIMEOUT: `${KEEPALIVE_TIMEOUT_MS}ms`,
  };
  [one, two, three] = await Promise.all([scene.process(keepalive), scene.process(), scene.process()]);
  const client = await HoldingProcess.start(one.address, hold('long'));
  scene.onClose(() => client.kill());
  long = { client, waiting: HoldStream.acquire(two.address, 'long', { owner: 'rival' }) };
  scene.onClose(() => long.waiting.cancel());
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
afterAll(() => scene.close());

const hold = (resource: string, ttlMs = TTL_MS) => ({
  ttlMs,
  hold: { acquire: { resources: [resource], owner: `holder of ${resource}`, ttl: span(ttlMs) } },
});

async function holding(address: string, resource: string, ttlMs?: number): Promise<HoldingProcess> {
  const client = await HoldingProcess.start(address, hold(resource, ttlMs));
  closing.push(() => client.kill());
  return client;
}

function behind(resource: string, owner: string, at = two): Promise<Lease> {
  const lease = at.client.lock(resource, { owner, wait: WAIT });
  // Whoever fails hears of it where it is awaited.
  lease.catch(() => {});
  return lease;
}

async function cableTo({ address }: ReplicaProcess): Promise<{ cable: Cable; address: string }> {
  const [host, port] = address.split(':') as [string, string];
  const cable = await Cable.to({ host, port: Number(port) });
  closing.push(() => cable.close());
  const where = cable.where as { host: string; port: number };
  return { cable, address: `${where.host}:${where.port}` };
}

/** Milliseconds since the Unix epoch of a time of the machine. */
const wallMs = (ms: number): number => ms + Date.now() - machineMs();
/** When whoever has it now asked for it: before any node can have let it have it. */
const takenMs = ({ acquire_time }: Lease): number =>
  Number(acquire_time!.seconds) * 1000 + acquire_time!.nanos / 1e6;

/** The last promise that was sent to it, whether it has read it by then or not. */
function lastPromise(client: HoldingProcess): Lease {
  return client.said.flatMap(({ leases = [] }) => leases).at(-1)!;
}

describe('SIGSTOP of the client', () => {
  test('frees the lock when the last promise is over, and the client knows that before it has read anything', async () => {
    const client = await holding(one.address, 'stopped');
    await client.renewals(2);
    const next = behind('stopped', 'next');
    await scene.queued('stopped', 1);
    const told = client.said.length;
    await client.stop();
    const stoppedMs = machineMs();
    const lease = await next;
    const tookMs = machineMs() - stoppedMs;
    expect(tookMs).toBeLessThan(KEEPALIVE_MS + KEEPALIVE_TIMEOUT_MS + TTL_MS + SLACK_MS);

    const wokenMs = machineMs();
    client.wake();
    await until('the client has heard the end of its stream', () => client.of('ended').length === 1);
    const heard = client.said.slice(told);
    // (a) Its own count is over before it reads anything, and what it then reads changes nothing in that.
    expect(heard[0]!.kind).toBe('woke');
    for (const { before, after = before } of heard) {
      expect(before!.ruleMs).toBeLessThan(wokenMs);
      expect(after!.ruleMs).toBeLessThan(wokenMs);
    }
    // Nor was anybody else granted it while any count of the holder said that it has it.
    const last = client.said.at(-1)!.before!;
    expect(takenMs(lease)).toBeGreaterThanOrEqual(wallMs(last.ruleMs));
    expect(takenMs(lease)).toBeGreaterThanOrEqual(expireMs(lastPromise(client)));
    // Whoever counts from the arrival of events believes in a lease that somebody else has.
    const stale = heard.find(({ kind }) => kind === 'renewed');
    expect(stale).toBeDefined();
    expect(stale!.atMs).toBeGreaterThan(wokenMs);
    expect(stale!.after!.arrivalMs).toBeGreaterThan(stale!.atMs + TTL_MS / 2);
    // (b) And it is told so.
    expect(heard.at(-1)).toMatchObject({ kind: 'ended', how: expect.stringMatching(/^14 /) });
    const resumed = HoldStream.resume(three.address, client.lease);
    expect(await resumed.over()).toMatchObject({ reason: 'LEASE_LOST', metadata: { why: 'expired' } });
    expect((await two.client.checkToken('stopped', lease.fencing_token)).current).toBe(true);
  });
});

describe('a cut cable', () => {
  const CUT_TTL_MS = 4000;

  /** A client behind a cable, two that wait for its lock, and then the cut; resolves when its replica has noticed. */
  async function cut(resource: string) {
    const { cable, address } = await cableTo(one);
    const client = await holding(address, resource, CUT_TTL_MS);
    await client.renewals(1);
    const next = [behind(resource, 'first', two)];
    await scene.queued(resource, 1);
    next.push(behind(resource, 'second', three));
    await scene.queued(resource, 2);
    cable.cut('in');
    cable.cut('out');
    // All but the one that lives long.
    await keeps(one, 1);
    return { client, next };
  }

  test('ends the renewals and nothing else: the next one has the lock when the promise is over', async () => {
    const { client, next } = await cut('cut/left');
    const promised = lastPromise(client);
    const shown = await two.client.inspect('cut/left');
    expect(shown.holders.map(({ fencing_token }) => fencing_token)).toEqual([promised.fencing_token]);
    const first = await next[0]!;
    expect(first.owner).toBe('first');
    // What was sent and did not arrive can only have promised more.
    expect(takenMs(first)).toBeGreaterThanOrEqual(expireMs(promised));
    expect(takenMs(first)).toBeLessThan(expireMs(promised) + CUT_TTL_MS + SLACK_MS);
    await two.client.release(first.lease_id);
    expect((await next[1]!).owner).toBe('second');
  });

  test('leaves the lock to whoever resumes it elsewhere: same token, and those behind it see one holder', async () => {
    const { client, next } = await cut('cut/resumed');
    const granted: string[] = [];
    for (const one of next) void one.then(({ owner }) => granted.push(owner));
    const resumed = HoldStream.resume(two.address, client.lease);
    expect((await resumed.granted()).fencing_token).toBe(client.lease.fencing_token);
    // Past everything that the first stream was ever promised.
    await until('the first promises are over', async () => {
      expect(granted).toEqual([]);
      const { holders } = await three.client.inspect('cut/resumed');
      expect(holders.map(({ fencing_token }) => fencing_token)).toEqual([client.lease.fencing_token]);
      return Date.now() > expireMs(lastPromise(client)) + CUT_TTL_MS / 2;
    });
    expect(resumed.of('renewed').length).toBeGreaterThan(0);
    let letGoMs = Date.now();
    resumed.cancel();
    let token = BigInt(client.lease.fencing_token);
    for (const [turn, waiting] of next.entries()) {
      const lease = await waiting;
      expect(lease.owner).toBe(['first', 'second'][turn]);
      expect(BigInt(lease.fencing_token)).toBeGreaterThan(token);
      expect(takenMs(lease)).toBeGreaterThanOrEqual(letGoMs);
      token = BigInt(lease.fencing_token);
      letGoMs = Date.now();
      expect(await three.client.release(lease.lease_id)).toBe(true);
    }
  });
});

test(`a Hold with a ttl of 1 s lives through ${TTLS} of them`, {
  timeout: TTLS * TTL_MS + 60_000,
}, async () => {
  const { client, waiting } = long;
  const endMs = expireMs(client.lease) + (TTLS - 1) * TTL_MS;
  const promisedMs = () => expireMs(lastPromise(client));
  await until(
    'it was promised so long',
    () => {
      expect(client.of('ended')).toEqual([]);
      expect(promisedMs()).toBeGreaterThan(Date.now());
      return promisedMs() > endMs;
    },
    TTLS * TTL_MS + 30_000,
  );
  expect(
    new Set(client.said.flatMap(({ leases = [] }) => leases.map((lease) => lease.fencing_token))).size,
  ).toBe(1);
  expect(client.of('renewed').length).toBeGreaterThan(2 * TTLS);
  expect(waiting.of('queued').length).toBeGreaterThan(0);
  expect(waiting.of('granted')).toEqual([]);
  expect(waiting.ended).toBeUndefined();
});
