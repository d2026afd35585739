/** Keys of the archive's rows: the same for the same event, growing with time, and good for page tokens. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { cursorAt, placeOf } from '../../../src/control/archive/cursor.ts';
import { rowOfEvent } from '../../../src/control/archive/row.ts';

type Event = Parameters<typeof rowOfEvent>[0];

const GRANTED: Event = {
  type: 'granted',
  timeMs: 1_800_000_000_000.5,
  resource: 'gpu/0',
  owner: 'worker',
  leaseRef: 'AbCdEfGhIjKlMnOp',
  token: 1_800_000_000_000_500n,
  reason: '',
};
const keyOf = (more: Partial<Event>): string => rowOfEvent({ ...GRANTED, ...more }).key;
const tokens = fc.bigInt({ min: 1n, max: 2n ** 63n - 1n });

test('the key of a later token is the greater one, byte by byte', () => {
  fc.assert(
    fc.property(tokens, tokens, (a, b) => {
      const [one, other] = [keyOf({ token: a }), keyOf({ token: b })].map((key) =>
        Buffer.from(key, 'latin1'),
      );
      if (a !== b) expect(Buffer.compare(one!, other!)).toBe(a < b ? -1 : 1);
    }),
  );
});

test('who waits has no token: its key is as late as it came', () => {
  const queued = { type: 'queued', token: 0n, leaseRef: '' } as const;
  const [early, late] = [1, 2].map((ms) => keyOf({ ...queued, timeMs: GRANTED.timeMs + ms }));
  expect(early! > keyOf({})).toBe(true);
  expect(late! > early!).toBe(true);
});

test('one event has one key, whoever saw it, and no other event has it', () => {
  expect(keyOf({ timeMs: 1, owner: 'unknown', reason: 'seen later' })).toBe(keyOf({}));
  const others = [{ type: 'released' }, { resource: 'gpu/1' }, { leaseRef: 'other' }, { token: 7n }] as const;
  expect(new Set([{}, ...others].map(keyOf)).size).toBe(5);
});

test('an end whose owner is unknown names the key of its grant', () => {
  const { grantKey } = rowOfEvent({ ...GRANTED, type: 'released', owner: '' });
  expect(grantKey).toBe(keyOf({}));
});

test.each(['k'.repeat(22), keyOf({})])('a page token can end at key %s', (key) => {
  const asked = { resource: 'gpu/0', owner: '' };
  const place = { timeUs: 7, token: '7'.padStart(20, '0'), step: 1, key };
  expect(placeOf(cursorAt(place, asked), asked)).toEqual(place);
});
