/** Heads of the line that reach only a minority: the line goes on within its bound, and nobody is passed once they are back. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Answer } from '../../src/nodes/node.ts';
import { countLooks, type Desk } from '../harness/desk.ts';
import { type Link, linksTo } from '../harness/link.ts';
import { Scene } from '../harness/scene.ts';
import { Gate, Turns } from '../harness/turns.ts';
import { until } from '../harness/until.ts';

const LIVENESS_MS = 700;
const NODE_TIMEOUT_MS = 300;
/** Docs: the liveness, from when its replica has noticed: a second and one node timeout after the cut. */
const BOUND_MS = LIVENESS_MS + 1000 + NODE_TIMEOUT_MS;
/** Looks come once a second; and a busy machine. */
const SLACK_MS = 1000 + 2500;

let scene: Scene;
beforeAll(async () => {
  scene = await Scene.open();
});
afterAll(() => scene.close());

interface Seat {
  readonly desk: Desk;
  readonly links: readonly Link[];
}

async function seat(): Promise<Seat> {
  const net = await linksTo(scene.nodes.servers);
  scene.onClose(() => net.close());
  const options = { nodeTimeoutMs: NODE_TIMEOUT_MS, waiting: { livenessMs: LIVENESS_MS } };
  return { desk: await scene.desk(options, net.list), links: net.links };
}

/** From now on it reaches that one only. */
function reachOnly({ links }: Seat, node: number, how: (link: Link) => void): void {
  links.forEach((link, at) => {
    if (at !== node) how(link);
  });
}

function mend({ links }: Seat): void {
  for (const link of links) {
    link.mend();
    link.flow();
  }
}

/** What it cannot see it takes to be as what it sees: it never knows that it is cut off. */
function neverCutOff({ quorum: { votes } }: Desk): void {
  const all = votes.all.bind(votes);
  votes.all = async (op): Promise<readonly Answer[]> => {
    const answers = await all(op);
    const seen = answers.find(({ kind }) => kind === 'seen');
    return answers.map((answer) => (answer.kind === 'silent' && seen !== undefined ? seen : answer));
  };
}

const ask = (owner: string, name: string) => ({ owner, resources: [name], ttlMs: 20_000 });

/** Two heads, each of which reaches another node alone; somebody behind them reaches all. */
async function twoHeads(name: string, how: (link: Link) => void, guard: boolean) {
  const [holder, one, two, sound] = await Promise.all([seat(), seat(), seat(), seat()]);
  const turns = new Turns();
  const first = await holder.desk.lock(name, { owner: 'first', ttlMs: 20_000 });
  const waits = [turns.take(one.desk, ask('one', name))];
  await scene.queued(name, 1);
  waits.push(turns.take(two.desk, ask('two', name)));
  await scene.queued(name, 2);
  const busy = new Gate();
  waits.push(turns.take(sound.desk, ask('sound', name), () => busy.opened));
  await scene.queued(name, 3);
  if (!guard) for (const { desk } of [one, two]) neverCutOff(desk);
  reachOnly(one, 0, how);
  reachOnly(two, 1, how);
  const cutMs = performance.now();
  await holder.desk.release(first);
  const looks = countLooks(sound.desk);
  const served = (): boolean => turns.order.includes('sound');
  const enough = (): boolean => looks() > 3 && performance.now() > cutMs + BOUND_MS + 1000;
  await until('it is served, or should have been', () => served() || (!guard && enough()));
  const passed = { order: [...turns.order], withinMs: performance.now() - cutMs };
  // Whoever comes now stands behind both.
  const late = turns.take(sound.desk, ask('late', name));
  for (const head of [one, two]) mend(head);
  if (guard) await scene.queued(name, 3);
  busy.open();
  await Promise.all([...waits, late]);
  expect(turns.faults).toEqual([]);
  return { passed, order: turns.order };
}

describe('two heads of the line, cut off with another node each,', () => {
  test.each([
    ['cut', (link: Link) => link.cut()],
    ['half-open', (link: Link) => link.blackHole()],
  ])('(%s) let the one behind them go on, and are served in order when they are back', async (how, act) => {
    const { passed, order } = await twoHeads(`heads/${how}`, act, true);
    expect(passed.order).toEqual(['sound']);
    expect(passed.withinMs).toBeLessThan(BOUND_MS + SLACK_MS);
    expect(order).toEqual(['sound', 'one', 'two', 'late']);
  });

  test('that do not know it and keep their places block it for as long as they are cut off', async () => {
    const { passed, order } = await twoHeads('heads/unaware', (link) => link.cut(), false);
    expect(passed.order).toEqual([]);
    expect([...order].sort()).toEqual(['late', 'one', 'sound', 'two']);
  });
});

test('a head that is served while its client is gone for good delays the line by its ttl', async () => {
  const name = 'head/paused';
  const [holder, other] = await Promise.all([seat(), seat()]);
  const ttlMs = 800;
  const first = await holder.desk.lock(name, { owner: 'first', ttlMs: 20_000 });
  const paused = holder.desk.acquire(name, { owner: 'paused', ttlMs, waitMs: 60_000 });
  await scene.queued(name, 1);
  const next = other.desk.lock(name, { owner: 'next', ttlMs: 20_000, waitMs: 60_000 });
  await scene.queued(name, 2);
  await holder.desk.release(first);
  const lease = await paused;
  const grantedMs = performance.now();
  const after = await next;
  const idleMs = performance.now() - grantedMs;
  expect(idleMs).toBeLessThan(ttlMs + SLACK_MS);
  if (lease.kind !== 'lease') throw new Error(`the head was not served: ${lease.kind}`);
  expect(after.acquireTimeMs).toBeGreaterThan(lease.acquireTimeMs);
  expect(after.token).toBeGreaterThan(lease.token);
  // By its own count it had lost it before anybody else asked for it with success.
  expect(Date.now()).toBeGreaterThan(lease.expireTimeMs);
  expect((await holder.desk.heartbeat(lease)).kind).toBe('refusal');
});
