/** Clocks that are set while leases stand: of a node, of all nodes, of a replica; each rule that this leans on also off. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { scripts } from '../../src/nodes/scripts.ts';
import { type Clock, systemClock } from '../../src/std/clock.ts';
import { Desk, granted } from '../harness/desk.ts';
import { HoldStream } from '../harness/lock-streams.ts';
import { Nodes } from '../harness/nodes.ts';
import { Preload } from '../harness/preload.ts';
import { bootstrapped, expireMs, span, TestReplica } from '../harness/replica.ts';
import { deadlineBelieved, endNotCut } from '../harness/rules-off.ts';
import { until } from '../harness/until.ts';

const S = 1_000_000;
const HOUR = 3600 * S;
const LONGEST_MS = 1000;
const env = { HOLDFAST_MAX_TTL: '1s', HOLDFAST_DEFAULT_TTL: '1s', HOLDFAST_NODE_TIMEOUT: '400ms' };
const YEAR_2100_MS = Date.UTC(2100, 0, 1);

let clocks: readonly Preload[];
let nodes: Nodes;
let replica: TestReplica;
const closing: (() => unknown)[] = [];

beforeAll(async () => {
  clocks = [0, 1, 2].map(() => Preload.skewedClock());
  nodes = await Nodes.start(3, (index) => ({ env: clocks[index]!.env }));
  await bootstrapped(nodes.list, env);
  replica = await TestReplica.start(nodes.list, env);
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
afterAll(async () => {
  await replica.stop();
  await nodes.close();
  for (const clock of clocks) clock.close();
});

/** By how much each clock is off: a step goes on from there, for the way back would be one as well. */
const offMicros = [0, 0, 0];

async function step(micros: number, ...which: readonly number[]): Promise<void> {
  // A jump can be told only from a reading before it, and is told by the next one.
  await replica.client.list();
  for (const index of which) {
    offMicros[index]! += micros;
    clocks[index]!.set(offMicros[index]!);
  }
  await replica.client.list();
  await until('the jump is noticed', () => which.every((index) => replica.states[index] === 'suspect'));
}

const settled = (): Promise<void> => replica.becomes('ready', 'ready', 'ready');

describe("one node's clock is set while a lease stands", () => {
  test.each([
    ['one second ahead', S],
    ['its ttl ahead', 0.6 * S],
    ['an hour ahead', HOUR],
    ['an hour back', -HOUR],
  ])('%s: the lease stands, is renewed and exclusive, and tokens go on growing', async (how, micros) => {
    const name = how.replaceAll(' ', '-');
    const { client } = replica;
    await settled();
    const stream = HoldStream.acquire(replica.replica.addresses[0]!, name, { ttl: span(600) });
    const { fencing_token } = await stream.granted();
    await step(micros, 1);
    await stream.renewals(4);
    expect((await client.acquire({ resources: [name], owner: 'rival' })).outcome).toBe('busy');
    stream.cancel();
    const next = await client.lock(name, { owner: 'next', wait: span(5000) });
    expect(BigInt(next.fencing_token)).toBeGreaterThan(BigInt(fencing_token));
    expect(await client.release(next.lease_id)).toBe(true);
  });
});

describe('all clocks of the nodes are set', () => {
  test.each([
    ['an hour ahead', HOUR],
    ['an hour back', -HOUR],
  ])(
    '%s at once: from when that is noticed nobody is granted what another holds, and tokens go on growing',
    async (how, micros) => {
      const name = how.replaceAll(' ', '-');
      const { client } = replica;
      await settled();
      const held = await client.lock(name, { ttl: span(LONGEST_MS) });
      const untilMs = expireMs(held);
      await step(micros, 0, 1, 2);
      let early = 0;
      const taken = await until('somebody is granted it', async () => {
        const lease = await client.tryLock(name, { owner: 'rival' });
        if (lease !== undefined && Date.now() < untilMs) early += 1;
        return lease;
      });
      expect(early).toBe(0);
      expect(BigInt(taken.fencing_token)).toBeGreaterThan(BigInt(held.fencing_token));
      expect(await client.release(taken.lease_id)).toBe(true);
    },
  );
});

describe('a node whose clock goes back an hour while somebody dead holds', () => {
  /** With the third node stopped both others are needed. On nodes of its own, where nobody knows another rule. */
  async function grantedSoon(using: typeof scripts): Promise<boolean> {
    const clock = Preload.skewedClock();
    const own = await Nodes.start(3, (index) => (index === 1 ? { env: clock.env } : {}));
    closing.push(() => own.close().then(() => clock.close()));
    await bootstrapped(own.list, env);
    const options = { scripts: using, maxTtlMs: LONGEST_MS, nodeTimeoutMs: 400 };
    const desks = [await Desk.open(own.list, options), await Desk.open(own.list, options)] as const;
    for (const desk of desks) closing.push(() => desk.close());
    await desks[0].lock('dead', { owner: 'dead', ttlMs: LONGEST_MS });
    await desks[1].locks.inspect('dead', 0);
    clock.set(-HOUR);
    await until('the step is noticed', () => desks[1].states[1] === 'suspect');
    const sinceMs = performance.now();
    own.servers[2]!.pause();
    await until('the clock is trusted again', () => desks[1].states[1] === 'ready');
    // The lease of the dead ends one longest ttl after a vote has met it.
    const end = await until('it is granted, or should have been', async () => {
      const answer = await desks[1].acquire('dead', { owner: 'next', ttlMs: 500 });
      return granted(answer) ? 'granted' : performance.now() > sinceMs + 3.5 * LONGEST_MS && 'kept';
    });
    return end === 'granted';
  }

  test('lets it go soon; where ends are believed as they stand, keeps it for an hour', async () => {
    expect(await Promise.all([scripts, endNotCut].map(grantedSoon))).toEqual([true, false]);
  });
});

describe('two nodes whose clocks go back an hour while somebody stands in line whose replica is dead', () => {
  const livenessMs = 900;

  /** The third node alone, whose clock is right, is no majority. */
  async function servedSoon(using: typeof scripts): Promise<{ served: boolean; ghosts: number }> {
    const clock = Preload.skewedClock();
    const own = await Nodes.start(3, (index) => (index < 2 ? { env: clock.env } : {}));
    closing.push(() => own.close().then(() => clock.close()));
    await bootstrapped(own.list, env);
    const options = { scripts: using, maxTtlMs: LONGEST_MS, nodeTimeoutMs: 400, waiting: { livenessMs } };
    const [doomed, living] = [
      await Desk.open(own.list, options),
      await Desk.open(own.list, options),
    ] as const;
    for (const desk of [doomed, living]) closing.push(() => desk.close());
    const line = async (index: number) =>
      (await own.run(index, 'ZRANGE', 'holdfast:b:q:line', 0, -1)) as readonly string[];
    const queued = (count: number) =>
      until(`${count} stand in line`, async () =>
        (await Promise.all([0, 1, 2].map(line))).every(({ length }) => length === count),
      );
    await living.lock('line', { owner: 'holder', ttlMs: LONGEST_MS });
    void doomed.acquire('line', { owner: 'ghost', waitMs: 50_000 });
    await queued(1);
    const [ghost] = await line(0);
    let served = false;
    void living.acquire('line', { owner: 'next', waitMs: 50_000 }).then((answer) => {
      served = granted(answer);
    });
    await queued(2);
    await living.locks.inspect('line', 0);
    doomed.close();
    clock.set(-HOUR);
    const stepped = (state: string) => () => [0, 1].every((index) => living.states[index] === state);
    await until('the step is noticed', stepped('suspect'));
    await until('the clocks are trusted again', stepped('ready'));
    // A place that is taken anew, and the look once a second.
    const sinceMs = performance.now();
    await until(
      'the next one is served, or should have been',
      () => served || performance.now() > sinceMs + livenessMs + 2 * 1000,
    );
    const lines = await Promise.all([0, 1].map(line));
    return { served, ghosts: lines.filter((ids) => ids.includes(ghost!)).length };
  }

  test('let the next one go on soon; where deadlines are believed as they stand, block the line for an hour', async () => {
    expect(await Promise.all([scripts, deadlineBelieved].map(servedSoon))).toEqual([
      { served: true, ghosts: 0 },
      { served: false, ghosts: 2 },
    ]);
  });
});

describe("a replica's clock", () => {
  async function steppable(offMs = 0) {
    const late = { ms: offMs };
    const clock: Clock = {
      ...systemClock,
      wallMicros: () => systemClock.wallMicros() + Math.round(late.ms * 1000),
    };
    const started = await TestReplica.start(nodes.list, env, { clock });
    closing.push(() => started.stop());
    return { late, started };
  }

  test('in 2100 grants tokens of today, from which everybody goes on', async () => {
    await settled();
    const { started } = await steppable(YEAR_2100_MS - Date.now());
    let last = 0n;
    for (const client of [started.client, replica.client, started.client, replica.client]) {
      const lease = await client.lock('2100');
      const token = BigInt(lease.fencing_token);
      expect(token).toBeGreaterThan(last);
      expect(Number(token) / 1000 - Date.now()).toBeLessThan(10_000);
      last = token;
      expect(await client.release(lease.lease_id)).toBe(true);
    }
    await nodes.free('2100');
  });

  const steps = [
    ['an-hour-ahead', 3_600_000],
    ['an-hour-back', -3_600_000],
    ['to-2100', YEAR_2100_MS - Date.now()],
  ] as const;

  test('that is set an hour ahead, an hour back or to 2100 ends no stream, and what streams are told stays one count', async () => {
    await settled();
    await Promise.all(
      steps.map(async ([resource, ms]) => {
        const { late, started } = await steppable();
        const stream = HoldStream.acquire(started.replica.addresses[0]!, resource, { ttl: span(600) });
        const first = await stream.granted();
        await stream.renewals(1);
        late.ms = ms;
        await stream.renewals(4);
        const beganMs = performance.now();
        const told = expireMs(stream.lease);
        expect(stream.lease.fencing_token).toBe(first.fencing_token);
        // Whatever its wall clock shows, the times of one stream differ as its monotonic clock does.
        expect(Math.abs(told - expireMs(first))).toBeLessThan(60_000);
        await stream.renewals(2);
        expect(expireMs(stream.lease) - told).toBeLessThan(performance.now() - beganMs + 1000);
        const rival = await replica.client.acquire({ resources: [resource], owner: 'rival' });
        expect(rival.outcome).toBe('busy');
        const { holders } = await replica.client.inspect(resource);
        expect(holders[0]?.fencing_token).toBe(first.fencing_token);
        stream.cancel();
        await nodes.free(resource);
      }),
    );
  });
});
