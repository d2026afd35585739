/** When each kept lease is due: many that are due together share one timer, and so one script for each node. */
import type { Clock, Timer } from '../std/clock.ts';

/** Leases that are due within so long of each other are taken together; a short ttl makes it finer. */
const GRAIN_MS = 100;
const GRAINS_IN_DELAY = 8;

/** What can be due; it remembers its slot, so that taking it out needs no search. */
export interface Due {
  slot: Slot | undefined;
  onDue(): void;
}

export interface Slot {
  readonly atMs: number;
  readonly timer: Timer;
  readonly due: Set<Due>;
}

export class Rota {
  readonly #clock: Clock;
  readonly #slots = new Map<number, Slot>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `one.onDue` once, in `delayMs` or a little later: an eighth of it at most. */
  put(one: Due, delayMs: number): void {
    this.drop(one);
    const grainMs = Math.max(1, Math.min(GRAIN_MS, delayMs / GRAINS_IN_DELAY));
    const nowMs = this.#clock.monotonicMs();
    const atMs = Math.ceil((nowMs + delayMs) / grainMs) * grainMs;
    const slot = this.#slots.get(atMs) ?? this.#open(atMs, nowMs);
    slot.due.add(one);
    one.slot = slot;
  }

  drop(one: Due): void {
    const { slot } = one;
    if (slot === undefined) return;
    one.slot = undefined;
    slot.due.delete(one);
    if (slot.due.size > 0) return;
    slot.timer.cancel();
    this.#slots.delete(slot.atMs);
  }

  #open(atMs: number, nowMs: number): Slot {
    const timer = this.#clock.after(atMs - nowMs, () => this.#fire(slot));
    const slot: Slot = { atMs, timer, due: new Set() };
    this.#slots.set(atMs, slot);
    return slot;
  }

  #fire(slot: Slot): void {
    this.#slots.delete(slot.atMs);
    for (const one of slot.due) {
      one.slot = undefined;
      one.onDue();
    }
  }
}
