/** The ring: bounded whatever comes, in order, and without a hold on what has left. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Ring } from '../../../src/std/ring.ts';

interface Thing {
  readonly at: number;
}

test('gives back what was put in, in order, and drops the oldest when it is full', () => {
  const ring = new Ring<Thing>(3);
  const gone = [1, 2, 3, 4, 5].map((at) => ring.push({ at })?.at);
  expect(gone).toEqual([undefined, undefined, undefined, 1, 2]);
  expect(ring.size).toBe(3);
  expect(ring.all().map(({ at }) => at)).toEqual([3, 4, 5]);
  expect(ring.take(2).map(({ at }) => at)).toEqual([3, 4]);
  expect(ring.take(9).map(({ at }) => at)).toEqual([5]);
  expect(ring.take(9)).toEqual([]);
});

test('behaves as a list that is cut at its front', () => {
  const step = fc.oneof(fc.constant('push' as const), fc.nat({ max: 4 }));
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.array(step, { maxLength: 60 }), (capacity, steps) => {
      const ring = new Ring<Thing>(capacity);
      let list: number[] = [];
      let next = 0;
      for (const what of steps) {
        if (what === 'push') {
          const gone = ring.push({ at: next });
          list.push(next);
          next += 1;
          expect(gone?.at).toBe(list.length > capacity ? list.shift() : undefined);
        } else {
          expect(ring.take(what).map(({ at }) => at)).toEqual(list.slice(0, what));
          list = list.slice(what);
        }
        expect(ring.size).toBe(list.length);
        expect(ring.all().map(({ at }) => at)).toEqual(list);
      }
    }),
  );
});
