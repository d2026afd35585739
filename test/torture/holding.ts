/** How long a holder relies on its lease, written down as it finds out. */
import type { Held } from '../harness/history/history.ts';
import { nowMs } from '../harness/pace.ts';
import type { Journal } from './journal.ts';
import type { Lease, Wish } from './locker.ts';
import type { Orders } from './orders.ts';

/** How often it is written down, for the case that its holder is killed. */
const NOTE_MS = 80;

export type Asking = Omit<Wish, 'signal' | 'onQueued'>;

/** The time in which a holder relies on its lease, as it finds it whenever it looks. */
export class Holding {
  readonly #lease: Lease;
  readonly #journal: Journal;
  readonly #ttlMs: number;
  #entry: Held;
  #id: number;
  #lookedMs: number;
  #notedMs: number;
  #over = false;

  constructor(lease: Lease, wish: Asking, orders: Orders, journal: Journal) {
    const atMs = nowMs();
    this.#lease = lease;
    this.#journal = journal;
    this.#ttlMs = wish.ttlMs;
    this.#lookedMs = atMs;
    this.#notedMs = atMs;
    this.#entry = {
      kind: 'held',
      client: orders.name,
      owner: wish.owner,
      leaseRef: lease.leaseRef,
      token: lease.token,
      resources: lease.resources,
      mode: wish.mode,
      fromMs: atMs,
      untilMs: Math.max(atMs, lease.untilMs() ?? atMs),
      end: 'open',
    };
    this.#id = journal.begin(this.#entry);
  }

  /** Whether it still relies on it. */
  look(): boolean {
    if (this.#over) return false;
    const atMs = nowMs();
    const untilMs = this.#lease.untilMs();
    if (untilMs === undefined) {
      const { how, atMs: toldMs = atMs } = this.#lease.ended();
      this.#end(how, toldMs);
      return false;
    }
    // Who has no count of its own was stopped for longer than its ttl: meanwhile it relied on nothing.
    if (atMs - this.#lookedMs > this.#ttlMs && untilMs <= nowMs()) {
      this.#end('open', this.#lookedMs);
      this.#over = false;
      this.#entry = { ...this.#entry, fromMs: atMs };
      this.#id = this.#journal.begin(this.#entry);
    }
    this.#entry = { ...this.#entry, untilMs };
    this.#lookedMs = atMs;
    if (atMs - this.#notedMs > NOTE_MS) {
      this.#notedMs = atMs;
      this.#journal.put(this.#id, this.#entry);
    }
    return true;
  }

  /** Called before the release is sent, or when it walks away. */
  close(): void {
    if (this.look()) this.#end('released', nowMs());
  }

  #end(end: Held['end'], atMs: number): void {
    this.#over = true;
    const untilMs = Math.max(this.#entry.fromMs, Math.min(this.#entry.untilMs, atMs));
    this.#journal.put(this.#id, { ...this.#entry, untilMs, end });
  }
}
