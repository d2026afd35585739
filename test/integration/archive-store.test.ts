/** What the archive's databases promise: one suite over SQLite in its thread and a real Postgres. */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { PostgresStore } from '../../src/control/archive/postgres.ts';
import { SqliteStore } from '../../src/control/archive/sqlite.ts';
import type { ArchiveStore } from '../../src/control/archive/store.ts';
import { Postgres, withoutPostgres } from '../harness/postgres.ts';
import {
  batch,
  findsOwners,
  keepsEvents,
  keepsGapsAndMarks,
  migrates,
  type Place,
  row,
} from './archive-contract.ts';

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
    await expect(store.open()).rejects.toMatchObject({ fault: 'away', message: expect.stringMatching(/\w/) });
    await store.close();
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
