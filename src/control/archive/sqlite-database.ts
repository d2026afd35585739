/** The archive in an SQLite file. Its calls block, so it lives in a thread of its own (sqlite-worker.ts). */
import { closeSync, openSync } from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import type { Access, Database, Dialect, Fields, Session, Value } from './schema.ts';
import { type FaultKind, StoreError } from './store.ts';

const dialect: Dialect = {
  text: 'TEXT',
  elements: 'json_each($1)',
  hasMigrations: "SELECT count(*) AS known FROM sqlite_master WHERE name = 'holdfast_migrations'",
  // Each write begins IMMEDIATE, so there is one writer anyway.
  lockSchema: undefined,
  passOver: '',
};

/** Other processes may write to the same file; who asks for the past must not wait long behind that. */
const BUSY_MS = 1000;
const STEP_MS = 20;
/** Nobody ever wakes it. */
const SLEEP = new Int32Array(new SharedArrayBuffer(4));
/** Of SQLite's result codes: the file is locked, damaged, full, a constraint, a value of the wrong kind, no database. */
const BUSY = 5;
const CORRUPT = 11;
const FULL = 13;
const CONSTRAINT = 19;
const MISMATCH = 20;
const NOT_A_DATABASE = 26;
/** No file can be there, or none of this user. */
const NOWHERE = ['EACCES', 'EISDIR', 'ENOENT', 'ENOTDIR', 'EPERM', 'EROFS'];
/** Texts of reads differ with their questions: what is kept prepared is bounded. */
const PREPARED_MAX = 64;

export class SqliteDatabase implements Database {
  readonly dialect = dialect;
  readonly #path: string;
  readonly #sleep: (ms: number) => void;
  #handle: DatabaseSync | undefined;
  readonly #prepared = new Map<string, StatementSync>();

  /** `sleep` blocks, as all of its calls do. */
  constructor(path: string, sleep = sleepBlocking) {
    this.#path = path;
    this.#sleep = sleep;
  }

  async transaction<T>(access: Access, work: (session: Session) => Promise<T>): Promise<T> {
    try {
      const handle = this.#open();
      if (access === 'read') return await work(this.#session(handle));
      handle.exec('BEGIN IMMEDIATE');
      const result = await work(this.#session(handle));
      handle.exec('COMMIT');
      return result;
    } catch (error) {
      this.#recover(codeOf(error));
      throw faultOf(error);
    }
  }

  /** What the file has in use; pages that were freed are filled anew before it grows. */
  get usedBytes(): number {
    const handle = this.#open();
    const pragma = (name: string): number =>
      Number(Object.values(this.#statement(handle, `PRAGMA ${name}`).get()!)[0]);
    return (pragma('page_count') - pragma('freelist_count')) * pragma('page_size');
  }

  close(): void {
    this.#prepared.clear();
    this.#handle?.close();
    this.#handle = undefined;
  }

  #open(): DatabaseSync {
    if (this.#handle !== undefined) return this.#handle;
    // SQLite gives its other files (-wal, -shm) the rights of this one.
    closeSync(openSync(this.#path, 'a', 0o600));
    const handle = new DatabaseSync(this.#path);
    try {
      patiently(() => handle.exec('PRAGMA journal_mode = WAL'), this.#sleep);
      handle.exec(`PRAGMA busy_timeout = ${BUSY_MS}`);
      // A power cut may take the last commits, never the file; a killed process takes nothing.
      handle.exec('PRAGMA synchronous = NORMAL');
      handle.exec('PRAGMA journal_size_limit = 16777216');
    } catch (error) {
      handle.close();
      throw error;
    }
    this.#handle = handle;
    return handle;
  }

  #session(handle: DatabaseSync): Session {
    const prepared = (text: string): StatementSync => this.#statement(handle, text);
    return {
      async run(text: string, ...values: readonly Value[]) {
        return Number(prepared(text).run(...values).changes);
      },
      async all(text: string, ...values: readonly Value[]) {
        return prepared(text).all(...values) as readonly Fields[];
      },
    };
  }

  #statement(handle: DatabaseSync, text: string): StatementSync {
    const found = this.#prepared.get(text);
    if (found !== undefined) return found;
    const made = handle.prepare(text.replace(/\$(\d+)/g, '?$1'));
    if (this.#prepared.size >= PREPARED_MAX) this.#prepared.clear();
    this.#prepared.set(text, made);
    return made;
  }

  /** A full disk may rule out the file itself as well: whatever is not merely busy is opened anew. */
  #recover(code: number | undefined): void {
    try {
      if (this.#handle?.isTransaction) this.#handle.exec('ROLLBACK');
      if (code !== BUSY && code !== FULL) this.close();
    } catch {
      this.#handle = undefined;
      this.#prepared.clear();
    }
  }
}

/**
 * For BUSY_MS in all, and not by SQLite's own patience, which is off until then: it does not wait for this one where two
 * that open a new file together would wait for each other, and where it does, its waits would add up.
 */
function patiently(act: () => void, sleep: (ms: number) => void): void {
  for (let triesLeft = BUSY_MS / STEP_MS; ; triesLeft -= 1) {
    try {
      act();
      return;
    } catch (error) {
      if (codeOf(error) !== BUSY || triesLeft <= 0) throw error;
      sleep(STEP_MS);
    }
  }
}

function sleepBlocking(ms: number): void {
  Atomics.wait(SLEEP, 0, 0, ms);
}

/** The primary result code is the lowest byte. */
function codeOf(error: unknown): number | undefined {
  const code = (error as { errcode?: unknown } | null)?.errcode;
  return typeof code === 'number' ? code & 0xff : undefined;
}

function faultOf(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  return new StoreError(kindOf(error), error instanceof Error ? error.message : String(error));
}

function kindOf(error: unknown): FaultKind {
  const code = codeOf(error);
  if (code === CONSTRAINT || code === MISMATCH) return 'refused';
  const isNowhere = NOWHERE.includes(String((error as NodeJS.ErrnoException).code));
  return isNowhere || code === CORRUPT || code === NOT_A_DATABASE ? 'unusable' : 'away';
}
