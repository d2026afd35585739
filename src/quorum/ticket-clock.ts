/** Numbers those who wait by when they came: microseconds of the nodes' clocks, so that replicas agree on the order. */
import type { LockNode } from '../nodes/node.ts';
import type { Clock } from '../std/clock.ts';
import { median } from './ballot.ts';

/** Beyond it the nodes' clocks were set back, and who goes on from before stands behind everybody else for as long. */
const STEPPED_MICROS = 1_000_000;

export class TicketClock {
  readonly #nodes: readonly LockNode[];
  readonly #clock: Clock;
  #last = 0;
  /** What most nodes' clocks showed when any of them was last known, less our monotonic time. */
  #offsetMicros: number | undefined;

  constructor(nodes: readonly LockNode[], clock: Clock) {
    this.#nodes = nodes;
    this.#clock = clock;
  }

  /** Larger than every earlier one of this replica, unless the nodes' clocks have gone back by more than a second. */
  next(): number {
    const now = this.nowMicros();
    this.#last = now < this.#last - STEPPED_MICROS ? now : Math.max(now, this.#last + 1);
    return this.#last;
  }

  /** What most nodes' clocks show, or would by now; our own wall clock counts only before any has shown its own. */
  nowMicros(): number {
    const shown = this.#nodes.flatMap((node) => node.nowMicros?.() ?? []);
    const ownMicros = Math.round(this.#clock.monotonicMs() * 1000);
    if (shown.length > 0) this.#offsetMicros = median(shown) - ownMicros;
    return this.#offsetMicros === undefined ? this.#clock.wallMicros() : ownMicros + this.#offsetMicros;
  }
}
