/** The rows of those who wait at one replica: their order, who leads them, and when nobody is left in one. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Mode } from '../../../src/domain/lease.ts';
import { goesBefore, Places } from '../../../src/locks/places.ts';
import { Waiter } from '../../../src/locks/waiter.ts';
import type { Place } from '../../../src/nodes/node.ts';
import { placed } from './world.ts';

function waiterOf(id: string, order: number, changes: Partial<Place> = {}): Waiter {
  return new Waiter(placed({ id, order, ticket: order, ...changes }), 3, 2);
}

const idsIn = (places: Places, resource = 'r'): string[] => places.row(resource).map(({ place }) => place.id);

describe('goesBefore', () => {
  test('orders by order, then by the bytes of the id, and nobody goes before itself', () => {
    const all = [1, 2].flatMap((order) => ['A', 'Z', '_', 'a', 'aa'].map((id) => ({ order, id })));
    all.forEach((a, at) => {
      all.forEach((b, other) => {
        expect(goesBefore(a, b), `${JSON.stringify(a)} ${JSON.stringify(b)}`).toBe(at < other);
      });
    });
  });
});

describe('a row', () => {
  const entries = fc.uniqueArray(
    fc.record({ id: fc.string({ minLength: 1, maxLength: 2, unit: 'grapheme-ascii' }), order: fc.nat(5) }),
    { selector: ({ id }) => id, maxLength: 20 },
  );

  test('stands in order with ties, however its waiters came, moved and went', () => {
    fc.assert(
      fc.property(entries, fc.array(fc.nat(), { maxLength: 20 }), (all, choices) => {
        const places = new Places();
        const waiters = all.map(({ id, order }) => waiterOf(id, order + 10));
        for (const waiter of waiters) places.add(waiter);
        for (const choice of choices) {
          const waiter = waiters[choice % Math.max(1, waiters.length)];
          if (waiter === undefined) break;
          if (choice % 3 === 0) {
            places.remove(waiter);
            waiters.splice(waiters.indexOf(waiter), 1);
          } else {
            waiter.place = { ...waiter.place, order: waiter.place.order - (choice % 4) };
            places.moved(waiter);
          }
        }
        const sorted = waiters.map(({ place }) => place).sort((a, b) => (goesBefore(a, b) ? -1 : 1));
        expect(idsIn(places)).toEqual(sorted.map(({ id }) => id));
        expect(places.count).toBe(waiters.length);
        expect([...places.all()]).toHaveLength(waiters.length);
      }),
    );
  });

  test('tells who came to an empty one, and which ones are empty after who went', () => {
    const places = new Places();
    const [single, gang] = [waiterOf('a', 1), waiterOf('b', 2, { resources: ['q', 'r', 's'] })];
    expect(places.add(single)).toEqual(['r']);
    expect(places.add(gang)).toEqual(['q', 's']);
    expect([idsIn(places, 'q'), idsIn(places), idsIn(places, 's')]).toEqual([['b'], ['a', 'b'], ['b']]);
    expect(places.remove(gang)).toEqual(['q', 's']);
    expect(places.remove(gang)).toEqual([]);
    expect(places.remove(single)).toEqual(['r']);
    expect([places.count, places.row('r')]).toEqual([0, []]);
  });

  test('moves a gang in each of its rows, and nobody who is not there', () => {
    const places = new Places();
    const gang = waiterOf('g', 5, { resources: ['q', 'r'] });
    for (const waiter of [waiterOf('a', 1), waiterOf('b', 2, { resources: ['q'] }), gang]) places.add(waiter);
    gang.place = { ...gang.place, order: 0 };
    places.moved(gang);
    expect([idsIn(places, 'q'), idsIn(places)]).toEqual([
      ['g', 'b'],
      ['g', 'a'],
    ]);
    places.moved(waiterOf('stranger', 0));
    expect(idsIn(places)).toEqual(['g', 'a']);
  });

  test('keeps the later of two waiters with one id when the earlier one goes', () => {
    const places = new Places();
    const [first, second] = [waiterOf('same', 1), waiterOf('same', 2)];
    for (const waiter of [first, second]) places.add(waiter);
    expect(places.byId('same')).toBe(second);
    expect(places.remove(first)).toEqual([]);
    expect([places.byId('same'), places.row('r')]).toEqual([second, [second]]);
    places.remove(second);
    expect(places.byId('same')).toBeUndefined();
  });
});

describe('who leads', () => {
  const rows = fc.array(fc.constantFrom<Mode>('shared', 'exclusive'), { maxLength: 8 });

  test('is the first, or the shared ones up to the first exclusive one, so many at most', () => {
    fc.assert(
      fc.property(rows, fc.integer({ min: 1, max: 5 }), (modes, most) => {
        const places = new Places();
        for (const [at, mode] of modes.entries()) places.add(waiterOf(`w${at}`, at, { mode }));
        const led = places.leading('r', most).map(({ place }) => place);
        if (modes[0] !== 'shared') {
          expect(led.map(({ id }) => id)).toEqual(modes.length === 0 ? [] : ['w0']);
          return;
        }
        const readers = modes.includes('exclusive') ? modes.indexOf('exclusive') : modes.length;
        expect(led.map(({ id }) => id)).toEqual(
          Array.from({ length: Math.min(readers, most) }, (_, at) => `w${at}`),
        );
      }),
    );
  });
});

test('when the later of two calls of one request goes, the earlier one has its name again', () => {
  const places = new Places();
  const twin = (): Waiter => new Waiter(placed({ id: 'same', order: 1, ticket: 1 }), 3, 2, true);
  const [first, second] = [twin(), twin()];
  places.add(first);
  places.add(second);
  expect(places.byId('same')).toBe(second);
  places.remove(second);
  expect([places.byId('same') === first, places.count]).toEqual([true, 1]);
  places.remove(first);
  expect([places.byId('same'), places.count]).toEqual([undefined, 0]);
});
