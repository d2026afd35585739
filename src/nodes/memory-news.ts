/** What a memory node tells once an operation is complete: wakes to a waiter's replica, the rest to everybody (line.ts). */
import type { Ears, News, Wake } from './line.ts';

/** How far an end of watching may lie ahead: a clock that stepped back must not keep the news flowing. */
const WATCH_MICROS_MAX = 60_000_000;

/** What one operation has to tell, gathered while it runs. */
export interface Told {
  readonly wakes: readonly { readonly replica: string; readonly wake: Wake }[];
  readonly news: readonly News[];
  /** Leases that were ended by force. */
  readonly forced: readonly string[];
}

/** Until when somebody watches, by a node whose clock may have been set back since. */
export function watchedUntil(untilMicros: number, nowMicros: number): number {
  return Math.min(untilMicros, nowMicros + WATCH_MICROS_MAX);
}

/**
 * Tells in the order in which operations were complete, even when somebody who hears asks the node again at once.
 *
 * Who asked is not known here, so a waiter is woken by a `released` of its own replica too: one wake too many is
 * harmless, for whoever is woken looks before it asks.
 */
export class Announcer {
  readonly #ears: Ears[] = [];
  readonly #queue: Told[] = [];
  #telling = false;

  hear(ears: Ears): void {
    this.#ears.push(ears);
  }

  tell(told: Told): void {
    const { wakes, news, forced } = told;
    if (this.#ears.length === 0 || wakes.length + news.length + forced.length === 0) return;
    this.#queue.push(told);
    if (this.#telling) return;
    this.#telling = true;
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      for (const ears of this.#ears) tellOne(ears, next);
    }
    this.#telling = false;
  }

  missed(): void {
    for (const ears of this.#ears) guarded(() => ears.missed());
  }
}

function tellOne(ears: Ears, { wakes, news, forced }: Told): void {
  for (const { replica, wake } of wakes) if (replica === ears.replica) guarded(() => ears.wake(wake));
  for (const one of news) guarded(() => ears.news(one));
  for (const leaseRef of forced) guarded(() => ears.forced(leaseRef));
}

/** Whoever hears may not throw; if one does, the operation is done all the same and its asker gets its answer. */
function guarded(tell: () => void): void {
  try {
    tell();
  } catch {
    // A defect of the listener: what it missed may be lost by contract.
  }
}
