/** A clock that stands still until a test moves it; the fake and its clients share it. */
import { setImmediate } from 'node:timers/promises';
import { type Clock, systemClock, type Timer } from '../clock.ts';
import { type Span, spanMs } from '../durations.ts';
import type { Time } from './model.ts';

/** 2027-01-15: some day, so that times of day are plausible. */
const START_MS = 1_800_000_000_000;

/** How finely time goes by when it goes by itself. */
const TICK_MS = 5;

interface Due {
  readonly dueMs: number;
  readonly act: () => void;
}

/** Time for tests: moved by `advance` and `jump`, never by itself. */
export class ManualClock implements Clock, Time {
  /** What has to come to rest after each step of `advance`; the fakes on this clock set it. */
  readonly followers = new Set<() => Promise<void>>();
  #nowMs = 0;
  #due = new Set<Due>();

  nowMs(): number {
    return this.#nowMs;
  }

  /** The time of day, in milliseconds since 1970. */
  wallMs(): number {
    return START_MS + this.#nowMs;
  }

  /** How many timers have not fired yet. */
  get pending(): number {
    return this.#due.size;
  }

  after(delayMs: number, act: () => void): Timer {
    const due = { dueMs: this.#nowMs + Math.max(0, delayMs), act };
    this.#due.add(due);
    return { cancel: () => void this.#due.delete(due) };
  }

  /** The same number each time: nothing in a test is left to chance. */
  fraction(): number {
    return 0.5;
  }

  secret(): string {
    return systemClock.secret();
  }

  /**
   * Time goes by, and all goes well: whatever falls due on the way happens in its order, and is heard of by everybody
   * before the clock goes on. So a lease that is kept is renewed all along, however far the clock goes.
   */
  async advance(span: Span): Promise<void> {
    const untilMs = this.#nowMs + spanMs('span', span);
    await this.#settle();
    for (let next = this.#next(untilMs); next !== undefined; next = this.#next(untilMs)) {
      this.#fire(next);
      await this.#settle();
    }
    this.#nowMs = untilMs;
    await this.#settle();
  }

  /**
   * Time goes by at once, as for a process that was stopped: what falls due happens, but nobody hears of it before the
   * whole span has gone. Leases end by their holder's own count.
   */
  jump(span: Span): void {
    const untilMs = this.#nowMs + spanMs('span', span);
    for (let next = this.#next(untilMs); next !== undefined; next = this.#next(untilMs)) this.#fire(next);
    this.#nowMs = untilMs;
  }

  /** From now on time goes by itself, too, as it does outside; the result ends that. For work in other processes. */
  run(): Disposable {
    let lastMs = systemClock.nowMs();
    let timer: Timer;
    const tick = (): void => {
      const nowMs = systemClock.nowMs();
      this.jump(nowMs - lastMs);
      lastMs = nowMs;
      timer = systemClock.after(TICK_MS, tick, false);
    };
    tick();
    return { [Symbol.dispose]: () => timer.cancel() };
  }

  /** The next thing that falls due within `withinMs`, at once; false if there is none. */
  step(withinMs: number): boolean {
    const next = this.#next(this.#nowMs + withinMs);
    if (next !== undefined) this.#fire(next);
    return next !== undefined;
  }

  async #settle(): Promise<void> {
    for (const settle of this.followers) await settle();
    // What clients put off to the end of a turn is begun before time goes on.
    await setImmediate();
  }

  #next(untilMs: number): Due | undefined {
    let next: Due | undefined;
    for (const due of this.#due) if (next === undefined || due.dueMs < next.dueMs) next = due;
    return next !== undefined && next.dueMs <= untilMs ? next : undefined;
  }

  #fire(due: Due): void {
    this.#due.delete(due);
    this.#nowMs = Math.max(this.#nowMs, due.dueMs);
    due.act();
  }
}
