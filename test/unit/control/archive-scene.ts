/** An archive over real SQL in a file of its own, whose database can be taken away, and a clock that a test moves. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Archive } from '../../../src/control/archive/archive.ts';
import { ArchiveNumbers } from '../../../src/control/archive/numbers.ts';
import * as queries from '../../../src/control/archive/queries.ts';
import { migrate } from '../../../src/control/archive/schema.ts';
import { SqliteDatabase } from '../../../src/control/archive/sqlite-database.ts';
import type { ArchiveStore, StoreError } from '../../../src/control/archive/store.ts';
import type { ControlEvent } from '../../../src/control/events/event.ts';
import type { Happening } from '../../../src/domain/probe.ts';
import type { HistoryGap } from '../../../src/locks/locks.ts';
import { ManualClock } from '../../../src/std/clock.ts';
import { SeededRandom } from '../../../src/std/random.ts';

/** One transaction after the other: two of one thread would wait for each other. */
class Turns {
  #before: Promise<unknown> = Promise.resolve();

  take<T>(act: () => Promise<T>): Promise<T> {
    const turn = this.#before.then(act);
    this.#before = turn.catch(() => {});
    return turn;
  }
}

/** In this thread: nothing but promises to wait for. */
class FileStore implements ArchiveStore {
  readonly kind = 'sqlite';
  readonly database: SqliteDatabase;
  /** While set, every question ends so. */
  fault: StoreError | undefined;
  /** While set, no question ends. */
  hung = false;
  asked = 0;
  readonly #turns: Turns;

  constructor(path: string, turns: Turns) {
    this.#turns = turns;
    this.database = new SqliteDatabase(path);
  }

  open = () => this.#unless(() => migrate(this.database));
  append: ArchiveStore['append'] = (batch) => this.#unless(() => queries.append(this.database, batch));
  read: ArchiveStore['read'] = (question) => this.#unless(() => queries.read(this.database, question));
  gaps: ArchiveStore['gaps'] = (...range) => this.#unless(() => queries.gaps(this.database, ...range));
  purge: ArchiveStore['purge'] = (...args) => this.#unless(() => queries.purge(this.database, ...args));
  settle: ArchiveStore['settle'] = (sinceUs) => this.#unless(() => queries.settle(this.database, sinceUs));
  marks = () => this.#unless(() => queries.marks(this.database));
  bury: ArchiveStore['bury'] = (...args) => this.#unless(() => queries.bury(this.database, ...args));
  close = async () => {};

  async #unless<T>(act: () => Promise<T>): Promise<T> {
    this.asked += 1;
    if (this.hung) return new Promise(() => {});
    if (this.fault !== undefined) throw this.fault;
    return this.#turns.take(act);
  }
}

export interface Part {
  readonly archive: Archive;
  readonly store: FileStore;
  readonly numbers: ArchiveNumbers;
  readonly notices: string[];
  readonly lost: HistoryGap[];
}

export class ArchiveScene {
  readonly clock = new ManualClock();
  readonly #directory = mkdtempSync(join(tmpdir(), 'holdfast-archive-'));
  readonly #stores: FileStore[] = [];
  readonly #turns = new Turns();

  /** One more process that writes to the same archive; `pendingMax` rows may wait in it. */
  part(pendingMax = 1000, retentionMs = 3_600_000): Part {
    const store = new FileStore(join(this.#directory, 'history.db'), this.#turns);
    this.#stores.push(store);
    const numbers = new ArchiveNumbers(false);
    const notices: string[] = [];
    const lost: HistoryGap[] = [];
    const archive = new Archive({
      ...{ store, numbers, pendingMax, retentionMs },
      clock: this.clock,
      random: new SeededRandom(this.#stores.length),
      notice: (level, message) => notices.push(`${level}: ${message}`),
      onGap: (gap) => lost.push(gap),
    });
    return { archive, store, numbers, notices, lost };
  }

  get nowMs(): number {
    return this.clock.wallMicros() / 1000;
  }

  /** Time in small steps, and whatever follows of each without any. */
  async passes(ms: number, stepMs = Math.max(1, ms / 100)): Promise<void> {
    for (let passed = 0; passed < ms; passed += stepMs) {
      this.clock.advance(stepMs);
      await settled();
    }
  }

  close(): void {
    for (const { database } of this.#stores) database.close();
    rmSync(this.#directory, { recursive: true });
  }
}

/** All that needs no time has happened. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 200; turn += 1) await Promise.resolve();
}

export function readingOf({ families }: ArchiveNumbers, name: string, reason?: string): number | undefined {
  const family = families.find((each) => each.name === name);
  return family?.get().values.find(({ labels }) => labels.reason === reason)?.value;
}

let seq = 0;

/** As the pipeline brings them. */
export function told(...happenings: readonly Happening[]): ControlEvent[] {
  return happenings.map((happening) => {
    seq += 1;
    return { seq, priority: 'routine', happening };
  });
}

/** Of the lease `r<token>`. */
export function happening(
  type: Happening['type'],
  resource: string,
  timeMs: number,
  { token = 1n, owner = 'w1', reason = '' } = {},
): Happening {
  const lease = type === 'queued' ? undefined : { leaseRef: `r${token}`, token };
  return { type, timeMs, resources: [resource], owner, lease, reason };
}

/** `TYPE TOKEN OWNER` of what the archive has of a resource, newest first. */
export async function storedOf({ archive }: Part, resource: string): Promise<string[] | undefined> {
  const question = {
    by: 'resource',
    value: resource,
    prefixes: [],
    before: undefined,
    limit: 10_000,
  } as const;
  const rows = await archive.find(question);
  return rows?.map(({ type, token, owner }) => `${type} ${BigInt(token)} ${owner}`);
}
