/** The thread in which SQLite blocks: takes one question after the other, so that no lock waits for a disk. */
import { parentPort, workerData } from 'node:worker_threads';
import { queries } from './queries.ts';
import { migrate } from './schema.ts';
import { SqliteDatabase } from './sqlite-database.ts';
import { type FaultKind, StoreError } from './store.ts';

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

const database = new SqliteDatabase((workerData as { path: string }).path);

async function answerTo({ name, args }: Question): Promise<unknown> {
  if (name === 'open') return migrate(database);
  if (name === 'close') return database.close();
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
