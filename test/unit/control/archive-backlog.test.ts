/** The archive's queue beside a list that does the same the slow way. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Backlog } from '../../../src/control/archive/backlog.ts';
import type { NewRow } from '../../../src/control/archive/store.ts';

const rowAt = (timeUs: number): NewRow => ({ timeUs }) as NewRow;

test('has the rows of a list, in its order, whatever comes, goes and comes back', () => {
  const step = fc.record({ does: fc.constantFrom('push', 'take', 'return'), count: fc.nat(3000) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const backlog = new Backlog();
      let list: NewRow[] = [];
      let taken: NewRow[] = [];
      let timeUs = 0;
      for (const { does, count } of steps) {
        if (does === 'push') {
          for (let at = 0; at < count; at += 1) {
            timeUs += 1;
            // Not all of them come in their order.
            const row = rowAt(timeUs % 7 === 0 ? timeUs - 5 : timeUs);
            backlog.push(row);
            list.push(row);
          }
        } else if (does === 'take') {
          taken = list.splice(0, count);
          expect(backlog.take(count)).toEqual(taken);
        } else {
          backlog.putBack(taken);
          list = [...taken, ...list];
          taken = [];
        }
        expect(backlog.size).toBe(list.length);
        expect(backlog.oldestUs).toBe(list.reduce((least, row) => Math.min(least, row.timeUs), Infinity));
      }
    }),
    { numRuns: 60 },
  );
});
