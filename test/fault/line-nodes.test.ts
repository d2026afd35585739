/** A node that dies or stands still under a long line costs time, never a turn: each waiter is served, and once. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Desk } from '../harness/desk.ts';
import { inspected, Scene } from '../harness/scene.ts';
import { Turns } from '../harness/turns.ts';
import { until } from '../harness/until.ts';

const NAME = 'gpu/0';
const CLIENTS = 50;

let scene: Scene;
let desks: readonly Desk[];

async function open(nodes: number): Promise<void> {
  scene = await Scene.open(nodes);
  desks = await scene.desks(2);
}
afterEach(() => scene.close());

/** All wait when the first one lets go; `during` acts while somebody holds, by the number of the grant. */
async function throughTheLine(during: (turn: number) => unknown): Promise<Turns> {
  const turns = new Turns();
  const first = await desks[0]!.lock(NAME, { owner: 'first', ttlMs: 20_000 });
  const waiters = Array.from({ length: CLIENTS }, (_, index) => {
    const ask = { owner: `w${index}`, resources: [NAME], ttlMs: 20_000 };
    return turns.take(desks[index % 2]!, ask, () => during(turns.order.length));
  });
  await scene.queued(NAME, CLIENTS);
  await desks[0]!.release(first);
  await Promise.all(waiters);
  return turns;
}

function expectEachOnce({ faults, order }: Turns): void {
  expect(faults).toEqual([]);
  expect(new Set(order).size, `served: ${order.join(' ')}`).toBe(CLIENTS);
  expect(order).toHaveLength(CLIENTS);
}

describe(`${CLIENTS} waiters at two replicas are each served once, one at a time,`, () => {
  beforeEach(() => open(3));

  test.each([0, 1, 2])('when node %i is killed in the middle', async (node) => {
    const turns = await throughTheLine((turn) => turn === 10 && scene.nodes.servers[node]!.kill('SIGKILL'));
    expectEachOnce(turns);
    expect((await inspected(desks[1]!, NAME)).waiters).toEqual([]);
  });

  test('when a node is killed while one hand-off is under way', async () => {
    const turns = await throughTheLine((turn) => {
      // Not waited for: the release goes out first.
      if (turn === 10) void scene.nodes.servers[1]!.kill('SIGKILL');
    });
    expectEachOnce(turns);
  });

  test.each([
    ['a moment', () => {}],
    ['so long that both replicas count it as silent', silent],
  ])('when a node stands still for %s and goes on again', async (_, stood) => {
    const server = scene.nodes.servers[1]!;
    const turns = await throughTheLine(async (turn) => {
      if (turn === 10) {
        server.pause();
        await stood();
      }
      if (turn === 30) server.resume();
    });
    expectEachOnce(turns);
    // It has caught up with what it missed: nobody holds, nobody stands there, and the lock can be had.
    await scene.queued(NAME, 0);
    await scene.nodes.free(NAME);
    expect((await desks[1]!.lock(NAME, { owner: 'after' })).owner).toBe('after');
  });
});

test(`${CLIENTS} waiters are each served once when two of five nodes are killed, one after the other`, async () => {
  await open(5);
  const killing = new Map([
    [10, 0],
    [20, 3],
  ]);
  const turns = await throughTheLine((turn) => scene.nodes.servers[killing.get(turn) ?? -1]?.kill('SIGKILL'));
  expectEachOnce(turns);
});

async function silent(): Promise<void> {
  await until('both replicas count node 1 as silent', () =>
    desks.every(({ states }) => states[1] === 'silent'),
  );
}
