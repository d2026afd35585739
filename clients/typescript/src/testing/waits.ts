/** Those who wait in line: who is served next, who has to give way, and who is told of a new place. */
import type { Timer } from '../clock.ts';
import { deadlocked } from './cycle.ts';
import { type HoldersOf, inOrder, type Place, pick, standing } from './line.ts';
import type { AcquireAsk, Asker, Waiter } from './model.ts';
import type { Ticket } from './past.ts';
import type { Refusal } from './refusals.ts';

export class Wait implements Place {
  readonly ask: AcquireAsk;
  readonly asker: Asker;
  readonly ticketMs: number;
  readonly number: number;
  /** When this wait began, which may be after its ticket. */
  readonly sinceMs: number;
  timer: Timer | undefined;
  #told = 0;

  constructor(ask: AcquireAsk, asker: Asker, { ticketMs, number }: Ticket, sinceMs: number) {
    this.ask = ask;
    this.asker = asker;
    this.ticketMs = ticketMs;
    this.number = number;
    this.sinceMs = sinceMs;
  }

  /** Whether it stands where it did not stand when this was asked last. */
  moved(position: number): boolean {
    const moved = position !== this.#told;
    this.#told = position;
    return moved;
  }
}

export class Waits {
  readonly #waits = new Set<Wait>();
  readonly #holdersOf: HoldersOf;

  constructor(holdersOf: HoldersOf) {
    this.#holdersOf = holdersOf;
  }

  get order(): Wait[] {
    return inOrder(this.#waits);
  }

  add(wait: Wait): void {
    this.#waits.add(wait);
  }

  /** False if it does not wait any more. */
  remove(wait: Wait): boolean {
    wait.timer?.cancel();
    return this.#waits.delete(wait);
  }

  /** What `ask`, which stands nowhere yet, gets now. */
  pick(ask: AcquireAsk): readonly string[] | undefined {
    return pick(ask, undefined, this.order, this.#holdersOf);
  }

  /** The first in order that can go on, with what it gets. */
  next(): { readonly wait: Wait; readonly names: readonly string[] } | undefined {
    const { order } = this;
    for (const wait of order) {
      const names = pick(wait.ask, wait, order, this.#holdersOf);
      if (names !== undefined) return { wait, names };
    }
    return undefined;
  }

  victim(): { readonly victim: Wait; readonly refusal: Refusal } | undefined {
    return deadlocked(this.order, this.#holdersOf);
  }

  standing(wait: Wait): { position: number; queueLength: number } {
    return standing(wait, this.order);
  }

  /** How many wait for the busiest of `resources`. */
  longest(resources: readonly string[]): number {
    return Math.max(0, ...resources.map((resource) => this.#inLine(resource).length));
  }

  /** `wallMs` turns a moment of the monotonic clock into one of the wall clock. */
  waiters(resource: string, wallMs: (monotonicMs: number) => number): Waiter[] {
    return this.#inLine(resource).map(({ ask, sinceMs }, index) => ({
      owner: ask.owner,
      position: index + 1,
      priority: ask.priority,
      sinceMs: wallMs(sinceMs),
      mode: ask.mode,
    }));
  }

  #inLine(resource: string): Wait[] {
    return this.order.filter(({ ask }) => ask.resources.includes(resource));
  }
}
