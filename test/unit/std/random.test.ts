/** Chance: the pool never hands out the same bytes twice, and a seed repeats a run. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SeededRandom, systemRandom } from '../../../src/std/random.ts';

test('the pool never repeats itself, across refills and odd sizes', () => {
  const seen = new Set<string>();
  let drawn = 0;
  for (const size of [16, 12, 32, 17]) {
    for (let draw = 0; draw < 3000; draw += 1) {
      const bytes = systemRandom.bytes(size);
      expect(bytes.length).toBe(size);
      seen.add(bytes.subarray(0, 12).toString('base64'));
      drawn += 1;
    }
  }
  expect(seen.size).toBe(drawn);
});

test('what was handed out stays as it was, whatever is drawn afterwards', () => {
  const kept = systemRandom.bytes(16);
  const copy = Buffer.from(kept);
  for (let draw = 0; draw < 2000; draw += 1) systemRandom.bytes(16);
  expect(kept).toEqual(copy);
});

test('draws of neighbours do not overlap', () => {
  const one = systemRandom.bytes(16);
  const other = systemRandom.bytes(16);
  const copy = Buffer.from(other);
  one.fill(0);
  expect(other).toEqual(copy);
});

test('a draw larger than the pool, and an empty one, are as asked', () => {
  const large = systemRandom.bytes(100_000);
  expect(large.length).toBe(100_000);
  expect(new Set(large).size).toBe(256);
  expect(systemRandom.bytes(0).length).toBe(0);
});

test('every bit of the pool is set about half of the time', () => {
  const counts = new Array<number>(8).fill(0);
  const bytes = 80_000;
  for (let draw = 0; draw < bytes / 16; draw += 1) {
    for (const byte of systemRandom.bytes(16)) {
      for (let bit = 0; bit < 8; bit += 1) counts[bit]! += (byte >> bit) & 1;
    }
  }
  // Six standard deviations.
  for (const count of counts) expect(Math.abs(count - bytes / 2)).toBeLessThan(6 * Math.sqrt(bytes) * 0.5);
});

test('fractions lie in [0, 1), of both sources', () => {
  const seeded = new SeededRandom(1);
  for (let draw = 0; draw < 10_000; draw += 1) {
    for (const fraction of [seeded.fraction(), systemRandom.fraction()]) {
      expect(fraction >= 0 && fraction < 1).toBe(true);
    }
  }
});

test('a seed repeats the run, and another seed is another run', () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const draw = (from: number) => {
        const random = new SeededRandom(from);
        return [random.fraction(), random.bytes(5).toString('hex'), random.fraction()];
      };
      expect(draw(seed)).toEqual(draw(seed));
      expect(draw(seed)).not.toEqual(draw(seed + 1));
    }),
  );
});
