/** What the archive needs from time to time: old rows deleted in small steps, and writers that are gone found. */
import type { Clock } from '../../std/clock.ts';
import type { ArchiveStore, WriterMark } from './store.ts';

export interface KeeperOptions {
  readonly store: ArchiveStore;
  readonly clock: Clock;
  readonly retentionMs: number;
  /** Who asks: its own mark is none of a dead one. */
  readonly writer: string;
  /** A mark has become a gap. */
  buried(): void;
}

/** So many rows in one transaction: rows that wait to be written do not wait long for it. */
const PURGE_ROWS = 1000;
const TURN_MS = 30_000;
/** So much later a grant may come than the end of its lease, from another replica. */
const SETTLE_MS = 10 * 60_000;
/** While there is more to delete. */
const STEP_MS = 100;
/** A mark that has not moved for so long, by our clock, is that of a dead or cut-off process. */
export const STALE_MS = 60_000;

interface Sight {
  readonly mark: WriterMark;
  readonly sinceMs: number;
  readonly firstUs: number;
}

export class Keeper {
  readonly #options: KeeperOptions;
  #dueMs = 0;
  #seen = new Map<string, Sight>();

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  /** How long until it wants a turn, at most `mostMs`. */
  pauseMs(mostMs: number): number {
    return Math.max(0, Math.min(mostMs, this.#dueMs - this.#options.clock.monotonicMs()));
  }

  /** Rejects as the archive does. */
  async turn(): Promise<void> {
    const { store, clock, retentionMs } = this.#options;
    if (clock.monotonicMs() < this.#dueMs) return;
    const deleted = await store.purge(clock.wallMicros() - retentionMs * 1000, PURGE_ROWS);
    await store.settle(clock.wallMicros() - SETTLE_MS * 1000);
    await this.#look(await store.marks());
    this.#dueMs = clock.monotonicMs() + (deleted < PURGE_ROWS ? TURN_MS : STEP_MS);
  }

  /** By how long a mark stands still here: clocks of other machines may be wrong. */
  async #look(marks: readonly WriterMark[]): Promise<void> {
    const { clock, writer } = this.#options;
    const nowMs = clock.monotonicMs();
    const seen = new Map<string, Sight>();
    for (const mark of marks) {
      if (mark.id === writer) continue;
      const before = this.#seen.get(mark.id);
      const sight =
        before?.mark.seenUs === mark.seenUs ? before : { mark, sinceMs: nowMs, firstUs: clock.wallMicros() };
      if (nowMs - sight.sinceMs >= STALE_MS) await this.#bury(sight);
      else seen.set(mark.id, sight);
    }
    this.#seen = seen;
  }

  /** It may have lived until we first looked: then the archive could be reached, and it did not. */
  async #bury({ mark, firstUs }: Sight): Promise<void> {
    const gap = {
      id: `${mark.id}.end`,
      fromUs: mark.seenUs,
      untilUs: Math.max(mark.seenUs, firstUs),
      events: 0,
      reason: 'failed',
      writer: mark.id,
    } as const;
    if (await this.#options.store.bury(mark, gap)) this.#options.buried();
  }
}
