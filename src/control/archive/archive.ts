/** The history archive: a sink of the event pipeline, and the past that Inspect and History are answered from. */
import type { HistoryGap, LockEvent } from '../../locks/locks.ts';
import type { Clock } from '../../std/clock.ts';
import type { Random } from '../../std/random.ts';
import type { ControlEvent, EventSink } from '../events/event.ts';
import type { ArchiveNumbers } from './numbers.ts';
import { rowOfEvent, rowsOfHappening } from './row.ts';
import type { ArchiveStore, Question, Row } from './store.ts';
import { Writer } from './writer.ts';

export interface ArchiveOptions {
  readonly store: ArchiveStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly retentionMs: number;
  readonly pendingMax: number;
  readonly numbers: ArchiveNumbers;
  notice(level: 'info' | 'warn' | 'error', message: string, facts?: Record<string, unknown>): void;
  /** Events are lost; of one outage more than once. */
  onGap?(gap: HistoryGap): void;
}

/** What the past is asked for; undefined: the archive did not answer in time. */
export interface Past {
  find(question: Question): Promise<readonly Row[] | undefined>;
  gaps(fromMs: number, untilMs: number): Promise<readonly HistoryGap[] | undefined>;
}

/** Whoever asks what holds a lock must not wait for a database. */
export const READ_MS = 500;
/** After a question without an answer the archive is left alone for a while. */
const REST_MS = 2000;
const READS_MAX = 32;
/** What a drain waits for the last rows. */
const LAST_MS = 3000;
/** More than a page of them tells nobody more. */
const GAPS_MAX = 256;

export class Archive implements EventSink, Past {
  readonly name = 'archive';
  readonly #options: ArchiveOptions;
  readonly #writer: Writer;
  #reads = 0;
  #restUntilMs = 0;

  constructor(options: ArchiveOptions) {
    this.#options = options;
    const { store, clock, random, retentionMs, pendingMax, numbers, notice } = options;
    const news = {
      state: (up: boolean, why: string): void => this.#state(up, why),
      added: (rows: number): void => numbers.added(rows),
      lost: (gap: HistoryGap): void => {
        numbers.lost(gap.reason, gap.events);
        options.onGap?.(gap);
      },
      buried: (): void =>
        notice('warn', 'the archive has a gap: a replica ended without a word', { archive: store.kind }),
    };
    this.#writer = new Writer({ store, clock, random, retentionMs, pendingMax, news });
  }

  /** Rejects when it cannot be opened now. */
  open(): Promise<void> {
    return this.#writer.open();
  }

  start(): void {
    this.#writer.start();
  }

  /** Taken at once: what the archive does not take now waits here, so the pipeline need not. */
  async deliver(batch: readonly ControlEvent[]): Promise<void> {
    this.#writer.put(batch.flatMap(({ happening }) => rowsOfHappening(happening)));
  }

  missed(count: number, fromMs: number, untilMs: number): void {
    this.#writer.missed('dropped', count, fromMs, untilMs);
  }

  /**
   * What nodes remember, from whoever looks at them: the archive takes what it does not have. How many were taken:
   * none of them pushes out what was captured here.
   */
  backfill(events: readonly LockEvent[]): number {
    // A node keeps the latest renewal only, under a new time each.
    const rows = events.filter(({ type }) => type !== 'renewed').map(rowOfEvent);
    // Half is for what happens here.
    const taken = rows.slice(0, Math.max(0, this.#writer.room - Math.floor(this.#options.pendingMax / 2)));
    if (taken.length > 0) this.#writer.put(taken);
    return taken.length;
  }

  find(question: Question): Promise<readonly Row[] | undefined> {
    return this.#bounded(() => this.#options.store.read(question));
  }

  async gaps(fromMs: number, untilMs: number): Promise<readonly HistoryGap[] | undefined> {
    const { store } = this.#options;
    const before = this.#writer.gaps;
    const found = await this.#bounded(() => store.gaps(fromMs * 1000, untilMs * 1000, GAPS_MAX));
    if (found === undefined) return undefined;
    const stored = found.map(({ id, fromUs, untilUs, events, reason }): [string, HistoryGap] => [
      id,
      { fromMs: fromUs / 1000, untilMs: untilUs / 1000, events, reason },
    ]);
    // By their ids: one may be stored, or grow, while the archive is asked.
    const all = new Map([...before, ...stored, ...this.#writer.gaps]);
    return [...all.values()].filter((gap) => gap.untilMs >= fromMs && gap.fromMs <= untilMs);
  }

  async close(limitMs = LAST_MS): Promise<void> {
    await this.#writer.close(limitMs);
  }

  async #bounded<T>(ask: () => Promise<T>): Promise<T | undefined> {
    const { clock } = this.#options;
    if (clock.monotonicMs() < this.#restUntilMs || this.#reads >= READS_MAX) return undefined;
    this.#reads += 1;
    const asked = ask().finally(() => {
      this.#reads -= 1;
    });
    let why = `no answer within ${READ_MS} ms`;
    const answer = await new Promise<{ readonly value: T } | undefined>((resolve) => {
      const timer = clock.after(READ_MS, () => resolve(undefined));
      asked.then(
        (value) => {
          timer.cancel();
          resolve({ value });
        },
        (error: unknown) => {
          timer.cancel();
          why = error instanceof Error ? error.message : String(error);
          resolve(undefined);
        },
      );
    });
    if (answer !== undefined) return answer.value;
    this.#restUntilMs = clock.monotonicMs() + REST_MS;
    this.#options.notice('warn', 'the archive did not answer: the past is told without it', { cause: why });
    return undefined;
  }

  #state(up: boolean, why: string): void {
    const { numbers, notice, store } = this.#options;
    numbers.up(up);
    if (up) notice('info', 'the archive takes history', { archive: store.kind });
    else {
      notice('warn', 'the archive does not take history: it waits here, and what is too much is lost', {
        archive: store.kind,
        cause: why,
      });
    }
  }
}
