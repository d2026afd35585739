/**
 * Watching: asks the nodes for their news while somebody watches, makes one story of them, and hands it out.
 *
 * Nodes tell what happens when it happens to them, and a lease that nobody touches ends without anything happening.
 * So the ends of what is watched are counted down here, and the nodes are asked to settle when one is due.
 */
import type { News } from '../nodes/node.ts';
import type { Quorum } from '../quorum/quorum.ts';
import type { Timer } from '../std/clock.ts';
import { list, lookAt } from './inspect.ts';
import type { HolderView, WatchAsk, Watcher } from './locks.ts';
import { Tidings } from './tidings.ts';
import { standingOf } from './views.ts';

const WATCH_FOR_MS = 30_000;
const ASK_AGAIN_MS = 10_000;
const COUNT_DOWN_MS = 200;
/** Nodes' clocks differ from ours by rounding. */
const LATE_MS = 5;
/** Ends that are counted down; locks beyond that end when somebody touches or sweeps them. */
const COUNTED = 100_000;

export class Watches {
  readonly #quorum: Quorum;
  readonly #watching = new Map<Watcher, (resource: string) => boolean>();
  #tidings: Tidings;
  /** When each watched lease ends by what is known, in our monotonic milliseconds. */
  readonly #ends = new Map<string, { readonly resource: string; readonly atMs: number }>();
  #timers: Timer[] = [];

  constructor(quorum: Quorum) {
    this.#quorum = quorum;
    this.#tidings = new Tidings(quorum.majority);
    quorum.wakeups.onNews = (node, news) => this.#hear(node, news);
    quorum.wakeups.onMissed = () => {
      for (const watcher of this.#watching.keys()) watcher.missed(1);
    };
  }

  /** Resolves when the nodes that can be reached tell their news; the result ends it. */
  async watch(ask: WatchAsk, watcher: Watcher): Promise<() => void> {
    const names = new Set(ask.resources);
    const all = names.size === 0 && ask.prefix === '';
    const byPrefix = all || ask.prefix !== '';
    const first = this.#watching.size === 0;
    this.#watching.set(
      watcher,
      (resource) => names.has(resource) || (byPrefix && resource.startsWith(ask.prefix)),
    );
    if (first) this.#begin();
    await this.#quorum.votes.all({ kind: 'watch', forMs: WATCH_FOR_MS });
    void this.#seed(ask, byPrefix, watcher);
    return () => {
      this.#watching.delete(watcher);
      if (this.#watching.size === 0) this.#end();
    };
  }

  #begin(): void {
    const { clock } = this.#quorum;
    const askAgain = (): void => {
      void this.#quorum.votes.all({ kind: 'watch', forMs: WATCH_FOR_MS });
      this.#timers[0] = clock.after(ASK_AGAIN_MS, askAgain);
    };
    const countDown = (): void => {
      this.#countDown();
      this.#timers[1] = clock.after(COUNT_DOWN_MS, countDown);
    };
    this.#timers = [clock.after(ASK_AGAIN_MS, askAgain), clock.after(COUNT_DOWN_MS, countDown)];
  }

  #end(): void {
    for (const timer of this.#timers) timer.cancel();
    this.#ends.clear();
    this.#tidings = new Tidings(this.#quorum.majority);
  }

  #hear(node: number, news: News): void {
    if (this.#watching.size === 0) return;
    const watchers = [...this.#watching].filter(([, wants]) => wants(news.resource));
    if (watchers.length === 0) return;
    if (news.type === 'held' || news.type === 'renewed') this.#expect(news, news.remainingMs);
    const event = this.#tidings.hear(node, news);
    if (event !== undefined) for (const [watcher] of watchers) watcher.event(event);
  }

  #expect({ resource, leaseRef }: Pick<HolderView, 'resource' | 'leaseRef'>, remainingMs: number): void {
    const lease = `${resource} ${leaseRef}`;
    if (this.#ends.size >= COUNTED && !this.#ends.has(lease)) return;
    this.#ends.set(lease, { resource, atMs: this.#quorum.clock.monotonicMs() + remainingMs + LATE_MS });
  }

  /** What is held already was not told: it has to be looked up once. */
  async #seed(ask: WatchAsk, byPrefix: boolean, watcher: Watcher): Promise<void> {
    for (const resource of ask.resources) {
      if (this.#watching.has(watcher)) await this.#lookUp(resource);
    }
    if (!byPrefix) return;
    let after = '';
    do {
      const page = await list(this.#quorum, { prefix: ask.prefix, owner: '', pageSize: 1000, after });
      if (page.kind === 'refusal') return;
      for (const { holders } of page.locks) this.#expectEnds(holders);
      after = page.next;
    } while (after !== '' && this.#watching.has(watcher) && this.#ends.size < COUNTED);
  }

  async #lookUp(resource: string): Promise<void> {
    const seen = await lookAt(this.#quorum, resource, 0);
    if (seen.kind === 'refusal') return;
    const { holders } = standingOf(seen.looks, this.#quorum.majority);
    for (const holder of holders) this.#expect(holder, holder.remainingMs);
  }

  #expectEnds(holders: readonly HolderView[]): void {
    const nowMs = this.#quorum.clock.wallMicros() / 1000;
    for (const holder of holders) this.#expect(holder, holder.expireTimeMs - nowMs);
  }

  /** Asks the nodes to forget what is over; what goes on, for it was renewed, is counted down anew. */
  #countDown(): void {
    const nowMs = this.#quorum.clock.monotonicMs();
    for (const [lease, { resource, atMs }] of this.#ends) {
      if (atMs > nowMs) continue;
      this.#ends.delete(lease);
      void this.#quorum.votes.all({ kind: 'settle', resources: [resource] });
      void this.#lookUp(resource);
    }
  }
}
