/** The history of one process, written as it happens, so that whoever is killed has told all that it did. */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import type { Entry } from '../harness/history/history.ts';

/** The event loop stood still from the first to the second; `meant`: as the run wanted it. */
export interface Stall {
  readonly fromMs: number;
  readonly untilMs: number;
  readonly meant: boolean;
}

interface Line {
  readonly id?: number;
  readonly entry?: Entry;
  readonly stall?: Stall;
  readonly done?: true;
}

const written = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value);
const read = (key: string, value: unknown): unknown => (key === 'token' ? BigInt(value as string) : value);

export class Journal {
  readonly #file: number;
  #ids = 0;

  constructor(path: string) {
    this.#file = openSync(path, 'a');
  }

  /** What shall stand there if nothing more is heard, and the id under which it is put right. */
  begin(entry: Entry): number {
    this.#ids += 1;
    this.put(this.#ids, entry);
    return this.#ids;
  }

  put(id: number, entry: Entry): void {
    this.#write({ id, entry });
  }

  stall(fromMs: number, untilMs: number, meant: boolean): void {
    this.#write({ stall: { fromMs, untilMs, meant } });
  }

  /** It ended of its own accord, with nothing left to do. */
  done(): void {
    this.#write({ done: true });
    closeSync(this.#file);
  }

  // One system call: what was written outlives a SIGKILL.
  #write(line: Line): void {
    writeSync(this.#file, `${JSON.stringify(line, written)}\n`);
  }
}

export interface Told {
  readonly entries: readonly Entry[];
  readonly stalls: readonly Stall[];
  readonly done: boolean;
}

/** `diedMs`: before which its process was surely alive; nobody relies on a lease after his death. */
export function readJournal(path: string, diedMs = Number.POSITIVE_INFINITY): Told {
  const last = new Map<number, Entry>();
  const stalls: Stall[] = [];
  let done = false;
  // The last line may be cut short by a SIGKILL.
  for (const text of readFileSync(path, 'utf8').split('\n').slice(0, -1)) {
    const line = JSON.parse(text, read) as Line;
    if (line.id !== undefined && line.entry !== undefined) last.set(line.id, line.entry);
    if (line.stall !== undefined) stalls.push(line.stall);
    done ||= line.done === true;
  }
  const entries = [...last.values()].map((entry) =>
    entry.kind === 'held' && entry.untilMs > diedMs
      ? { ...entry, untilMs: Math.max(entry.fromMs, diedMs) }
      : entry,
  );
  return { entries, stalls, done };
}
