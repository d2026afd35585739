/** Priority is a head start in the line and no more: who is urgent goes first, and who waits long enough goes too. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Desk } from '../harness/desk.ts';
import { inspected, Scene } from '../harness/scene.ts';
import { Turns } from '../harness/turns.ts';
import { until } from '../harness/until.ts';

const NAME = 'gpu/0';

let scene: Scene;
beforeEach(async () => {
  scene = await Scene.open();
});
afterEach(() => scene.close());

describe('a waiter of priority 9', () => {
  test('that comes last, within its head start, goes first, and the others in the order of theirs', async () => {
    const desks = await scene.desks(2);
    const turns = new Turns();
    const first = await desks[0]!.lock(NAME, { owner: 'first', ttlMs: 20_000 });
    const waiting = [];
    for (const [index, priority] of [0, 4, 0, 1, 9].entries()) {
      const ask = { owner: `w${index}-of-${priority}`, resources: [NAME], priority };
      waiting.push(turns.take(desks[index % 2]!, ask));
      await scene.queued(NAME, index + 1);
    }
    const order = ['w4-of-9', 'w1-of-4', 'w3-of-1', 'w0-of-0', 'w2-of-0'];
    const { waiters } = await inspected(desks[0]!, NAME);
    expect(waiters.map(({ owner }) => owner)).toEqual(order);
    expect(waiters.map(({ priority }) => priority)).toEqual([9, 4, 1, 0, 0]);
    await desks[1]!.release(first);
    await Promise.all(waiting);
    expect(turns.faults).toEqual([]);
    expect(turns.order).toEqual(order);
  });

  test('does not go before one that began to wait longer ago than its head start', async () => {
    const desks = await scene.desks(2, { waiting: { priorityStepMs: 20 } });
    const turns = new Turns();
    const first = await desks[0]!.lock(NAME, { owner: 'first', ttlMs: 20_000 });
    const early = turns.take(desks[0]!, { owner: 'early', resources: [NAME] });
    await scene.queued(NAME, 1);
    const sinceMs = await scene.nodeMs(0);
    await until('the head start is over', async () => (await scene.nodeMs(0)) > sinceMs + 9 * 20 + 20);
    const late = turns.take(desks[1]!, { owner: 'late', resources: [NAME], priority: 9 });
    await scene.queued(NAME, 2);
    await desks[1]!.release(first);
    await Promise.all([early, late]);
    expect(turns.order).toEqual(['early', 'late']);
  });

  test.each([1, 2])(
    'and others like it that come back at once do not starve one of priority 0, at %i replicas',
    async (count) => {
      const stepMs = 50;
      const urgent = 6;
      const desks = await scene.desks(count, { waiting: { priorityStepMs: stepMs } });
      const turns = new Turns();
      const arrivals = new Map<number, number>();
      let over = false;
      const loops = Array.from({ length: urgent }, async (_, client) => {
        const desk = desks[client % count]!;
        while (!over) {
          const arrivedMs = nodeTimeMs(desk);
          const ask = { owner: `urgent-${client}`, resources: [NAME], priority: 9 };
          await turns.take(desk, ask, () => arrivals.set(turns.order.length, arrivedMs));
        }
      });
      await turns.reached(2 * urgent);
      const sinceMs = nodeTimeMs(desks[0]!);
      let servedAt = 0;
      await turns.take(desks[0]!, { owner: 'patient', resources: [NAME] }, () => {
        servedAt = turns.order.length;
      });
      over = true;
      await Promise.all(loops);
      expect(turns.faults).toEqual([]);
      // Whoever came after its head start stands behind: at most those are served before it that stood in line then.
      const later = [...arrivals].filter(([at, ms]) => at < servedAt && ms > sinceMs + 9 * stepMs);
      expect(later.length, `of ${servedAt} turns`).toBeLessThanOrEqual(urgent);
      const earlier = [...arrivals].filter(([at, ms]) => at < servedAt && ms > sinceMs);
      expect(earlier.length, 'those of priority 9 did go first').toBeGreaterThan(urgent);
    },
  );
});

/** The time of the nodes as the tickets of a desk have it. */
function nodeTimeMs({ quorum }: Desk): number {
  return quorum.tickets.next() / 1000;
}
