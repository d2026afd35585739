/** The audit log: each act goes into a ring at once and from there to a file, in order, and what is missing is said. */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Act, Probe } from '../domain/probe.ts';
import { type Clock, pause, type Timer } from '../std/clock.ts';
import { Ring } from '../std/ring.ts';
import { AuditFile } from './audit-file.ts';
import { AuditLines } from './audit-lines.ts';
import { Missed } from './events/stretch.ts';
import { Numbers } from './families.ts';

export interface AuditOptions {
  /** HOLDFAST_AUDIT_LOG */
  readonly path: string;
  readonly version: string;
  readonly clock: Clock;
  /** Acts that may wait for the disk. */
  readonly capacity: number;
  readonly notice: Probe['notice'];
  /** Of `auditFailures`. */
  readonly failures: Numbers;
}

/** A file that is open, to go on in or not. */
export interface Reopened {
  take(): void;
  leave(): void;
}

/** What it asks of its file. */
export type Destination = Pick<AuditFile, 'write' | 'sync' | 'close'>;

/** At once is when the last write is over; so many lines go together at most, lest they be made for too long. */
const BATCH = 256;
const RETRY_MS = 1000;
/** A power failure may take what was written within it. */
const SYNC_MS = 1000;
/** A write that takes longer is told of: the disk hangs. */
const HANGS_MS = 5000;
const CUT_SHORT = 'a line was cut short: no space left, or nobody reads the pipe';

/** Exported by every service, also one that writes no audit log. */
export function auditFailures(): Numbers {
  return new Numbers(
    'counter',
    'holdfast_audit_failures_total',
    'Writes of the audit log that failed, and acts that are missing from it.',
  );
}

export class AuditLog {
  readonly probe: Pick<Probe, 'acted'> = { acted: (act) => this.#take(act) };
  readonly #options: AuditOptions;
  readonly #lines = new AuditLines();
  readonly #acts: Ring<Act>;
  readonly #missed = new Missed();
  readonly #outside = AsyncLocalStorage.snapshot();
  #file: Destination;
  /** Made, and not in the file yet; a line about missing acts stands for all of them. */
  #pending: { readonly line: string; readonly acts: number }[] = [];
  #timer: Timer | undefined;
  /** What the timer waits for, where acts that come need not wait with it. */
  #due: 'now' | 'retry' | 'sync' = 'sync';
  #running = false;
  #failing = false;
  #syncedMs: number;
  #unsynced = false;
  #idle: (() => void)[] = [];
  #closed = false;

  constructor(options: AuditOptions, file: Destination) {
    this.#options = options;
    this.#file = file;
    this.#acts = new Ring(options.capacity);
    this.#syncedMs = options.clock.monotonicMs();
  }

  /** The same path anew, for whoever has moved the file away. Rejects where that cannot be; until `take` the old file goes on. */
  async reopened(): Promise<Reopened> {
    const file = await openAuditFile(this.#options);
    return {
      take: () => {
        const old = this.#file;
        this.#file = file;
        this.#wake('now', 0);
        // With what was under way. Nobody waits for a disk that hangs.
        old.close().catch((error: unknown) => this.#failed(textOf(error)));
      },
      leave: () => void file.close().catch(() => {}),
    };
  }

  /** Writes what is left, within the limit; never rejects. */
  async close(limitMs: number): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const { clock, notice } = this.#options;
    this.#wake('now', 0);
    await Promise.race([this.#end(), pause(clock, limitMs)]);
    const unwritten = this.#pending.reduce((sum, { acts }) => sum + acts, 0);
    const left = this.#acts.size + unwritten + this.#missed.count;
    if (left === 0) return;
    this.#options.failures.of().value += left;
    notice('error', 'the audit log ends without the last acts', { missing: left });
  }

  #take(act: Act): void {
    if (this.#closed) {
      this.#failed('it is closed');
      return;
    }
    const gone = this.#acts.push(act);
    if (gone !== undefined) {
      this.#missed.addOne(gone.timeMs);
      this.#failed('more acts than it can take');
    }
    if (!this.#running && (this.#timer === undefined || this.#due === 'sync')) this.#wake('now', 0);
  }

  /** The next look at what there is to do, now or later. */
  #wake(due: 'now' | 'retry' | 'sync', delayMs: number): void {
    this.#timer?.cancel();
    this.#due = due;
    this.#timer = this.#options.clock.after(delayMs, () => {
      this.#timer = undefined;
      if (!this.#running) this.#outside(() => void this.#run());
    });
  }

  async #run(): Promise<void> {
    this.#running = true;
    let syncInMs = 0;
    let failed = false;
    try {
      while (this.#more()) await this.#write();
      syncInMs = await this.#sync();
      this.#works();
    } catch (error) {
      failed = true;
      this.#failed(textOf(error));
    }
    this.#running = false;
    if (!this.#more()) for (const done of this.#idle.splice(0)) done();
    // Somebody asked for another look meanwhile.
    if (this.#timer !== undefined) return;
    if (failed) this.#wake('retry', RETRY_MS);
    else if (this.#more()) this.#wake('now', 0);
    else if (syncInMs > 0) this.#wake('sync', syncInMs);
  }

  #more(): boolean {
    return this.#pending.length > 0 || this.#acts.size > 0 || this.#missed.count > 0;
  }

  async #write(): Promise<void> {
    const { clock } = this.#options;
    if (this.#pending.length === 0) {
      const gap = this.#missed.take();
      if (gap !== undefined) {
        const line = this.#lines.gap(Math.floor(clock.wallMicros() / 1000), gap);
        this.#pending.push({ line, acts: gap.count });
      }
      for (const act of this.#acts.take(BATCH)) this.#pending.push({ line: this.#lines.act(act), acts: 1 });
    }
    const hangs = clock.after(HANGS_MS, () => this.#failed(`no answer from the disk in ${HANGS_MS} ms`));
    try {
      const written = await this.#file.write(this.#pending.map(({ line }) => line));
      this.#pending = this.#pending.slice(written);
      this.#unsynced = true;
    } finally {
      hangs.cancel();
    }
    // To try at once would find the room that was just given back, and fill it again.
    if (this.#pending.length > 0) throw new Error(CUT_SHORT);
  }

  /** In a steady rhythm; returns in how many milliseconds the next one is due. */
  async #sync(): Promise<number> {
    if (!this.#unsynced) return 0;
    const nowMs = this.#options.clock.monotonicMs();
    const waitMs = this.#syncedMs + SYNC_MS - nowMs;
    if (waitMs > 0 && !this.#closed) return waitMs;
    this.#syncedMs = nowMs;
    await this.#file.sync();
    this.#unsynced = false;
    return 0;
  }

  async #end(): Promise<void> {
    if (this.#running || this.#more()) await new Promise<void>((resolve) => this.#idle.push(resolve));
    await this.#file.close().catch((error: unknown) => this.#failed(textOf(error)));
  }

  /** Counted each time, told once. */
  #failed(why: string): void {
    const { path, notice } = this.#options;
    this.#options.failures.of().value += 1;
    if (this.#failing) return;
    this.#failing = true;
    notice('error', 'the audit log cannot be written', { path, why });
  }

  #works(): void {
    if (!this.#failing) return;
    const { path, notice } = this.#options;
    this.#failing = false;
    notice('warn', 'the audit log is written again', { path });
  }
}

/** With a first line in it: a file that can be opened is not yet one that can be written. */
export async function openAuditFile({
  path,
  version,
  clock,
}: Pick<AuditOptions, 'path' | 'version' | 'clock'>): Promise<AuditFile> {
  let file: AuditFile | undefined;
  try {
    file = await AuditFile.open(path, clock);
    const line = new AuditLines().opened(Math.floor(clock.wallMicros() / 1000), version);
    if ((await file.write([line])) === 0) throw new Error(CUT_SHORT);
    await file.sync();
    return file;
  } catch (error) {
    await file?.close().catch(() => {});
    throw new Error(`HOLDFAST_AUDIT_LOG ${path} cannot be written: ${textOf(error)}`);
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
