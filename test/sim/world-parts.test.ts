/** Connections and nodes of the simulated world: a mistake in them would take the simulation its teeth. */
import { describe, expect, test } from 'vitest';
import type { Answer, HoldOp, Stamp } from '../../src/nodes/node.ts';
import { bootstrap } from '../../src/quorum/bootstrap.ts';
import type { Fault, Plan } from './plan.ts';
import { Chance } from './world/chance.ts';
import { MachineClock } from './world/clocks.ts';
import { durableRuns } from './world/faults.ts';
import { Member } from './world/member.ts';
import { Network } from './world/network.ts';
import { NodeProcess } from './world/node-process.ts';
import { Process } from './world/process.ts';
import { Timeline } from './world/timeline.ts';

const TTL_MS = 1000;
const TIMEOUT_MS = 50;

function planWith(faults: readonly Fault[]): Plan {
  return {
    seed: 1,
    nodes: 3,
    replicas: 1,
    clients: [],
    resources: ['r'],
    longestTtlMs: TTL_MS,
    nodeTimeoutMs: TIMEOUT_MS,
    livenessMs: 1000,
    delayMs: [1, 2],
    faults,
    healMs: 0,
    endMs: 0,
  };
}

const stamp: Omit<Stamp, 'runId'> = { nodeId: 'n', cluster: 'c', longestTtlMs: TTL_MS };

function holding(resource: string, token: bigint): HoldOp {
  const lease = { secret: `s${token}`, token, value: `s${token}|${token}`, leaseRef: `l${token}` };
  return { kind: 'hold', ...lease, resources: [resource], ttlMs: TTL_MS, owner: 'o', card: '{}', seen: 0n };
}

/** One node that votes, and one replica's connection to it. */
async function pair(faults: readonly Fault[] = []) {
  const timeline = new Timeline(0);
  const network = new Network(timeline, planWith(faults));
  const node = new NodeProcess({
    id: 'n',
    timeline,
    clock: new MachineClock(timeline),
    chance: new Chance(1, 'node'),
    durable: () => true,
    journal: true,
  });
  const process = new Process(timeline, new MachineClock(timeline));
  const member = new Member({
    timeline,
    network,
    process,
    chance: new Chance(1, 'replica'),
    link: { replica: 0, node: 0 },
    node,
    timeoutMs: TIMEOUT_MS,
    replica: 'a',
    onDefect: (cause) => timeline.fail(cause),
  });
  const admitted: string[] = [];
  member.onReady = ({ runId }) => admitted.push(runId);
  const made = bootstrap({
    nodes: [member],
    cluster: stamp.cluster,
    longestTtlMs: TTL_MS,
    clock: process,
    random: new Chance(1, 'bootstrap'),
  });
  made.then(
    () => member.admit({ runId: admitted[0]!, ...stamp }),
    (cause: unknown) => timeline.fail(cause),
  );
  await timeline.run(100);
  return { timeline, network, node, process, member, admitted };
}

type Pair = Awaited<ReturnType<typeof pair>>;

/** When the answer came, and what it was. */
function asking({ member, timeline }: Pair, op: HoldOp): { atMs?: number; answer?: Answer } {
  const heard: { atMs?: number; answer?: Answer } = {};
  void member.ask(op).then((answer) => Object.assign(heard, { atMs: timeline.nowMs, answer }));
  return heard;
}

const holderOf = ({ node }: Pair, resource: string): bigint | undefined =>
  node.look(resource, stamp)?.holder?.token;

const token = (number: number): bigint => 1_800_000_000_000_000n + BigInt(number);

describe('a connection', () => {
  test('asks once for what is posted in one turn, and the node decides it at one time', async () => {
    const world = await pair();
    const before = world.network.messages;
    const [one, other] = [asking(world, holding('r', token(1))), asking(world, holding('r', token(2)))];
    await world.timeline.run(110);
    expect([one.answer?.kind, other.answer?.kind]).toEqual(['held', 'conflict']);
    expect(world.network.messages - before).toBe(2);
  });

  test('counts an answer that comes too late as silence; the vote took effect all the same', async () => {
    const slow: Fault = { kind: 'delay', atMs: 200, untilMs: 300, direction: 'in', share: 1, ms: [400, 400] };
    const world = await pair([slow]);
    await world.timeline.run(210);
    const heard = asking(world, holding('r', token(1)));
    await world.timeline.run(300);
    expect(heard.answer).toMatchObject({ kind: 'silent', why: 'timeout' });
    expect(Math.round(heard.atMs!)).toBe(210 + TIMEOUT_MS);
    expect(holderOf(world, 'r')).toBeUndefined();
    await world.timeline.run(700);
    expect(holderOf(world, 'r')).toBe(token(1));
  });

  test('keeps its order; what a broken one has under way is overtaken by the next', async () => {
    const slow: Fault = { kind: 'delay', atMs: 200, untilMs: 205, direction: 'in', share: 1, ms: [500, 500] };
    const world = await pair([slow]);
    await world.timeline.run(201);
    const first = asking(world, holding('r', token(1)));
    await world.timeline.run(206);
    const second = asking(world, holding('r', token(2)));
    await world.timeline.run(230);
    // Behind the slow one, by the same connection.
    expect([second.answer, holderOf(world, 'r')]).toEqual([undefined, undefined]);
    world.member.reset();
    await world.timeline.run(450);
    expect([first.answer, second.answer]).toMatchObject([{ kind: 'silent' }, { kind: 'silent' }]);
    world.member.admit({ runId: world.admitted[0]!, ...stamp });
    const third = asking(world, holding('r', token(3)));
    await world.timeline.run(500);
    expect(third.answer?.kind).toBe('held');
    await world.timeline.run(800);
    expect(holderOf(world, 'r')).toBe(token(3));
  });

  test('through a cut: what is held back arrives at its end, what is dropped never', async () => {
    for (const manner of ['hold', 'drop'] as const) {
      const cut: Fault = { kind: 'cut', atMs: 200, untilMs: 400, direction: 'out', manner };
      const world = await pair([cut]);
      await world.timeline.run(210);
      const heard = asking(world, holding('r', token(1)));
      await world.timeline.run(390);
      expect(heard.answer).toMatchObject({ kind: 'silent' });
      expect(holderOf(world, 'r')).toBe(token(1));
      const before = world.member.latencyMs;
      await world.timeline.run(450);
      // Only what arrives is measured.
      expect(world.member.latencyMs > before).toBe(false);
      expect(holderOf(world, 'r')).toBe(token(1));
    }
  });

  test('to a node that crashed is over, and the next one finds another run', async () => {
    const world = await pair();
    let lost = '';
    world.member.onLost = (detail) => {
      lost = detail;
    };
    world.node.crash();
    await world.timeline.run(400);
    expect(lost).toBe('connection lost');
    world.node.restart('lost');
    await world.timeline.run(1500);
    expect(new Set(world.admitted).size).toBe(2);
    expect(holderOf(world, 'r')).toBeUndefined();
  });

  test('of a killed replica stays silent', async () => {
    const world = await pair();
    world.process.kill();
    const before = world.network.messages;
    asking(world, holding('r', token(1)));
    await world.timeline.run(3000);
    expect(world.network.messages).toBe(before);
  });
});

describe('a node', () => {
  test('that stands still answers afterwards', async () => {
    const world = await pair();
    world.node.pause();
    const heard = asking(world, holding('r', token(1)));
    await world.timeline.run(400);
    expect([heard.answer, holderOf(world, 'r')]).toMatchObject([{ why: 'timeout' }, undefined]);
    world.node.resume();
    await world.timeline.run(410);
    expect(holderOf(world, 'r')).toBe(token(1));
  });

  test('that lost its last writes has exactly the others', async () => {
    const world = await pair();
    asking(world, holding('early', token(1)));
    await world.timeline.run(200);
    asking(world, holding('late', token(2)));
    await world.timeline.run(300);
    expect([holderOf(world, 'early'), holderOf(world, 'late')]).toEqual([token(1), token(2)]);
    world.node.crash();
    world.node.restart({ untilMs: 150 });
    await world.timeline.run(310);
    const after = ['early', 'late'].map((resource) => world.node.look(resource, stamp));
    // Another run: it does not vote, and says so.
    expect(after).toEqual([undefined, undefined]);
    await world.timeline.run(900);
    const [previousRunId, runId] = world.admitted as [string, string];
    void world.member.admin({ kind: 'inherit', previousRunId, runId, durable: true });
    await world.timeline.run(1000);
    expect(world.node.look('early', stamp)?.fence?.token).toBe(token(1));
    expect(world.node.look('late', stamp)).toBeNull();
  });

  test('flushes every write in each run that ends by a crash that keeps all', () => {
    const crash = (atMs: number, memory: 'durable' | 'tail' | 'empty'): Fault => ({
      kind: 'crash',
      atMs,
      untilMs: atMs + 100,
      node: 0,
      memory,
      lostMs: 10,
    });
    // The second begins while the node is down, and does not happen.
    const plan = planWith([
      crash(0, 'durable'),
      crash(50, 'tail'),
      crash(200, 'tail'),
      crash(400, 'durable'),
    ]);
    expect([1, 2, 3, 4].map(durableRuns(plan, 0))).toEqual([true, false, true, true]);
    expect(durableRuns(plan, 1)(1)).toBe(false);
  });
});
