/** How long a grant may be relied on: counted from before the first send, less drift (Redlock, "safety arguments"). */
import { driftFloorMs, driftRate } from '../domain/limits.ts';
import { assert } from '../std/assert.ts';
import type { Clock } from '../std/clock.ts';

/** What clocks of different rates may disagree by over `ttlMs`. */
export function driftMs(ttlMs: number): number {
  return ttlMs * driftRate + driftFloorMs;
}

/** What is left of a promise of `ttlMs` after `elapsedMs`; nothing may be granted when it is not positive. */
export function leftMs(ttlMs: number, elapsedMs: number): number {
  return ttlMs - driftMs(ttlMs) - elapsedMs;
}

/** Nodes end earlier what is asked for longer: its holder would count on a lease that they have given to another. */
export function assertKept(ttlMs: number, longestTtlMs: number): void {
  assert(ttlMs <= longestTtlMs, `nodes keep a lease for ${longestTtlMs} ms at most, not ${ttlMs} ms`);
}

/** The promise that a majority keeps: the smallest of the `majority` largest remaining times, 0 without one. */
export function backedMs(remainingMs: readonly number[], majority: number): number {
  return [...remainingMs].sort((a, b) => b - a)[majority - 1] ?? 0;
}

/** Started before the first send. Monotonic time stands still in a suspended machine, so the larger progress counts. */
export class Stopwatch {
  readonly startedWallMs: number;
  readonly #clock: Clock;
  readonly #monotonicMs: number;
  readonly #wallMicros: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#monotonicMs = clock.monotonicMs();
    this.#wallMicros = clock.wallMicros();
    this.startedWallMs = this.#wallMicros / 1000;
  }

  elapsedMs(): number {
    const monotonic = this.#clock.monotonicMs() - this.#monotonicMs;
    const wall = (this.#clock.wallMicros() - this.#wallMicros) / 1000;
    return Math.max(monotonic, wall);
  }
}
