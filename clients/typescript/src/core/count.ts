/**
 * How long a lease is certainly valid, counted by its holder alone.
 *
 * ANCHOR   An answer on this stream that promises the lease for its ttl: the grant, or a resume. It was asked for at
 *          `sentMs`, so whatever the service promised, it promised it after that: the lease is good until
 *          `sentMs + ttl`, less what two clocks may disagree by (1 %) and their rounding (2 ms).
 * CREDIT   A `renewed` event tells its `expire_time`. It and that of the anchor are read on one clock of one replica,
 *          so their difference is how much was added, whenever the event arrives; 1 % of it is taken off, because that
 *          clock may run faster than ours. When an event arrives says nothing: it may have lain in a buffer while this
 *          process was stopped.
 * PROOF    A Heartbeat promises the lease for its ttl from before it was sent, on another clock than the stream's: it
 *          may lengthen the count, and is no anchor for later credit.
 * CUT      The stream ended unannounced: the replica may give the lease back as soon as the grace is over, which began
 *          when the replica saw the end. A quarter of the grace is left for what this side sees later than that. Nothing
 *          but a new anchor lengthens a count that was cut.
 *
 * What is promised is never taken back but by a cut, so the count is the latest of what each of these allows. Credit
 * wears: each ttl of it costs 1 %, so after four a new anchor is due.
 */

const DRIFT = 0.01;
const ROUNDING_MS = 2;
const WORN_TTLS = 4;
/** Of the grace: what may be relied on after this side has seen the end. */
const GRACE_PART = 3 / 4;
/** Of the ttl: as much may be missing at the grant, after a wait, before it is of no use. */
const STALE_PART = 0.25;

/** What may be relied on of a promise of so many milliseconds. */
export function usableMs(promisedMs: number): number {
  return promisedMs * (1 - DRIFT) - ROUNDING_MS;
}

export class Count {
  #ttlMs = 0;
  /** The end of the anchor's promise, by our clock, and by the replica's. */
  #anchorMs = Number.NEGATIVE_INFINITY;
  #toldMs = 0;
  #creditMs = 0;
  #untilMs = Number.NEGATIVE_INFINITY;
  #isCut = false;

  /** When the lease is no longer certainly valid, by the holder's clock. */
  get untilMs(): number {
    return this.#untilMs;
  }

  get ttlMs(): number {
    return this.#ttlMs;
  }

  /** Cut, and not anchored since. */
  get isCut(): boolean {
    return this.#isCut;
  }

  /** A new anchor should be asked for. */
  get isWorn(): boolean {
    return this.#creditMs > WORN_TTLS * this.#ttlMs;
  }

  /** So much of the promise has gone by, in a wait, that the rest is of little use. */
  isStale(nowMs: number): boolean {
    return this.#untilMs - nowMs < usableMs(this.#ttlMs) - STALE_PART * this.#ttlMs;
  }

  /** `sentMs`: before the grant or the resume was asked for; `toldMs`: its `expire_time`. */
  anchor(sentMs: number, ttlMs: number, toldMs: number): void {
    this.#ttlMs = ttlMs;
    this.#anchorMs = sentMs + usableMs(ttlMs);
    this.#toldMs = toldMs;
    this.#creditMs = 0;
    this.#untilMs = this.#isCut ? this.#anchorMs : Math.max(this.#untilMs, this.#anchorMs);
    this.#isCut = false;
  }

  /** `toldMs`: the `expire_time` of a `renewed` of the anchor's stream. */
  credit(toldMs: number): void {
    const creditMs = toldMs - this.#toldMs;
    if (this.#isCut || creditMs <= this.#creditMs) return;
    this.#creditMs = creditMs;
    this.#untilMs = Math.max(this.#untilMs, this.#anchorMs + creditMs * (1 - DRIFT));
  }

  /** A Heartbeat that was sent at `sentMs` has extended the lease by `ttlMs`. */
  proof(sentMs: number, ttlMs: number): void {
    if (!this.#isCut) this.#untilMs = Math.max(this.#untilMs, sentMs + usableMs(ttlMs));
  }

  /** The stream ended unannounced, as was seen at `seenMs`. */
  cut(seenMs: number, graceMs: number): void {
    this.#isCut = true;
    this.#untilMs = Math.min(this.#untilMs, seenMs + graceMs * GRACE_PART);
  }
}
