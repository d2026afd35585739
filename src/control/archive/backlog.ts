/** Rows that wait for the archive, the oldest first; cheap to give up from, for whoever is full gives up with each row. */
import type { NewRow } from './store.ts';

/** What was taken is not moved away each time: a queue of thousands would be copied for every row. */
const GONE_MAX = 4096;

export class Backlog {
  #rows: NewRow[] = [];
  #gone = 0;

  get size(): number {
    return this.#rows.length - this.#gone;
  }

  push(row: NewRow): void {
    this.#rows.push(row);
  }

  /** The oldest, at most so many; they leave. */
  take(most: number): NewRow[] {
    const taken = this.#rows.slice(this.#gone, this.#gone + most);
    this.#gone += taken.length;
    if (this.size === 0 || this.#gone >= GONE_MAX) {
      this.#rows = this.#rows.slice(this.#gone);
      this.#gone = 0;
    }
    return taken;
  }

  /** What was taken last, and is older than all that is here. */
  putBack(rows: readonly NewRow[]): void {
    this.#rows = [...rows, ...this.#rows.slice(this.#gone)];
    this.#gone = 0;
  }

  get oldestUs(): number {
    let oldestUs = Number.POSITIVE_INFINITY;
    for (let at = this.#gone; at < this.#rows.length; at += 1) {
      oldestUs = Math.min(oldestUs, this.#rows[at]!.timeUs);
    }
    return oldestUs;
  }
}
