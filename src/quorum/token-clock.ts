/** Proposes fencing tokens: a hybrid logical clock in microseconds, one for each replica, corrected by the nodes. */
import { tokenLeadMicros } from '../domain/limits.ts';
import type { Token } from '../domain/token.ts';
import type { Clock } from '../std/clock.ts';

/** Nodes' time when they refused a token as too far ahead, and our monotonic time then. */
interface Anchor {
  readonly nodeMicros: number;
  readonly monotonicMs: number;
}

export class TokenClock {
  readonly #clock: Clock;
  #last = 0;
  #anchor: Anchor | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * The next token: now, or one more than the last (Kulkarni et al., "Logical Physical Clocks", 2014). With the
   * fence that refused the previous attempt the token is one above that fence when now is not; the process-wide
   * clock does not move for it, so that one resource whose fence is ahead does not push all others.
   */
  propose(seen: Token): Token {
    const next = Math.max(this.#nowMicros(), this.#last + 1);
    const token = BigInt(next);
    if (token <= seen) return seen + 1n;
    this.#last = next;
    return token;
  }

  /** The nodes said that our clock is ahead of theirs: count from their time instead. */
  correct(nodeMicros: number): void {
    this.#anchor = { nodeMicros, monotonicMs: this.#clock.monotonicMs() };
    // What was proposed ahead of time was refused everywhere; counting on from there would be refused again.
    this.#last = 0;
  }

  /** By how many microseconds proposals lag behind our wall clock; 0 without a correction. */
  correctionMicros(): number {
    return this.#anchor === undefined ? 0 : this.#nowMicros() - this.#clock.wallMicros();
  }

  #nowMicros(): number {
    const wall = this.#clock.wallMicros();
    if (this.#anchor === undefined) return wall;
    const anchored =
      this.#anchor.nodeMicros + Math.round((this.#clock.monotonicMs() - this.#anchor.monotonicMs) * 1000);
    if (Math.abs(wall - anchored) >= tokenLeadMicros / 2) return anchored;
    // Somebody has set our clock right: the anchor would only drift away from it.
    this.#anchor = undefined;
    return wall;
  }
}
