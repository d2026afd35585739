/** Brings rows into the archive, one batch at a time: keeps them while it is away, and counts what it had to give up. */
import type { HistoryGap } from '../../locks/locks.ts';
import type { Clock, Timer } from '../../std/clock.ts';
import type { Random } from '../../std/random.ts';
import { Backlog } from './backlog.ts';
import { Gaps } from './gaps.ts';
import { Keeper } from './keeper.ts';
import { type ArchiveStore, type Batch, type NewRow, StoreError } from './store.ts';

export interface WriterOptions {
  readonly store: ArchiveStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly retentionMs: number;
  /** Rows that wait for the archive; beyond that the oldest are lost. */
  readonly pendingMax: number;
  readonly news: WriterNews;
}

/** What the rest of the process hears; none may throw. */
export interface WriterNews {
  /** `why` of an archive that is away. */
  state(up: boolean, why: string): void;
  added(rows: number): void;
  lost(gap: HistoryGap): void;
  /** A process has ended without a word. */
  buried(): void;
}

const BATCH_ROWS = 1024;
/** Something is written at least so often, so that an end without a word is told from silence. */
export const MARK_MS = 10_000;
/** What was captured may take so long to come here. */
const MARGIN_MS = 5000;
const RETRY_MS = 100;
const RETRY_MAX_MS = 5000;
/** A schema that is too new does not pass by itself: somebody has to act. */
const NEWER_MS = 60_000;
/** An archive that takes so long for one batch counts as away. */
const LATE_MS = 5000;

export class Writer {
  readonly #options: WriterOptions;
  readonly #id: string;
  readonly #gaps: Gaps;
  readonly #keeper: Keeper;
  readonly #pending = new Backlog();
  #inFlight: readonly NewRow[] = [];
  #opened = false;
  #opening: Promise<void> | undefined;
  #up = false;
  #why = '';
  #failures = 0;
  #timer: Timer | undefined;
  #working: Promise<void> | undefined;
  #closing = false;

  constructor(options: WriterOptions) {
    this.#options = options;
    this.#id = options.random.bytes(9).toString('base64url');
    this.#gaps = new Gaps(this.#id);
    const { store, clock, retentionMs, news } = options;
    this.#keeper = new Keeper({ store, clock, retentionMs, writer: this.#id, buried: () => news.buried() });
  }

  /** Rejects when it cannot be opened now; from `start` on it is tried again and again. */
  open(): Promise<void> {
    this.#opening ??= this.#options.store
      .open()
      .then(() => {
        this.#opened = true;
      })
      .finally(() => {
        this.#opening = undefined;
      });
    return this.#opening;
  }

  start(): void {
    this.#kick();
  }

  get up(): boolean {
    return this.#up;
  }

  /** Of this process, not in the archive yet as they are; by their ids there. */
  get gaps(): ReadonlyMap<string, HistoryGap> {
    return this.#gaps.all();
  }

  /** How many more rows can wait. */
  get room(): number {
    return this.#options.pendingMax - this.#pending.size - this.#inFlight.length;
  }

  put(rows: readonly NewRow[]): void {
    for (const row of rows) this.#pending.push(row);
    // What is being written now may still arrive.
    const excess = Math.min(-this.room, this.#pending.size);
    if (excess > 0) this.#giveUp(this.#up ? 'dropped' : 'failed', this.#pending.take(excess));
    // While it is away its next turn comes by itself.
    if (this.#failures === 0) this.#kick();
  }

  missed(reason: HistoryGap['reason'], events: number, fromMs: number, untilMs: number): void {
    this.#gaps.add(reason, events, fromMs, untilMs);
    this.#options.news.lost({ reason, events, fromMs, untilMs });
    if (this.#failures === 0) this.#kick();
  }

  /** Writes the rest, as far as the archive takes it; the rest of that is found as a gap by the mark that stays. */
  async close(limitMs: number): Promise<void> {
    this.#closing = true;
    this.#timer?.cancel();
    const bound = new Promise<void>((resolve) => {
      this.#options.clock.after(limitMs, resolve);
    });
    await Promise.race([this.#last(), bound]);
  }

  async #last(): Promise<void> {
    await this.#working;
    this.#timer?.cancel();
    if (this.#opened) {
      while (this.#failures === 0 && (this.#pending.size > 0 || this.#gaps.some)) await this.#write();
      const mark = { id: this.#id, seenUs: this.#coveredUs() };
      if (this.#failures === 0) {
        await this.#options.store.append({ rows: [], gaps: [], mark, leaves: true }).catch(() => {});
      }
    }
    await this.#options.store.close().catch(() => {});
  }

  #kick(): void {
    if (this.#working !== undefined || this.#closing) return;
    this.#timer?.cancel();
    this.#working = this.#work().finally(() => {
      this.#working = undefined;
      if (!this.#closing) this.#timer = this.#options.clock.after(this.#pauseMs(), () => this.#kick());
    });
  }

  /** Until nothing waits, or the archive does not take it. */
  async #work(): Promise<void> {
    do {
      await this.#write();
      if (this.#failures === 0) await this.#keep();
    } while (this.#failures === 0 && (this.#pending.size > 0 || this.#gaps.some) && !this.#closing);
  }

  #pauseMs(): number {
    if (this.#failures === 0) return this.#keeper.pauseMs(MARK_MS);
    if (this.#why === 'newer') return NEWER_MS;
    const ms = Math.min(RETRY_MAX_MS, RETRY_MS * 2 ** Math.min(this.#failures - 1, 10));
    // Replicas that lost their archive together do not come back in step.
    return ms * (0.5 + this.#options.random.fraction() / 2);
  }

  async #write(): Promise<void> {
    const { store, news } = this.#options;
    this.#inFlight = this.#pending.take(BATCH_ROWS);
    const told = this.#gaps.tell();
    const late = this.#options.clock.after(LATE_MS, () => this.#down('away', 'no answer in time'));
    try {
      if (!this.#opened) await this.open();
      const mark = { id: this.#id, seenUs: this.#coveredUs() };
      const batch: Batch = { rows: this.#inFlight, gaps: told.gaps, mark };
      const added = await store.append(batch);
      this.#inFlight = [];
      told.confirmed();
      if (added > 0) news.added(added);
      this.#isUp();
    } catch (error) {
      this.#failed(error);
    } finally {
      late.cancel();
    }
  }

  #failed(error: unknown): void {
    const fault = error instanceof StoreError ? error.fault : 'away';
    const rows = this.#inFlight;
    this.#inFlight = [];
    if (fault === 'refused') this.#giveUp('failed', rows);
    else {
      this.#pending.putBack(rows);
      const excess = -this.room;
      if (excess > 0) this.#giveUp('failed', this.#pending.take(excess));
    }
    this.#failures += 1;
    this.#down(fault, error instanceof Error ? error.message : String(error));
  }

  async #keep(): Promise<void> {
    try {
      await this.#keeper.turn();
    } catch (error) {
      this.#failed(error);
    }
  }

  #giveUp(reason: HistoryGap['reason'], rows: readonly NewRow[]): void {
    let fromUs = Number.POSITIVE_INFINITY;
    let untilUs = 0;
    for (const { timeUs } of rows) {
      fromUs = Math.min(fromUs, timeUs);
      untilUs = Math.max(untilUs, timeUs);
    }
    if (rows.length > 0) this.missed(reason, rows.length, fromUs / 1000, untilUs / 1000);
  }

  /** Everything before is in the archive, or in a gap of it. */
  #coveredUs(): number {
    return Math.floor(Math.min(this.#pending.oldestUs, this.#options.clock.wallMicros() - MARGIN_MS * 1000));
  }

  #isUp(): void {
    this.#failures = 0;
    this.#why = '';
    if (!this.#up) this.#options.news.state(true, '');
    this.#up = true;
  }

  #down(fault: string, why: string): void {
    if (this.#up || this.#why !== fault) this.#options.news.state(false, why);
    this.#why = fault;
    this.#up = false;
  }
}
