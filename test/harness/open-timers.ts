/** Counts the timers of our own clock that are set and neither fired nor cancelled; they keep no process alive, so Node does not show them. */
import { systemClock, type Timer } from '../../src/std/clock.ts';

export class OpenTimers {
  readonly #open = new Set<object>();
  readonly #after = systemClock.after;

  constructor() {
    systemClock.after = (delayMs, act) => {
      const mark = {};
      this.#open.add(mark);
      const timer = this.#after(delayMs, () => {
        this.#open.delete(mark);
        act();
      });
      return this.#cancelling(timer, mark);
    };
  }

  get count(): number {
    return this.#open.size;
  }

  restore(): void {
    systemClock.after = this.#after;
  }

  #cancelling(timer: Timer, mark: object): Timer {
    return {
      cancel: () => {
        this.#open.delete(mark);
        timer.cancel();
      },
    };
  }
}
