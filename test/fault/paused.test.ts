/** A replica process that stands still and wakes up promises nothing that is over; one that cannot tell that it stood still does. */
import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Desk } from '../harness/desk.ts';
import { linksTo } from '../harness/link.ts';
import { HoldStream } from '../harness/lock-streams.ts';
import { ReplicaProcess, type RpcClient, span } from '../harness/replica.ts';
import { here, Scene } from '../harness/scene.ts';
import { until } from '../harness/until.ts';

const TTL_MS = 1000;
/** Longer than any pause: that an answer is late must be known by the count, and by nothing else. */
const env = { HOLDFAST_NODE_TIMEOUT: '10s', HOLDFAST_MAX_TTL: '20s', HOLDFAST_DEFAULT_TTL: '20s' };
/**
 * What a replica knows of the time in which it was stopped: all, only its wall clock's word (its machine slept), or
 * nothing. The nodes' clocks seem to jump to the last two: each has nodes of its own, which it makes suspect at once.
 */
const kinds = ['awake', 'suspended', 'blind'] as const;
type Kind = (typeof kinds)[number];

interface Seat {
  readonly scene: Scene;
  readonly replica: ReplicaProcess;
  readonly net: Awaited<ReturnType<typeof linksTo>>;
  readonly rival: Desk;
}

const seats = new Map<Kind, Seat>();

beforeAll(async () => {
  for (const seat of await Promise.all(kinds.map(sit))) seats.set(...seat);
});
afterAll(() => Promise.all([...seats.values()].map(({ scene }) => scene.close())));

async function sit(kind: Kind): Promise<[Kind, Seat]> {
  const scene = await Scene.open();
  const rival = await scene.desk({ nodeTimeoutMs: 2000 });
  const net = await linksTo(scene.nodes.servers);
  scene.onClose(() => net.close());
  const within = kind === 'awake' ? [] : [process.execPath, here('./blind-replica.ts'), kind];
  const replica = await ReplicaProcess.start(net.list, env, within);
  scene.onClose(() => replica.stop());
  return [kind, { scene, replica, net, rival }];
}

function holdAnswers({ net }: Seat): void {
  for (const link of net.links) link.hold('out');
}

/** The answers of the nodes arrive while the replica stands still, and it stands so until `over`. */
async function standsStill({ replica, net }: Seat, over: () => Promise<unknown>): Promise<void> {
  await replica.pause();
  for (const link of net.links) link.flow();
  await over();
  replica.resume();
}

const passed = (ms: number) => {
  const begunMs = performance.now();
  return until(`${ms} ms are over`, () => performance.now() > begunMs + ms);
};

const how = (answer: Promise<unknown>): Promise<string> =>
  answer.then(
    () => 'promised',
    ({ code }: { code: status }) => status[code],
  );

function ask({ client }: { client: RpcClient }, resource: string, waitMs?: number): Promise<string> {
  const call = waitMs === undefined ? {} : { deadline: Date.now() + waitMs };
  return how(client.acquire({ resources: [resource], ttl: span(TTL_MS) }, call));
}

async function expiries({ scene }: Seat, resource: string): Promise<number[]> {
  const records = await Promise.all([0, 1, 2].map((node) => scene.nodes.record(node, resource)));
  return records.map((record) => record?.expiryMicros ?? 0);
}

/** Resolves once every node keeps it for longer than it did: what was asked was executed. */
async function extended(seat: Seat, resource: string, beforeMicros: number): Promise<void> {
  await until(`${resource} is kept longer`, async () =>
    (await expiries(seat, resource)).every((micros) => micros > beforeMicros),
  );
}

/** Votes, an extension, a renewal and a call that is given up are all answered while the replica stands still. */
async function longPause(kind: Kind) {
  const seat = seats.get(kind)!;
  const { replica, rival, scene } = seat;
  const stream = HoldStream.acquire(replica.address, 'stream', { ttl: span(TTL_MS) });
  scene.onClose(() => stream.cancel());
  await stream.renewals(1);
  const { lease_id } = await replica.client.lock('heartbeat', { ttl: span(TTL_MS) });
  holdAnswers(seat);
  const renewedMicros = Math.max(...(await expiries(seat, 'stream')));
  const grantedMicros = Math.max(...(await expiries(seat, 'heartbeat')));
  await extended(seat, 'stream', renewedMicros);
  const calls = [
    ask(replica, 'votes'),
    ask(replica, 'given-up', TTL_MS),
    how(replica.client.heartbeat(lease_id)),
  ];
  await Promise.all([
    ...['votes', 'given-up'].map((name) => extended(seat, name, 0)),
    extended(seat, 'heartbeat', grantedMicros),
  ]);
  const told = stream.events.length;
  await standsStill(seat, async () => {
    const over = passed(3 * TTL_MS);
    for (const name of ['votes', 'heartbeat', 'stream']) {
      const asking = async () =>
        (await rival.acquire(name, { owner: 'rival', ttlMs: 20_000 })).kind === 'lease';
      await until(`somebody else has ${name}`, asking);
    }
    await over;
  });
  const [votes, givenUp, heartbeat] = await Promise.all(calls);
  await stream.over();
  await scene.nodes.free('given-up');
  return { votes, givenUp, heartbeat, stream: stream.events[told]?.event, lost: stream.of('lost').length };
}

test('for a tenth of the ttl, what the nodes answered meanwhile is granted', async () => {
  const seat = seats.get('awake')!;
  holdAnswers(seat);
  const answer = ask(seat.replica, 'short');
  await extended(seat, 'short', 0);
  await standsStill(seat, () => passed(0.1 * TTL_MS));
  expect(await answer).toBe('promised');
});

test('for three ttls, nothing is promised that others have by then, unless no clock tells of the time', async () => {
  const safe = {
    votes: 'UNAVAILABLE',
    heartbeat: 'UNAVAILABLE',
    givenUp: 'DEADLINE_EXCEEDED',
    stream: 'lost',
    lost: 1,
  };
  const [awake, suspended, blind] = await Promise.all(kinds.map(longPause));
  expect(awake).toEqual(safe);
  // Its wall clock tells, though the monotonic one stood still.
  expect(suspended).toEqual(safe);
  // The rival holds all three.
  expect(blind).toEqual({ ...safe, votes: 'promised', heartbeat: 'promised', stream: 'renewed' });
});

test('while it waits, the next one goes on, and it is served after that one, before who came later', async () => {
  const { scene } = seats.get('awake')!;
  const name = 'line';
  const livenessMs = 1000;
  const [other, stopped] = [
    await scene.desk({ waiting: { livenessMs } }),
    await scene.process({ HOLDFAST_WAITER_LIVENESS: `${livenessMs}ms` }),
  ];
  const held = await other.lock(name, { ttlMs: 20_000 });
  const waiting = stopped.client.lock(name, { owner: 'stopped', wait: span(30_000), ttl: span(20_000) });
  await scene.queued(name, 1);
  const wait = { waitMs: 30_000, ttlMs: 20_000 };
  const next = other.lock(name, { owner: 'next', ...wait });
  await scene.queued(name, 2);
  await stopped.pause();
  const releasedMs = performance.now();
  await other.release(held);
  const second = await next;
  // Its liveness, a look, and what a busy machine takes.
  expect(performance.now() - releasedMs).toBeLessThan(livenessMs + 3000);
  const behind = other.lock(name, { owner: 'behind', ...wait });
  await scene.queued(name, 1);
  // The release, a wake, and its own timers are all waiting for it.
  stopped.resume();
  await scene.queued(name, 2);
  await other.release(second);
  const third = await waiting;
  expect(BigInt(third.fencing_token)).toBeGreaterThan(second.token);
  expect(await stopped.client.release(third.lease_id)).toBe(true);
  expect((await behind).token).toBeGreaterThan(BigInt(third.fencing_token));
});
