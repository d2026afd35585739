/** One process on a machine: it can be killed, after which nothing of it happens any more, and stand still. */
import type { Clock, Timer } from '../../../src/std/clock.ts';
import type { MachineClock } from './clocks.ts';
import type { Timeline } from './timeline.ts';

/** In which order what arrived at a process that stood still is worked off. */
export type Backlog = (waiting: readonly Waiting[]) => readonly Waiting[];

export interface Waiting {
  readonly act: () => void;
  /** By which connection it came; what came by one keeps its order. Undefined: a timer. */
  readonly by: object | undefined;
}

/** As an event loop does it: timers that are over first, then what the sockets have. */
const timersFirst: Backlog = (waiting) => [
  ...waiting.filter(({ by }) => by === undefined),
  ...waiting.filter(({ by }) => by !== undefined),
];

const SOCKET = {};

export class Process implements Clock {
  readonly clock: MachineClock;
  readonly #timeline: Timeline;
  readonly #order: Backlog;
  #alive = true;
  #paused = false;
  #waiting: Waiting[] = [];

  constructor(timeline: Timeline, clock: MachineClock, order: Backlog = timersFirst) {
    this.#timeline = timeline;
    this.clock = clock;
    this.#order = order;
  }

  get alive(): boolean {
    return this.#alive;
  }

  get paused(): boolean {
    return this.#paused;
  }

  monotonicMs(): number {
    return this.clock.monotonicMs();
  }

  wallMicros(): number {
    return this.clock.wallMicros();
  }

  after(delayMs: number, act: () => void): Timer {
    let cancelled = false;
    const timer = this.clock.after(delayMs, () => {
      this.#do({ act: () => (cancelled ? undefined : act()), by: undefined });
    });
    return {
      cancel() {
        cancelled = true;
        timer.cancel();
      },
    };
  }

  /** Something arrived from outside. */
  run(act: () => void, by: object = SOCKET): void {
    this.#do({ act, by });
  }

  kill(): void {
    this.#alive = false;
    this.#waiting = [];
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    const waiting = this.#order(this.#waiting);
    this.#waiting = [];
    // Each in a turn of its own: another pause may come in between.
    for (const one of waiting) this.#timeline.after(0, () => this.#do(one));
  }

  #do(one: Waiting): void {
    if (!this.#alive) return;
    if (this.#paused) this.#waiting.push(one);
    else one.act();
  }
}
