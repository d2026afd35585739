/** The one door to time: monotonic and wall readings, and timers, so that tests and simulation can move them. */

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Milliseconds that only ever grow; for durations. Stands still in a suspended machine. */
  monotonicMs(): number;
  /** Microseconds since the Unix epoch by the wall clock; may jump. */
  wallMicros(): number;
  /** Runs `act` once after `delayMs`, at most 24 days; the timer does not keep the process alive. */
  after(delayMs: number, act: () => void): Timer;
}

/** Beyond this setTimeout fires at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** The millisecond of the wall clock that is running, and when it was first seen. */
let millisecond = { wallMs: 0, beganMs: 0 };

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMicros() {
    const nowMs = Date.now();
    const fineMs = performance.now();
    // Two clocks whose milliseconds do not begin together: the finer one only tells how long ours has been running.
    if (nowMs !== millisecond.wallMs) millisecond = { wallMs: nowMs, beganMs: fineMs };
    return nowMs * 1000 + Math.min(999, Math.floor((fineMs - millisecond.beganMs) * 1000));
  },
  after(delayMs, act) {
    const timer = setTimeout(act, Math.min(delayMs, TIMER_MS_MAX));
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
};

/** A promise for `delayMs` from now by `clock`. */
export function pause(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(delayMs, resolve);
  });
}

/** Timers let the process end; who waits for one at a shutdown must not be cut short by that. */
export async function awake<T>(work: Promise<T>): Promise<T> {
  const timer = setInterval(() => {}, TIMER_MS_MAX);
  try {
    return await work;
  } finally {
    clearInterval(timer);
  }
}

/** A clock that stands still until it is told to move; timers fire in order of their due time. */
export class ManualClock implements Clock {
  #monotonicMs = 0;
  #wallMicros: number;
  #timers: { dueMs: number; act: () => void }[] = [];

  constructor(wallMicros = 1_800_000_000_000_000) {
    this.#wallMicros = wallMicros;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  wallMicros(): number {
    return this.#wallMicros;
  }

  after(delayMs: number, act: () => void): Timer {
    const timer = { dueMs: this.#monotonicMs + delayMs, act };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer);
      },
    };
  }

  /** Moves both readings forward and fires what fell due, earliest first. */
  advance(ms: number): void {
    const untilMs = this.#monotonicMs + ms;
    for (;;) {
      const due = this.#timers.filter((timer) => timer.dueMs <= untilMs).sort((a, b) => a.dueMs - b.dueMs)[0];
      if (due === undefined) break;
      this.#timers = this.#timers.filter((timer) => timer !== due);
      this.#move(Math.max(0, due.dueMs - this.#monotonicMs));
      due.act();
    }
    this.#move(untilMs - this.#monotonicMs);
  }

  /** Moves only the wall clock, as an operator or NTP does. */
  stepWall(micros: number): void {
    this.#wallMicros += micros;
  }

  setWall(micros: number): void {
    this.#wallMicros = micros;
  }

  #move(ms: number): void {
    this.#monotonicMs += ms;
    this.#wallMicros += Math.round(ms * 1000);
  }
}
