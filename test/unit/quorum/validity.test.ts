/** Validity: nothing is granted without time left on it, counted by whichever clock went further. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { driftFloorMs, driftRate } from '../../../src/domain/limits.ts';
import { majorityOf } from '../../../src/quorum/ballot.ts';
import { assertKept, backedMs, driftMs, leftMs, Stopwatch } from '../../../src/quorum/validity.ts';
import { ManualClock } from '../../../src/std/clock.ts';

describe('leftMs', () => {
  const ttls = [1, 2, 3, 10, 50, 100, 999, 1000, 30_000, 60_000, 3_600_000];

  test('at every ttl the last valid moment is before ttl less drift, and that moment itself is over', () => {
    for (const ttl of ttls) {
      const end = ttl - driftMs(ttl);
      for (const [elapsed, valid] of [
        [end - 0.001, true],
        [end, false],
        [end + 0.001, false],
        [ttl, false],
        [ttl + 1, false],
        [10 * ttl, false],
      ] as const) {
        if (elapsed < 0) continue;
        expect(leftMs(ttl, elapsed) > 0, `ttl ${ttl} after ${elapsed}`).toBe(valid);
      }
    }
  });

  test('a holder whose clock is slow by the drift still ends before a node whose clock is fast by it', () => {
    for (const ttl of ttls) {
      for (let elapsed = 0; elapsed <= ttl; elapsed += Math.max(1, ttl / 50)) {
        if (leftMs(ttl, elapsed) <= 0) continue;
        // Rates differ by one in a hundred between the two; both count from the same moment or the node later.
        const byTheNode = elapsed * (1 + driftRate);
        expect(byTheNode, `ttl ${ttl} after ${elapsed}`).toBeLessThan(ttl);
      }
    }
  });

  test('a ttl that drift eats whole is never valid', () => {
    for (const ttl of [0, 0.5, 1, 2]) expect(leftMs(ttl, 0)).toBeLessThanOrEqual(0);
    expect(leftMs(3, 0)).toBeGreaterThan(0);
  });

  test('drift grows with the ttl and is never less than the rounding of the clocks', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1e8, noNaN: true }),
        fc.double({ min: 0, max: 1e6, noNaN: true }),
        (ttl, more) => {
          expect(driftMs(ttl)).toBeGreaterThanOrEqual(driftFloorMs);
          expect(driftMs(ttl + more)).toBeGreaterThanOrEqual(driftMs(ttl));
        },
      ),
    );
  });
});

describe('backedMs', () => {
  test('a majority keeps the promise for so long, and no majority any longer: all vectors of up to 5 nodes', () => {
    const times = [0, 1, 5, 9];
    for (const nodes of [1, 3, 5]) {
      const majority = majorityOf(nodes);
      for (let known = 0; known <= nodes; known += 1) {
        for (let at = 0; at < times.length ** known; at += 1) {
          const left = Array.from(
            { length: known },
            (_, index) => times[Math.floor(at / times.length ** index) % times.length]!,
          );
          const backed = backedMs(left, majority);
          const keep = left.filter((ms) => ms >= backed).length;
          const keepLonger = left.filter((ms) => ms > backed).length;
          if (known < majority) expect(backed).toBe(0);
          else expect([keep >= majority, keepLonger < majority], `${left}`).toEqual([true, true]);
        }
      }
    }
  });

  test('leaves the list of its caller as it is', () => {
    const left = [3, 1, 2];
    backedMs(left, 2);
    expect(left).toEqual([3, 1, 2]);
  });
});

describe('Stopwatch', () => {
  test('takes the larger progress of the two clocks', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 100_000 }),
        fc.integer({ min: -100_000, max: 100_000 }),
        (ms, stepMs) => {
          const clock = new ManualClock();
          const watch = new Stopwatch(clock);
          clock.advance(ms);
          clock.stepWall(stepMs * 1000);
          expect(watch.elapsedMs()).toBeCloseTo(Math.max(ms, ms + stepMs), 6);
        },
      ),
    );
  });

  test('a suspended machine, whose monotonic clock stood still, finds its promise over', () => {
    const clock = new ManualClock();
    const watch = new Stopwatch(clock);
    clock.stepWall(60_000_000);
    expect(leftMs(30_000, watch.elapsedMs())).toBeLessThan(0);
  });

  test('a wall clock that was set back does not make a promise longer', () => {
    const clock = new ManualClock();
    const watch = new Stopwatch(clock);
    clock.advance(40_000);
    clock.stepWall(-3_600_000_000);
    expect(leftMs(30_000, watch.elapsedMs())).toBeLessThan(0);
  });
});

test('a ttl that nodes would cut is a defect of ours, and nothing is asked for by it', () => {
  expect(() => assertKept(2000, 2000)).not.toThrow();
  expect(() => assertKept(2001, 2000)).toThrow(/2000 ms at most, not 2001 ms/);
});
