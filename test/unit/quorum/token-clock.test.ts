/** The token clock: tokens grow, pass what was seen, and follow the nodes' time when our own clock is wrong. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { tokenLeadMicros } from '../../../src/domain/limits.ts';
import { TokenClock } from '../../../src/quorum/token-clock.ts';
import { ManualClock } from '../../../src/std/clock.ts';

const START = 1_800_000_000_000_000;
const YEAR = 31_536_000_000_000;

type Move =
  | { readonly kind: 'propose'; readonly seen: number }
  | { readonly kind: 'advance'; readonly ms: number }
  | { readonly kind: 'step'; readonly micros: number };

const move: fc.Arbitrary<Move> = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ kind: 'propose', seen: 0 } as const) },
  fc.record({ kind: fc.constant('propose' as const), seen: fc.integer({ min: 0, max: START + 2 * YEAR }) }),
  fc.record({ kind: fc.constant('advance' as const), ms: fc.integer({ min: 0, max: 5000 }) }),
  fc.record({ kind: fc.constant('step' as const), micros: fc.integer({ min: -YEAR, max: YEAR }) }),
);

describe('propose', () => {
  test('grows from token to token, whatever the wall clock does', () => {
    fc.assert(
      fc.property(fc.array(move, { maxLength: 60 }), (moves) => {
        const clock = new ManualClock(START);
        const tokens = new TokenClock(clock);
        let last = 0n;
        for (const made of moves) {
          if (made.kind === 'advance') clock.advance(made.ms);
          if (made.kind === 'step') clock.stepWall(made.micros);
          if (made.kind !== 'propose') continue;
          const token = tokens.propose(BigInt(made.seen));
          expect(token).toBeGreaterThan(BigInt(made.seen));
          // What a fence forced on one resource is no token of this clock.
          if (token === BigInt(made.seen) + 1n && token <= last) continue;
          expect(token).toBeGreaterThan(last);
          if (token !== BigInt(made.seen) + 1n) last = token;
        }
      }),
    );
  });

  test('is the wall clock in microseconds when nothing else forces it', () => {
    const clock = new ManualClock(START);
    const tokens = new TokenClock(clock);
    expect(tokens.propose(0n)).toBe(BigInt(START));
    clock.advance(1.5);
    expect(tokens.propose(0n)).toBe(BigInt(START + 1500));
    expect(tokens.propose(0n)).toBe(BigInt(START + 1501));
  });

  test('one resource whose fence is years ahead does not push the others', () => {
    const tokens = new TokenClock(new ManualClock(START));
    const fence = BigInt(START + YEAR);
    expect(tokens.propose(fence)).toBe(fence + 1n);
    expect(tokens.propose(0n)).toBe(BigInt(START));
  });

  test('a fence that equals now is passed', () => {
    expect(new TokenClock(new ManualClock(START)).propose(BigInt(START))).toBe(BigInt(START + 1));
  });

  test('a fence just below now costs nothing', () => {
    const tokens = new TokenClock(new ManualClock(START));
    expect(tokens.propose(BigInt(START - 1))).toBe(BigInt(START));
    expect(tokens.propose(BigInt(START))).toBe(BigInt(START + 1));
    expect(tokens.propose(BigInt(START + 1))).toBe(BigInt(START + 2));
  });
});

describe('correct', () => {
  test('a clock that is years ahead or behind follows the nodes instead, by the monotonic clock', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -3 * YEAR, max: 3 * YEAR }),
        fc.array(fc.integer({ min: 0, max: 60_000 }), { maxLength: 20 }),
        (offMicros, waits) => {
          const clock = new ManualClock(START + offMicros);
          const tokens = new TokenClock(clock);
          tokens.propose(0n);
          tokens.correct(START);
          let elapsedMicros = 0;
          let last = 0n;
          for (const ms of waits) {
            clock.advance(ms);
            elapsedMicros += ms * 1000;
            const token = tokens.propose(0n);
            const offMicros = Number(token) - (START + elapsedMicros);
            // Never further from the nodes' time than the half lead at which the wall clock counts as right.
            expect(Math.abs(offMicros)).toBeLessThan(tokenLeadMicros / 2 + waits.length);
            expect(token).toBeGreaterThan(last);
            last = token;
          }
        },
      ),
    );
  });

  test('the next proposal is one that the nodes admit', () => {
    const clock = new ManualClock(START + 5 * YEAR);
    const tokens = new TokenClock(clock);
    for (let tried = 0; tried < 100; tried += 1) tokens.propose(0n);
    tokens.correct(START);
    const token = tokens.propose(0n);
    expect(token).toBe(BigInt(START));
    expect(token).toBeLessThanOrEqual(BigInt(START + tokenLeadMicros));
    expect(tokens.correctionMicros()).toBe(-5 * YEAR);
  });

  test('is dropped once the wall clock is right again, and does not come back', () => {
    const clock = new ManualClock(START + YEAR);
    const tokens = new TokenClock(clock);
    tokens.correct(START);
    tokens.propose(0n);
    expect(tokens.correctionMicros()).toBe(-YEAR);
    clock.setWall(START + 200_000);
    expect(tokens.propose(0n)).toBe(BigInt(START + 200_000));
    expect(tokens.correctionMicros()).toBe(0);
    // The anchor is gone: from here on only the wall clock counts.
    clock.stepWall(YEAR);
    expect(tokens.propose(0n)).toBe(BigInt(START + 200_000 + YEAR));
  });

  test('is dropped at less than half the lead, and kept at half', () => {
    for (const [off, kept] of [
      [tokenLeadMicros / 2 - 1, false],
      [tokenLeadMicros / 2, true],
      [-(tokenLeadMicros / 2), true],
      [1 - tokenLeadMicros / 2, false],
    ] as const) {
      const clock = new ManualClock(START + off);
      const tokens = new TokenClock(clock);
      tokens.correct(START);
      expect(tokens.propose(0n)).toBe(BigInt(kept ? START : START + off));
    }
  });

  test('still passes every fence that was seen', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: YEAR }),
        fc.integer({ min: -YEAR, max: YEAR }),
        (ahead, fence) => {
          const clock = new ManualClock(START + ahead);
          const tokens = new TokenClock(clock);
          tokens.correct(START);
          expect(tokens.propose(BigInt(START + fence))).toBeGreaterThan(BigInt(START + fence));
        },
      ),
    );
  });
});
