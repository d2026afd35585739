/** The archive in an SQLite file, as the rest of the process sees it: questions to a thread, and its answers. */
import { Worker } from 'node:worker_threads';
import type { Answer, Appended, Question as Asked } from './sqlite-worker.ts';
import {
  type ArchiveStore,
  type Batch,
  type Question,
  type Row,
  type StoredGap,
  StoreError,
  type WriterMark,
} from './store.ts';

const ENTRY = new URL('./sqlite-worker.ts', import.meta.url);
/** Batches are bounded: a thread that takes more than this has a defect, and must not take the service with it. */
const HEAP_MB = 128;

interface Waiting {
  resolve(value: unknown): void;
  reject(error: StoreError): void;
}

export class SqliteStore implements ArchiveStore {
  readonly kind = 'sqlite';
  readonly #path: string;
  readonly #maxBytes: number;
  readonly #onTrimmed: (rows: number) => void;
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | undefined;
  #count = 0;

  /** `onTrimmed`: so many of the oldest events had to go, for all of it may take `maxBytes`. */
  constructor(path: string, maxBytes = Infinity, onTrimmed: (rows: number) => void = () => {}) {
    this.#path = path;
    this.#maxBytes = maxBytes;
    this.#onTrimmed = onTrimmed;
  }

  async open(): Promise<void> {
    await this.#ask('open');
  }

  async append(batch: Batch): Promise<number> {
    const { added, trimmed } = await this.#ask<Appended>('append', batch);
    if (trimmed > 0) this.#onTrimmed(trimmed);
    return added;
  }

  read(question: Question): Promise<Row[]> {
    return this.#ask('read', question);
  }

  gaps(fromUs: number, untilUs: number, limit: number): Promise<StoredGap[]> {
    return this.#ask('gaps', fromUs, untilUs, limit);
  }

  purge(beforeUs: number, limit: number): Promise<number> {
    return this.#ask('purge', beforeUs, limit);
  }

  settle(sinceUs: number): Promise<void> {
    return this.#ask('settle', sinceUs);
  }

  marks(): Promise<WriterMark[]> {
    return this.#ask('marks');
  }

  bury(mark: WriterMark, gap: StoredGap): Promise<boolean> {
    return this.#ask('bury', mark, gap);
  }

  async close(): Promise<void> {
    const worker = this.#worker;
    if (worker === undefined) return;
    await this.#ask('close');
    this.#worker = undefined;
    await worker.terminate();
  }

  #ask<T>(name: Asked['name'], ...args: readonly unknown[]): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#count += 1;
      const id = this.#count;
      this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      const thread = this.#thread();
      // Whoever waits for an answer keeps the process; a thread without a question does not.
      thread.ref();
      thread.postMessage({ id, name, args } satisfies Asked);
    });
  }

  #thread(): Worker {
    if (this.#worker !== undefined) return this.#worker;
    const worker = new Worker(ENTRY, {
      workerData: { path: this.#path, maxBytes: this.#maxBytes },
      name: 'holdfast-archive',
      // Those of this process may be meant for a test runner or a debugger.
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
    });
    worker.on('message', ({ id, value, error }: Answer) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (this.#waiting.size === 0) worker.unref();
      if (error === undefined) waiting?.resolve(value);
      else waiting?.reject(new StoreError(error.fault, error.message));
    });
    let why = 'it ended';
    worker.on('error', (error) => {
      why = error instanceof Error ? error.message : String(error);
    });
    worker.on('exit', () => {
      if (this.#worker === worker) this.#worker = undefined;
      for (const { reject } of this.#waiting.values()) {
        reject(new StoreError('away', `the thread of the archive is gone: ${why}`));
      }
      this.#waiting.clear();
    });
    this.#worker = worker;
    return worker;
  }
}
