/** The watch over a node's clock: deaf to drift and latency, awake to jumps. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { driftRate } from '../../../src/domain/limits.ts';
import { ClockWatch } from '../../../src/nodes/clock-watch.ts';

const EPOCH_MS = 1_800_000_000_000;
/** Beyond this a jump can no longer be told from rounding. */
const TOLERANCE_MS = 5;

interface Reading {
  /** From the previous answer to this question. */
  readonly gapMs: number;
  readonly thereMs: number;
  readonly backMs: number;
}

const upTo = (max: number) => fc.double({ min: 0, max, noNaN: true });
const readings = (latencyMs: number) =>
  fc.array(fc.record({ gapMs: upTo(5000), thereMs: upTo(latencyMs), backMs: upTo(latencyMs) }), {
    minLength: 2,
    maxLength: 40,
  });
const rate = fc.double({ min: 1 - driftRate, max: 1 + driftRate, noNaN: true });

/** Feeds the readings of a node whose clock runs at `speed` and jumps by `jumps[index]` before a reading. */
function watch(
  list: readonly Reading[],
  speed: number,
  jumps: Readonly<Record<number, number>> = {},
): number[] {
  const watching = new ClockWatch();
  let nowMs = 1000;
  let offMs = 0;
  return list.map(({ gapMs, thereMs, backMs }, index) => {
    offMs += jumps[index] ?? 0;
    const sentMs = nowMs + gapMs;
    const readMs = sentMs + thereMs;
    nowMs = readMs + backMs;
    // Whole microseconds, as a node tells them.
    return watching.sample(sentMs, nowMs, Math.round((EPOCH_MS + readMs * speed + offMs) * 1000));
  });
}

describe('sample', () => {
  test('never fires for a drift of one in a hundred, whatever the latency', () => {
    fc.assert(
      fc.property(readings(60_000), rate, (list, speed) => {
        expect(watch(list, speed)).toEqual(list.map(() => 0));
      }),
      { numRuns: 2000 },
    );
  });

  test('fires for every jump beyond drift, latency and tolerance, and says by how much at least', () => {
    const jump = fc
      .double({ min: 10_000, max: 1e9, noNaN: true })
      .chain((size) => fc.constantFrom(size, -size));
    fc.assert(
      fc.property(readings(100), rate, jump, (list, speed, size) => {
        const at = list.length - 1;
        const told = watch(list, speed, { [at]: size });
        expect(told.slice(0, at)).toEqual(told.slice(0, at).map(() => 0));
        expect(Math.sign(told[at]!)).toBe(Math.sign(size));
        // Never more than happened, and less by no more than what cannot be told.
        const blurMs = 4 * (100 + 100) + 40 * (5200 * driftRate * 2 + TOLERANCE_MS);
        expect(Math.abs(told[at]!)).toBeGreaterThan(Math.abs(size) - blurMs);
        expect(Math.abs(told[at]!)).toBeLessThan(Math.abs(size) + blurMs);
      }),
    );
  });

  test('sees a small jump with quick answers: anything beyond tolerance and the width of the reading', () => {
    const quick: Reading = { gapMs: 0, thereMs: 0.2, backMs: 0.2 };
    for (const [size, fires] of [
      [4, false],
      [-4, false],
      [7, true],
      [-7, true],
      [500, true],
    ] as const) {
      const told = watch([quick, quick, quick, quick], 1, { 2: size });
      expect(told[2] !== 0, `a jump of ${size} ms`).toBe(fires);
    }
  });

  test('fires once for a jump, not for the time after it', () => {
    const steady: Reading = { gapMs: 500, thereMs: 1, backMs: 1 };
    const told = watch(new Array(20).fill(steady), 1, { 10: 60_000 });
    expect(told.map((ms) => ms !== 0).lastIndexOf(true)).toBe(10);
    expect(told.filter((ms) => ms !== 0).length).toBe(1);
  });

  test('a slow answer does not blur what quick ones knew', () => {
    const quick: Reading = { gapMs: 10, thereMs: 0.5, backMs: 0.5 };
    const slow: Reading = { gapMs: 10, thereMs: 200, backMs: 0 };
    const told = watch([quick, slow, quick, quick], 1, { 3: 30 });
    expect(told.slice(0, 3)).toEqual([0, 0, 0]);
    expect(told[3]).toBeGreaterThan(0);
  });

  test('knows nothing before the first reading, nor after it was told to forget', () => {
    const watching = new ClockWatch();
    expect(watching.sample(0, 1, EPOCH_MS * 1000)).toBe(0);
    watching.forget();
    expect(watching.sample(2, 3, EPOCH_MS * 2000)).toBe(0);
    expect(watching.sample(4, 5, EPOCH_MS * 1000)).toBeLessThan(0);
  });
});
