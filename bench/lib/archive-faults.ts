/** The databases that an archive can have, and what may happen to each of them while locks go on. */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Postgres } from '../../test/harness/postgres.ts';
import { SmallDisk, withoutSmallDisk } from '../../test/harness/small-disk.ts';

/** A database that still works, for one server. */
export interface Doomed {
  readonly archive: string;
  strike(): unknown;
  close(): unknown;
}

export interface Fault {
  readonly name: string;
  /** Empty, or why it cannot be had here. */
  readonly without: string;
  open(): Doomed;
}

export interface Database {
  readonly name: string;
  readonly archive: string;
  readonly faults: readonly Fault[];
}

/** Full within the first second of calls. */
const DISK_KILOBYTES = 1024;

export function sqlite(directory: string): Database {
  const path = join(directory, 'history.db');
  const archive = `sqlite:${path}`;
  const locked = (): Doomed => {
    const other = new DatabaseSync(path, { timeout: 10_000 });
    return { archive, strike: () => other.exec('BEGIN IMMEDIATE'), close: () => other.close() };
  };
  const full = (): Doomed => {
    const disk = new SmallDisk(DISK_KILOBYTES);
    const doomed = `sqlite:${join(disk.directory, 'history.db')}`;
    return { archive: doomed, strike: () => {}, close: () => disk.close() };
  };
  return {
    name: 'SQLite',
    archive,
    faults: [
      { name: 'its file locked', without: '', open: locked },
      { name: 'its disk full', without: withoutSmallDisk, open: full },
    ],
  };
}

/** The last fault leaves no server. */
export function postgres(server: Postgres): Database {
  const archive = server.url();
  const locked = (): Doomed => {
    let release = async (): Promise<void> => {};
    const strike = async (): Promise<void> => {
      release = await server.holding('BEGIN; LOCK TABLE holdfast_events IN ACCESS EXCLUSIVE MODE');
    };
    return { archive, strike, close: () => release() };
  };
  const killed = (): Doomed => ({ archive, strike: () => server.crash(), close: () => {} });
  return {
    name: 'Postgres',
    archive,
    faults: [
      { name: 'its table locked', without: '', open: locked },
      { name: 'killed', without: '', open: killed },
    ],
  };
}
