/**
 * One lease as this client keeps it.
 *
 *   HELD ──────▶ RELEASING ──▶ OVER     its holder gives it back
 *    │ ▲                        ▲
 *    │ └ resumed                │
 *    ├────────────▶ LOST ───────┘       the service says so, or the count has ended
 *
 * HELD       a stream keeps it, or it is being resumed at another one (`resume` is out). Both come to the same for its
 *            holder: what counts is the count.
 * RELEASING  from the moment its holder lets go nothing is promised any more.
 * LOST       final, and told once: by `signal`, by `lost`, by `check`.
 *
 * Whoever asks reads the clock first: a process that was stopped finds the lease lost before any event is read.
 */
import { Count } from '../core/count.ts';
import { durationMs, timestampMs } from '../durations.ts';
import { LeaseLostError, type LostWhy } from '../errors.ts';
import type { LeaseRead } from '../gen/messages.ts';
import type { YieldRequest } from '../views.ts';
import type { Stream } from './stream.ts';

/** Why and how a lease has ended under its holder. */
export interface Loss {
  readonly reason: LostWhy;
  /** For people. */
  readonly detail: string;
}

/** What a lease asks of its session. */
export interface Keeper {
  nowMs(): number;
  /** Somebody wants to hear at once when the count ends. */
  watch(keep: Keep): void;
  /** It is lost; the service is told to let it go where it may not know. */
  onLost(keep: Keep, tell: boolean): void;
}

export class Keep {
  readonly lease: LeaseRead;
  readonly count = new Count();
  readonly onYieldRequest: ((request: YieldRequest) => void) | undefined;
  /** The stream that keeps it, and the operation by which it does. */
  stream: Stream | undefined;
  seq = 0;
  /** Its session looks after it: from its grant until it is released or lost. */
  kept = false;
  /** A resume is asked for. */
  resuming = false;
  readonly #keeper: Keeper;
  #released = false;
  #loss: Loss | undefined;
  #controller: AbortController | undefined;

  constructor(keeper: Keeper, lease: LeaseRead, onYieldRequest?: (request: YieldRequest) => void) {
    this.#keeper = keeper;
    this.lease = lease;
    this.onYieldRequest = onYieldRequest;
  }

  /** Neither released nor lost. */
  get held(): boolean {
    this.look();
    return !this.#released && this.#loss === undefined;
  }

  /** Its holder may rely on it: what it says of it concerns nobody else. */
  get counts(): boolean {
    return this.#keeper.nowMs() < this.count.untilMs;
  }

  get released(): boolean {
    return this.#released;
  }

  get loss(): Loss | undefined {
    this.look();
    return this.#loss;
  }

  get remainingMs(): number {
    return this.held ? Math.max(0, this.count.untilMs - this.#keeper.nowMs()) : 0;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      const { loss } = this;
      if (loss !== undefined) this.#controller.abort(LeaseLostError.of(loss.reason, loss.detail));
      else if (!this.#released) this.#keeper.watch(this);
    }
    this.look();
    return this.#controller.signal;
  }

  anchor(sentMs: number, { ttl, expire_time }: LeaseRead): void {
    this.count.anchor(sentMs, durationMs(ttl), timestampMs(expire_time));
  }

  /** Reads the clock, and loses it if the count has ended. */
  look(): void {
    if (this.#released || this.#loss !== undefined) return;
    if (this.#keeper.nowMs() < this.count.untilMs) return;
    if (this.count.isCut)
      this.lose('unknown', 'the connection broke, and the lease was not resumed in time', true);
    else this.lose('expired', 'it was not renewed in time', true);
  }

  letGo(): void {
    this.#released = true;
  }

  lose(reason: LostWhy, detail: string, tell: boolean): void {
    if (this.#released || this.#loss !== undefined) return;
    this.#loss = { reason, detail };
    this.#keeper.onLost(this, tell);
    this.#controller?.abort(LeaseLostError.of(reason, detail));
  }
}
