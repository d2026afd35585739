/** A thousand streams that end in random ways under load: each lock ends by its rule, no other is lost, and nothing is left over. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SeededRandom } from '../../src/std/random.ts';
import { BareConnection } from '../harness/bare-streams.ts';
import { Crowd } from '../harness/crowd.ts';
import { drawn, KINDS, Trial } from '../harness/disconnects.ts';
import { HoldStream, SessionStream } from '../harness/lock-streams.ts';
import { Nodes } from '../harness/nodes.ts';
import { OpenTimers } from '../harness/open-timers.ts';
import { bootstrapped, TestReplica } from '../harness/replica.ts';
import { type Lease, span } from '../harness/rpc-client.ts';
import { until } from '../harness/until.ts';

const TRIALS = Number(process.env.HOLDFAST_DISCONNECTS ?? 920);
const SEED = Number(process.env.HOLDFAST_SEED ?? Math.floor(Date.now() % 2 ** 31));
const AT_ONCE = 64;
/** Client processes that are killed, and the streams of each. */
const CROWDS = 4;
const [HELD, WAITED, IN_SESSION] = [10, 5, 5];
const SURVIVORS = 10;
const PAIRS_AT_ONCE = 4;
/** The answer may be late where this very process is busy. */
const KEEPALIVE = { HOLDFAST_KEEPALIVE_TIME: '200ms', HOLDFAST_KEEPALIVE_TIMEOUT: '1500ms' };
const SILENCE_MS = 1700;
const env = {
  ...KEEPALIVE,
  HOLDFAST_MAX_TTL: '20s',
  HOLDFAST_DEFAULT_TTL: '20s',
  HOLDFAST_NODE_TIMEOUT: '3s',
};

let nodes: Nodes;
let replica: TestReplica;
let address: string;
let timers: OpenTimers;

beforeAll(async () => {
  nodes = await Nodes.start(3);
  await bootstrapped(nodes.list, env);
  timers = new OpenTimers();
  replica = await TestReplica.start(nodes.list, env);
  address = replica.replica.addresses[0]!;
});
afterAll(async () => {
  await replica.stop();
  timers.restore();
  await nodes.close();
});

const metric = (name: string): Promise<number> => replica.metric(name);

const handles = () => {
  const counts: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
};
const listeners = () => process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0);

/** Leases on streams that nobody disturbs, some of them beside those that end. */
class Survivors {
  readonly #holds: HoldStream[] = [];
  readonly #session: SessionStream;
  readonly #leases: Lease[] = [];

  constructor() {
    for (let at = 0; at < SURVIVORS; at += 1) {
      this.#holds.push(HoldStream.acquire(address, `keep/${at}`, { ttl: span(6000) }));
    }
    this.#session = new SessionStream(address);
  }

  async stand(): Promise<void> {
    for (const hold of this.#holds) this.#leases.push(await hold.granted());
    for (let at = 0; at < SURVIVORS; at += 1) {
      this.#leases.push(await this.#session.lock(`keep/s${at}`, { ttl: span(6000) }));
    }
  }

  /** What is wrong with them. */
  async faults(): Promise<string[]> {
    const ended = this.#holds.flatMap(({ ended }) => ended ?? []).concat(this.#session.ended ?? []);
    const lost = [...this.#holds.flatMap((hold) => hold.of('lost')), ...this.#session.of('lost')];
    const checks = await Promise.all(
      this.#leases.map(({ resources, fencing_token }) =>
        replica.client.checkToken(resources[0]!, fencing_token),
      ),
    );
    const gone = this.#leases.filter((_, at) => !checks[at]!.current).map(({ resources }) => resources[0]);
    const idle = this.#holds.filter((hold) => hold.of('renewed').length === 0).length;
    return [...ended, ...lost, ...gone, ...(idle > 0 ? [`${idle} were never renewed`] : [])].map((fault) =>
      JSON.stringify(fault),
    );
  }

  end(): void {
    for (const hold of this.#holds) hold.cancel();
    this.#session.cancel();
  }
}

/** Pairs of unary calls, until it is told to stop. */
class Load {
  pairs = 0;
  readonly faults: string[] = [];
  #stopped = false;
  readonly #loops = Array.from({ length: PAIRS_AT_ONCE }, (_, at) => this.#loop(at));

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#loops);
  }

  async #loop(at: number): Promise<void> {
    while (!this.#stopped) {
      try {
        const lease = await replica.client.lock(`load/${at}`);
        if (!(await replica.client.release(lease.lease_id))) this.faults.push('a pair released nothing');
        this.pairs += 1;
      } catch (error) {
        this.faults.push(String(error));
      }
    }
  }
}

/** Client processes that are killed where they stand; what of theirs is still there when it should not be. */
async function killed(number: number, graceMs: number): Promise<string[]> {
  const { client } = replica;
  const names = (kind: string, count: number) =>
    Array.from({ length: count }, (_, at) => `crowd/${number}/${kind}/${at}`);
  const waits = names('wait', WAITED);
  const blocker = await client.lock(waits, { owner: 'blocker' });
  const holds = names('hold', HELD);
  const inSession = names('session', IN_SESSION);
  const crowd = await Crowd.start(address, {
    connections: 3,
    ttlMs: 20_000,
    graceMs,
    holds,
    waits,
    inSession,
  });
  const atMs = Date.now();
  await crowd.kill();
  const next = await client.lock([...holds, ...inSession], { owner: 'next', wait: { seconds: 15 } });
  const takenMs = Number(next.acquire_time!.seconds) * 1000 + next.acquire_time!.nanos / 1e6;
  await client.release(blocker.lease_id);
  const rest = await client.lock(waits, { owner: 'next', wait: { seconds: 15 } });
  await Promise.all([next, rest].map(({ lease_id }) => client.release(lease_id)));
  return takenMs - atMs < graceMs ? [`killed: granted on ${takenMs - atMs} ms after, in its grace`] : [];
}

test(`${TRIALS + CROWDS * (HELD + WAITED + IN_SESSION)} streams end as they may, and nothing is left over (HOLDFAST_SEED=${SEED})`, {
  timeout: 150_000,
}, async () => {
  const random = new SeededRandom(SEED);
  const trials = Array.from({ length: TRIALS }, (_, number) => drawn(number, () => random.fraction()));
  // Whatever is opened once and stays, like the client of the test.
  await replica.client.release((await replica.client.lock('first')).lease_id);
  const before = { handles: handles(), listeners: listeners(), timers: timers.count };

  const survivors = new Survivors();
  await survivors.stand();
  const shared = await Promise.all(Array.from({ length: 4 }, () => BareConnection.to(address)));
  // On the very connections on which others end.
  const beside = shared.map((connection, at) =>
    connection.hold({ acquire: { resources: [`beside/${at}`], owner: 'beside', ttl: span(6000) } }),
  );
  for (const hold of beside) await hold.granted();
  const load = new Load();
  const faults: string[] = [];
  const ground = { replica, shared, silenceMs: SILENCE_MS };
  const queue = trials.values();
  const work = async () => {
    for (const trial of queue) faults.push(...(await new Trial(ground, trial).run()));
  };
  const crowds = async () => {
    for (let at = 0; at < CROWDS; at += 1) faults.push(...(await killed(at, at % 2 === 0 ? 0 : 700)));
  };
  await Promise.all([...Array.from({ length: AT_ONCE }, work), crowds()]);
  await load.stop();

  expect(faults).toEqual([]);
  expect(await survivors.faults()).toEqual([]);
  expect(beside.map(({ closed, status }) => ({ closed, status }))).toEqual(
    beside.map(() => ({ closed: false, status: undefined })),
  );
  expect(load.faults).toEqual([]);
  expect(load.pairs).toBeGreaterThan(0);
  expect(new Set(trials.map(({ kind, state }) => `${kind} ${state}`)).size).toBe(2 * KINDS.length);
  await until('only the survivors keep leases', async () => {
    return (await metric('holdfast_kept_leases')) === 2 * SURVIVORS + beside.length;
  });

  survivors.end();
  for (const connection of shared) connection.close();
  await until('nobody keeps, waits or owes', async () => {
    const left = await Promise.all(
      ['holdfast_kept_leases', 'holdfast_waiters', 'holdfast_undos_owed'].map((name) => metric(name)),
    );
    return left.every((count) => count === 0);
  });
  // A trial that was held again leaves its first leases to their ttl.
  await until('nothing is locked', async () => (await replica.client.list()).locks.length === 0);
  let left: unknown;
  await until('all handles, timers and listeners are gone', () => {
    left = { handles: handles(), listeners: listeners(), timers: timers.count };
    const sockets = handles().TCPSocketWrap ?? 0;
    return (
      sockets <= (before.handles.TCPSocketWrap ?? 0) &&
      timers.count <= before.timers &&
      listeners() === before.listeners
    );
  }).catch((error: unknown) => {
    throw new Error(`${String(error)}: ${JSON.stringify({ before, left })}`);
  });
});
