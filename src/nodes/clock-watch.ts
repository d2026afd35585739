/** Watches a node's wall clock against our monotonic one: a clock that jumps makes leases end early or tokens lie. */
import { driftRate } from '../domain/limits.ts';

/** Beyond drift and the width of the reading; below it a jump cannot be told from rounding. */
const TOLERANCE_MS = 5;

interface Bounds {
  /** Node time less our monotonic time lies between these, in milliseconds. */
  readonly low: number;
  readonly high: number;
  /** When the reading was asked for: drift counts from there, for it may have been taken at once. */
  readonly atMs: number;
}

export class ClockWatch {
  #last: Bounds | undefined;

  /**
   * Takes one reading: the node's time, read somewhere between `sentMs` and `receivedMs` of our monotonic clock.
   * Answers by how many milliseconds the clock must have jumped since the last one, 0 when it need not have.
   */
  sample(sentMs: number, receivedMs: number, nodeMicros: number): number {
    const nodeMs = nodeMicros / 1000;
    const reading: Bounds = { low: nodeMs - receivedMs, high: nodeMs - sentMs, atMs: sentMs };
    const last = this.#last;
    if (last === undefined) {
      this.#last = reading;
      return 0;
    }
    const slackMs = (receivedMs - last.atMs) * driftRate + TOLERANCE_MS;
    const low = last.low - slackMs;
    const high = last.high + slackMs;
    if (reading.low > high || reading.high < low) {
      this.#last = reading;
      return reading.low > high ? reading.low - last.high : reading.high - last.low;
    }
    // The tightest band that both readings allow: a slow reply must not widen what a quick one knew.
    this.#last = { low: Math.max(low, reading.low), high: Math.min(high, reading.high), atMs: sentMs };
    return 0;
  }

  /** Node time less our monotonic time in milliseconds, the middle of what it may be; undefined before a reading. */
  offsetMs(): number | undefined {
    return this.#last === undefined ? undefined : (this.#last.low + this.#last.high) / 2;
  }

  /** Another process may run by another clock: what was known of the old one proves nothing. */
  forget(): void {
    this.#last = undefined;
  }
}
