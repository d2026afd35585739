/** Everything that one client wants to do later, by one timer. */
import type { Clock, Timer } from '../clock.ts';

/** Something that falls due. Made once, put in and taken out often. */
export class Appointment {
  dueMs = Number.POSITIVE_INFINITY;
  readonly keepsAlive: boolean;
  readonly act: () => void;

  constructor(act: () => void, keepsAlive: boolean) {
    this.act = act;
    this.keepsAlive = keepsAlive;
  }
}

export class Agenda {
  readonly #clock: Clock;
  readonly #entries = new Set<Appointment>();
  #timer: Timer | undefined;
  #timerMs = Number.POSITIVE_INFINITY;
  #timerKeepsAlive = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Anew if it was there; a later time costs nothing until the earlier one has come. */
  put(entry: Appointment, dueMs: number): void {
    entry.dueMs = dueMs;
    this.#entries.add(entry);
    if (dueMs < this.#timerMs || (entry.keepsAlive && !this.#timerKeepsAlive)) this.#arm();
  }

  drop(entry: Appointment): void {
    entry.dueMs = Number.POSITIVE_INFINITY;
    if (!this.#entries.delete(entry)) return;
    if (entry.keepsAlive || this.#entries.size === 0) this.#arm();
  }

  clear(): void {
    this.#entries.clear();
    this.#arm();
  }

  #arm(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#timerMs = Number.POSITIVE_INFINITY;
    this.#timerKeepsAlive = false;
    for (const { dueMs, keepsAlive } of this.#entries) {
      this.#timerMs = Math.min(this.#timerMs, dueMs);
      this.#timerKeepsAlive ||= keepsAlive;
    }
    if (this.#timerMs === Number.POSITIVE_INFINITY) return;
    // A millisecond more: timers round down, and what is due must be due.
    const delayMs = this.#timerMs - this.#clock.nowMs() + 1;
    this.#timer = this.#clock.after(delayMs, () => this.#ring(), this.#timerKeepsAlive);
  }

  #ring(): void {
    this.#timer = undefined;
    this.#timerMs = Number.POSITIVE_INFINITY;
    const nowMs = this.#clock.nowMs();
    for (const entry of [...this.#entries]) {
      if (entry.dueMs > nowMs) continue;
      this.#entries.delete(entry);
      entry.dueMs = Number.POSITIVE_INFINITY;
      entry.act();
    }
    this.#arm();
  }
}
