/** Virtual time: what is due, in order; between two events everything that the first one made ready runs to its end. */

export interface Due {
  cancel(): void;
}

interface Event extends Due {
  readonly atMs: number;
  readonly order: number;
  act: (() => void) | undefined;
}

/** Immediates that are asked for at once: between any two of them the event loop runs all microtasks. */
const AT_ONCE = 64;

export class Timeline {
  #nowMs: number;
  #order = 0;
  /** A binary heap by (atMs, order). */
  readonly #heap: Event[] = [];
  #ending: (() => void)[] = [];
  #defect: Error | undefined;

  constructor(fromMs: number) {
    this.#nowMs = fromMs;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** The first thing that was thrown by an event; nothing happens after it. */
  get defect(): Error | undefined {
    return this.#defect;
  }

  fail(cause: unknown): void {
    this.#defect ??= cause instanceof Error ? cause : new Error(String(cause));
  }

  at(atMs: number, act: () => void): Due {
    this.#order += 1;
    const event: Event = {
      atMs: Math.max(atMs, this.#nowMs),
      order: this.#order,
      act,
      cancel() {
        this.act = undefined;
      },
    };
    this.#put(event);
    return event;
  }

  after(delayMs: number, act: () => void): Due {
    return this.at(this.#nowMs + delayMs, act);
  }

  /** Runs `act` once all that this turn made ready has run, before the next event. */
  atTurnEnd(act: () => void): void {
    this.#ending.push(act);
  }

  /** Resolves when everything due until then has happened, or at the first defect. */
  run(untilMs: number): Promise<void> {
    return new Promise((resolve) => {
      let over = false;
      const turn = (): void => {
        if (over) return;
        over = !this.#turn(untilMs);
        if (over) resolve();
      };
      const pump = (): void => {
        turn();
        if (over) return;
        for (let index = 1; index < AT_ONCE; index += 1) setImmediate(turn);
        setImmediate(pump);
      };
      setImmediate(pump);
    });
  }

  /** False: there is nothing more until then. */
  #turn(untilMs: number): boolean {
    try {
      while (this.#ending.length > 0) {
        const ending = this.#ending;
        this.#ending = [];
        for (const act of ending) act();
      }
      let next = this.#heap[0];
      while (next !== undefined && next.act === undefined) {
        this.#take();
        next = this.#heap[0];
      }
      if (this.#defect === undefined && next !== undefined && next.atMs <= untilMs) {
        this.#take();
        this.#nowMs = next.atMs;
        const { act } = next;
        next.act = undefined;
        act?.();
        return true;
      }
    } catch (cause) {
      this.fail(cause);
    }
    if (this.#defect === undefined) this.#nowMs = Math.max(this.#nowMs, untilMs);
    return false;
  }

  #put(event: Event): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = heap[above]!;
      if (!isBefore(event, parent)) break;
      heap[at] = parent;
      at = above;
    }
    heap[at] = event;
  }

  #take(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    const { length } = heap;
    if (length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= length) break;
      if (child + 1 < length && isBefore(heap[child + 1]!, heap[child]!)) child += 1;
      const lower = heap[child]!;
      if (!isBefore(lower, last)) break;
      heap[at] = lower;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(one: Event, other: Event): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
}
