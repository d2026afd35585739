/** What a holder believes of its lease: its own count of validity on its own clock, as clients/README.md has it. */
import type { Lease } from '../../../src/domain/lease.ts';
import type { Timer } from '../../../src/std/clock.ts';
import type { Entry, Held } from '../../harness/history/history.ts';
import type { MachineClock } from './clocks.ts';
import type { Timeline } from './timeline.ts';

/** The allowance for drift: 1 % of what was promised, and 2 ms. */
const DRIFT = 0.01;
const DRIFT_MS = 2;

/** How long a promise of `ttlMs` is good for, from before it was asked for. */
export function goodForMs(ttlMs: number): number {
  return ttlMs * (1 - DRIFT) - DRIFT_MS;
}

export interface BeliefOptions {
  readonly timeline: Timeline;
  /** The machine's: the count goes on while its process stands still. */
  readonly clock: MachineClock;
  readonly history: Entry[];
  readonly client: string;
  readonly owner: string;
  readonly lease: Lease;
}

export class Belief {
  readonly lease: Lease;
  readonly #options: BeliefOptions;
  /** When it began to rely on it. */
  #fromMs: number | undefined;
  #untilMs = Number.NEGATIVE_INFINITY;
  #timer: Timer | undefined;
  #end: Held['end'] | undefined;

  constructor(options: BeliefOptions) {
    this.#options = options;
    this.lease = options.lease;
  }

  get valid(): boolean {
    return this.#end === undefined && this.leftMs > 0;
  }

  get leftMs(): number {
    return this.#untilMs - this.#options.clock.monotonicMs();
  }

  /** Of its own clock; never shortens. */
  extend(untilMs: number): void {
    if (untilMs > this.#untilMs) this.#count(untilMs);
  }

  /** The end of the stream: nobody can know what the replica saw. */
  cut(untilMs: number): void {
    if (untilMs < this.#untilMs) this.#count(untilMs);
  }

  end(end: Held['end']): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#timer?.cancel();
    if (this.#fromMs === undefined) return;
    const { history, client, owner, lease, timeline } = this.#options;
    const { leaseRef, token, resources, mode } = lease;
    const when = { fromMs: this.#fromMs, untilMs: timeline.nowMs };
    history.push({ kind: 'held', client, owner, leaseRef, token, resources, mode, ...when, end });
  }

  #count(untilMs: number): void {
    if (this.#end !== undefined) return;
    this.#untilMs = untilMs;
    if (this.#fromMs === undefined && this.leftMs <= 0) return;
    this.#fromMs ??= this.#options.timeline.nowMs;
    this.#timer?.cancel();
    this.#timer = this.#options.clock.after(Math.max(0, this.leftMs), () => this.end('expired'));
  }
}
