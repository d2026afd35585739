/** The clocks of one machine in virtual time: they drift by their rate, the wall clock may step, timers follow the rate. */
import type { Clock, Timer } from '../../../src/std/clock.ts';
import type { Due, Timeline } from './timeline.ts';

/** What wall clocks show at true time 0. */
const EPOCH_MICROS = 1_800_000_000_000_000;
/** A timer is late by a nanosecond rather than early: a reading must not fall short by the rounding of a division. */
const LATE_MS = 1e-6;

interface Running extends Timer {
  readonly dueMs: number;
  readonly fire: () => void;
  due: Due | undefined;
}

export class MachineClock implements Clock {
  readonly #timeline: Timeline;
  readonly #running = new Set<Running>();
  #rate = 1;
  /** Of true and of our monotonic time, when the rate was set last. */
  #since = { trueMs: 0, ownMs: 0 };
  #offsetMicros: number;

  constructor(timeline: Timeline, skewMs = 0) {
    this.#timeline = timeline;
    this.#since = { trueMs: timeline.nowMs, ownMs: 0 };
    this.#offsetMicros = Math.round((timeline.nowMs + skewMs) * 1000);
  }

  monotonicMs(): number {
    const { trueMs, ownMs } = this.#since;
    return ownMs + (this.#timeline.nowMs - trueMs) * this.#rate;
  }

  wallMicros(): number {
    return EPOCH_MICROS + this.#offsetMicros + Math.floor(this.monotonicMs() * 1000);
  }

  after(delayMs: number, act: () => void): Timer {
    const dueMs = this.monotonicMs() + Math.max(0, delayMs);
    const timer: Running = {
      dueMs,
      fire: () => {
        this.#running.delete(timer);
        act();
      },
      due: undefined,
      cancel: () => {
        this.#running.delete(timer);
        timer.due?.cancel();
      },
    };
    this.#running.add(timer);
    this.#arm(timer);
    return timer;
  }

  /** Both clocks run at this rate from now on. */
  setRate(rate: number): void {
    this.#since = { trueMs: this.#timeline.nowMs, ownMs: this.monotonicMs() };
    this.#rate = rate;
    for (const timer of this.#running) {
      timer.due?.cancel();
      this.#arm(timer);
    }
  }

  /** Moves the wall clock alone. */
  step(ms: number): void {
    this.#offsetMicros += Math.round(ms * 1000);
  }

  #arm(timer: Running): void {
    const { trueMs, ownMs } = this.#since;
    timer.due = this.#timeline.at(trueMs + (timer.dueMs - ownMs) / this.#rate + LATE_MS, timer.fire);
  }
}
