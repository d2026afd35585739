/** The thread in which SQLite blocks: takes one question after the other, so that no lock waits for a disk. */
import { parentPort, workerData } from 'node:worker_threads';
import { queries, trim } from './queries.ts';
import { migrate } from './schema.ts';
import { SqliteDatabase } from './sqlite-database.ts';
import { type Batch, type FaultKind, StoreError } from './store.ts';

export interface Question {
  readonly id: number;
  readonly name: keyof typeof queries | 'open' | 'close';
  readonly args: readonly unknown[];
}

export interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: { readonly fault: FaultKind; readonly message: string };
}

/** How many rows were new, and how many old ones went. */
export interface Appended {
  readonly added: number;
  readonly trimmed: number;
}

/** What the write-ahead log takes besides: it is cut to 16 MiB, and longer while somebody reads. */
const LOG_BYTES = 32 * 2 ** 20;
/** Twice what came, so that it does not grow; and not for each single row. */
const TRIM_LEAST = 128;

const { path, maxBytes } = workerData as { path: string; maxBytes: number };
const database = new SqliteDatabase(path);

async function appended(batch: Batch): Promise<Appended> {
  const added = await queries.append(database, batch);
  if (database.usedBytes <= maxBytes - LOG_BYTES) return { added, trimmed: 0 };
  const trimmed = await trim(database, Math.max(TRIM_LEAST, 2 * batch.rows.length));
  return { added, trimmed };
}

async function answerTo({ name, args }: Question): Promise<unknown> {
  if (name === 'open') return migrate(database);
  if (name === 'close') return database.close();
  if (name === 'append') return appended(args[0] as Batch);
  const query = queries[name] as (...all: readonly unknown[]) => Promise<unknown>;
  return query(database, ...args);
}

let before: Promise<void> = Promise.resolve();
parentPort!.on('message', (question: Question) => {
  before = before.then(async () => {
    const { id } = question;
    let answer: Answer;
    try {
      answer = { id, value: await answerTo(question) };
    } catch (error) {
      const fault = error instanceof StoreError ? error.fault : 'away';
      answer = { id, error: { fault, message: error instanceof Error ? error.message : String(error) } };
    }
    parentPort!.postMessage(answer);
  });
});
