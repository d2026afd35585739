/** What was lost on the way, as one stretch of time and a count: nobody needs a line for each event that is gone. */

export interface Stretch {
  readonly count: number;
  /** Wall clock, both ends included. */
  readonly fromMs: number;
  readonly untilMs: number;
}

export class Missed {
  #count = 0;
  #fromMs = Number.POSITIVE_INFINITY;
  #untilMs = Number.NEGATIVE_INFINITY;

  get count(): number {
    return this.#count;
  }

  /** Not first and last: the wall clock may have been set back in between. */
  add({ count, fromMs, untilMs }: Stretch): void {
    this.#count += count;
    this.#fromMs = Math.min(this.#fromMs, fromMs);
    this.#untilMs = Math.max(this.#untilMs, untilMs);
  }

  addOne(timeMs: number): void {
    this.add({ count: 1, fromMs: timeMs, untilMs: timeMs });
  }

  /** All of it, once; undefined when nothing was lost. */
  take(): Stretch | undefined {
    if (this.#count === 0) return undefined;
    const stretch = { count: this.#count, fromMs: this.#fromMs, untilMs: this.#untilMs };
    this.#count = 0;
    this.#fromMs = Number.POSITIVE_INFINITY;
    this.#untilMs = Number.NEGATIVE_INFINITY;
    return stretch;
  }
}
