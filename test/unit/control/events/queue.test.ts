/** The queue of events beside a list that does the same the slow way. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Priority } from '../../../../src/control/events/event.ts';
import { EventQueue } from '../../../../src/control/events/queue.ts';

interface Event {
  readonly seq: number;
  readonly priority: Priority;
}

/** The first that gives way; undefined while there is room. */
function slowly(list: Event[], event: Event, capacity: number): Event | undefined {
  list.push(event);
  if (list.length <= capacity) return undefined;
  const routine = list.findIndex(({ priority }) => priority === 'routine');
  return list.splice(Math.max(0, routine), 1)[0];
}

test('has the events, the order and the losses of a list, whatever comes and goes', () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom<Priority>('now', 'routine') },
    { weight: 1, arbitrary: fc.nat(5) },
  );
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 6 }), fc.array(step, { maxLength: 60 }), (capacity, steps) => {
      const queue = new EventQueue<Event>(capacity);
      const list: Event[] = [];
      for (const [seq, each] of steps.entries()) {
        if (typeof each === 'number') expect(queue.take(each)).toEqual(list.splice(0, each));
        else {
          const event = { seq, priority: each };
          expect(queue.push(event)).toEqual(slowly(list, event, capacity));
        }
        expect(queue.size).toBe(list.length);
      }
      expect(queue.take(Number.POSITIVE_INFINITY)).toEqual(list);
    }),
  );
});

test('keeps what is urgent from a flood of routine', () => {
  const queue = new EventQueue<Event>(100);
  queue.push({ seq: 0, priority: 'now' });
  for (let seq = 1; seq <= 10_000; seq += 1) queue.push({ seq, priority: 'routine' });
  const left = queue.take(Number.POSITIVE_INFINITY);
  expect([left.length, left[0], left.at(-1)!.seq]).toEqual([100, { seq: 0, priority: 'now' }, 10_000]);
});
