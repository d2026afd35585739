/** Numbers those who wait by when they came: microseconds of the nodes' clocks, so that replicas agree on the order. */
import type { LockNode } from '../nodes/node.ts';
import type { Clock } from '../std/clock.ts';
import { median } from './ballot.ts';

export class TicketClock {
  readonly #nodes: readonly LockNode[];
  readonly #clock: Clock;
  #last = 0;

  constructor(nodes: readonly LockNode[], clock: Clock) {
    this.#nodes = nodes;
    this.#clock = clock;
  }

  /** Larger than every earlier one of this replica; our own clock counts only where no node has shown its own yet. */
  next(): number {
    this.#last = Math.max(this.nowMicros(), this.#last + 1);
    return this.#last;
  }

  /** What most nodes' clocks show. */
  nowMicros(): number {
    const shown = this.#nodes.flatMap((node) => node.nowMicros?.() ?? []);
    return shown.length > 0 ? median(shown) : this.#clock.wallMicros();
  }
}
