/** What the archive's databases promise: one suite over SQLite in its thread and a real Postgres. */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { PostgresStore } from '../../src/control/archive/postgres.ts';
import { SqliteStore } from '../../src/control/archive/sqlite.ts';
import { SqliteDatabase } from '../../src/control/archive/sqlite-database.ts';
import type { ArchiveStore } from '../../src/control/archive/store.ts';
import { Postgres, withoutPostgres } from '../harness/postgres.ts';
import {
  batch,
  findsOwners,
  keepsEvents,
  keepsGapsAndMarks,
  migrates,
  of,
  type Place,
  row,
} from './archive-contract.ts';

const MIB = 2 ** 20;
/** Half of it is for the write-ahead log. */
const LEAST_MIB = 40;

async function sqlitePlace(): Promise<Place> {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-archive-'));
  let count = 0;
  let path = '';
  return {
    kind: 'sqlite',
    fresh: async () => {
      count += 1;
      path = join(directory, `${count}.db`);
    },
    store: () => new SqliteStore(path),
    run: async (...statements) => {
      const database = new DatabaseSync(path);
      for (const statement of statements) database.exec(statement);
      database.close();
    },
    close: async () => rmSync(directory, { recursive: true }),
  };
}

async function postgresPlace(): Promise<Place> {
  const server = await Postgres.start();
  let count = 0;
  const url = () => server.url(`archive${count}`);
  return {
    kind: 'postgres',
    fresh: async () => {
      count += 1;
      await server.run(`CREATE DATABASE archive${count}`);
    },
    store: () => new PostgresStore(url()),
    run: async (...statements) => {
      const client = new pg.Client({ connectionString: url() });
      await client.connect();
      for (const statement of statements) await client.query(statement);
      await client.end();
    },
    close: () => server.stop(),
  };
}

function contract(open: () => Promise<Place>): void {
  let place: Place;
  const opened: ArchiveStore[] = [];
  beforeAll(async () => {
    place = await open();
  });
  beforeEach(() => place.fresh());
  afterAll(async () => {
    for (const store of opened) await store.close();
    await place.close();
  });

  const unopened = (): ArchiveStore => {
    const store = place.store();
    opened.push(store);
    return store;
  };
  const fresh = async (): Promise<ArchiveStore> => {
    const store = unopened();
    await store.open();
    return store;
  };
  keepsEvents(fresh);
  findsOwners(fresh);
  keepsGapsAndMarks(fresh);
  migrates(() => place, unopened, fresh);
}

describe('SQLite', () => {
  contract(sqlitePlace);

  test('the file is for its owner only, and so are those beside it', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'holdfast-archive-'));
    const store = new SqliteStore(join(directory, 'history.db'));
    await store.open();
    await store.append(batch([row('granted', 1)]));
    const modes = readdirSync(directory).map((name) => [name, statSync(join(directory, name)).mode & 0o777]);
    expect(modes).toEqual([
      ['history.db', 0o600],
      ['history.db-shm', 0o600],
      ['history.db-wal', 0o600],
    ]);
    await store.close();
    rmSync(directory, { recursive: true });
  });

  test.each([
    ['in no folder', '/nowhere/at/all/history.db'],
    ['that is a folder', tmpdir()],
    ['that is something else', new URL(import.meta.url).pathname],
  ])('a file %s cannot be opened, and that is said', async (_, path) => {
    const store = new SqliteStore(path);
    const message = expect.stringMatching(/\w/);
    await expect(store.open()).rejects.toMatchObject({ fault: 'unusable', message });
    await store.close();
  });

  test('a file that another has locked may be had later', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'holdfast-archive-'));
    const path = join(directory, 'history.db');
    const other = new DatabaseSync(path);
    other.exec('BEGIN EXCLUSIVE');
    const store = new SqliteStore(path);
    await expect(store.open()).rejects.toMatchObject({ fault: 'away' });
    other.close();
    await store.open();
    await store.close();
    rmSync(directory, { recursive: true });
  });

  test('a file that another writes to for a moment, as when several open a new one, is waited for', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'holdfast-archive-'));
    const path = join(directory, 'history.db');
    const other = new DatabaseSync(path);
    other.exec('CREATE TABLE t (x); BEGIN IMMEDIATE');
    let waits = 0;
    const database = new SqliteDatabase(path, () => {
      waits += 1;
      if (waits === 3) other.close();
    });
    expect(await database.transaction('read', (session) => session.all('SELECT x FROM t'))).toEqual([]);
    // SQLite itself gives this up at once.
    expect(waits).toBe(3);
    database.close();
    rmSync(directory, { recursive: true });
  });

  test.each([
    ['its room is used up: the oldest go, and the file stays as it is', LEAST_MIB, true],
    ['nobody has bound it: all stay', undefined, false],
  ])('where %s', async (_, mebibytes, bound) => {
    const directory = mkdtempSync(join(tmpdir(), 'holdfast-archive-'));
    let trimmed = 0;
    const maxBytes = mebibytes === undefined ? undefined : mebibytes * MIB;
    const store = new SqliteStore(join(directory, 'history.db'), maxBytes, (rows) => {
      trimmed += rows;
    });
    await store.open();
    const reason = 'x'.repeat(200);
    const batches = Array.from({ length: 100 }, (_each, at) =>
      Array.from({ length: 1024 }, (_row, nth) =>
        row('granted', at * 1024 + nth + 1, { token: BigInt(at * 1024 + nth), reason }),
      ),
    );
    for (const rows of batches) await store.append(batch(rows));
    const kept = await store.read(of('a', { limit: 1_000_000 }));
    expect(kept[0]!.timeUs).toBe(100 * 1024 * 1000);
    expect(kept.length + trimmed).toBe(100 * 1024);
    // What is left is the newest, without a hole.
    expect(kept.at(-1)!.timeUs).toBe((trimmed + 1) * 1000);
    const bytes = readdirSync(directory).reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
    expect(trimmed > 0).toBe(bound);
    if (bound) expect(bytes).toBeLessThan(LEAST_MIB * MIB);
    else expect(bytes).toBeGreaterThan(LEAST_MIB * MIB);
    await store.close();
    rmSync(directory, { recursive: true });
  });
});

describe.skipIf(withoutPostgres !== '')(`Postgres${withoutPostgres}`, () => {
  contract(postgresPlace);

  test('a server that is not there is away, and the password is in no message', async () => {
    const store = new PostgresStore('postgres://u:s3cr3t@127.0.0.1:1/db');
    const error = await store.open().catch((each: unknown) => each);
    expect(error).toMatchObject({ fault: 'away' });
    expect(String(error)).not.toContain('s3cr3t');
    await store.close();
  });
});
