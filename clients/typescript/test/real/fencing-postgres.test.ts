/** The Postgres guard against a real server, through `pg`. */
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Postgres, withoutPostgres } from '../../../../test/harness/postgres.ts';
import { until } from '../../../../test/harness/until.ts';
import { type FencedUpdate, fencedUpdate, fencedUpdateStatement } from '../../src/fencing/index.ts';

const TABLE = `CREATE TABLE jobs (id int PRIMARY KEY, status text, fencing_token bigint, version int NOT NULL DEFAULT 1)`;

describe(`a fenced row${withoutPostgres}`, { skip: withoutPostgres !== '' }, () => {
  let server: Postgres;
  let client: pg.Client;

  const opened = async (): Promise<pg.Client> => {
    const { PGHOST: host, PGUSER: user, PGDATABASE: database } = server.env;
    const opening = new pg.Client({ host, user, database });
    await opening.connect();
    return opening;
  };

  beforeAll(async () => {
    server = await Postgres.start();
    client = await opened();
    await client.query(TABLE);
  });

  afterAll(async () => {
    await client?.end();
    await server?.stop();
  });

  beforeEach(() =>
    client.query(`TRUNCATE jobs; INSERT INTO jobs (id, status) VALUES (1, 'new'), (2, 'other')`),
  );

  const update = (token: bigint, status: string, more: Partial<FencedUpdate> = {}): FencedUpdate => ({
    table: 'jobs',
    key: { id: 1 },
    set: { status },
    token,
    ...more,
  });

  const row = async (): Promise<unknown> =>
    (await client.query('SELECT status, fencing_token, version FROM jobs WHERE id = 1')).rows[0];

  it('refuses a stale write, which gets through without the guard', async () => {
    await fencedUpdate(client, update(34n, 'done'));
    await expect(fencedUpdate(client, update(33n, 'late'))).rejects.toMatchObject({
      name: 'StaleTokenError',
      token: 33n,
      current: 34n,
    });
    expect(await row()).toEqual({ status: 'done', fencing_token: '34', version: 1 });
    await client.query(`UPDATE jobs SET status = 'late' WHERE id = 1`);
    expect(await row()).toMatchObject({ status: 'late' });
  });

  it('takes the same token again and newer ones, and touches no other row', async () => {
    for (const token of [34n, 34n, 2n ** 63n - 1n]) {
      await fencedUpdate(client, update(token, `by ${token}`));
      expect(await row()).toMatchObject({ status: `by ${token}` });
    }
    const { rows } = await client.query('SELECT status, fencing_token FROM jobs WHERE id = 2');
    expect(rows).toEqual([{ status: 'other', fencing_token: null }]);
  });

  it('refuses a version that is no longer there, though the token is good', async () => {
    const version = { column: 'version', expected: 1 };
    await fencedUpdate(client, update(34n, 'first', { version }));
    await expect(fencedUpdate(client, update(34n, 'second', { version }))).rejects.toMatchObject({
      name: 'VersionConflictError',
      expected: 1n,
      current: 2n,
    });
    await expect(fencedUpdate(client, update(33n, 'late', { version }))).rejects.toMatchObject({
      name: 'StaleTokenError',
    });
    expect(await row()).toEqual({ status: 'first', fencing_token: '34', version: 2 });
    await fencedUpdate(client, update(34n, 'second', { version: { column: 'version', expected: 2n } }));
    expect(await row()).toMatchObject({ status: 'second', version: 3 });
  });

  it('names a row that is not there, and refuses what would write several', async () => {
    await expect(fencedUpdate(client, update(34n, 'done', { key: { id: 9 } }))).rejects.toMatchObject({
      name: 'MissingTargetError',
    });
    expect(() => fencedUpdateStatement(update(34n, 'done', { key: {} }))).toThrow(/key: at least one/);
    expect(() => fencedUpdateStatement(update(2n ** 63n, 'done'))).toThrow(RangeError);
    expect(fencedUpdateStatement(update(34n, 'x', { table: 'public.a"b' })).text).toContain(
      '"public"."a""b"',
    );
  });

  it('decides anew where another transaction was writing meanwhile', async () => {
    const other = await opened();
    try {
      await other.query('BEGIN');
      await fencedUpdate(other, update(34n, 'new lease'));
      const late = fencedUpdate(client, update(33n, 'late')).catch((error: Error) => error.name);
      const waits = `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'`;
      await until('the late write waits for the row', async () => (await other.query(waits)).rowCount === 1);
      await other.query('COMMIT');
      expect(await late).toBe('StaleTokenError');
      expect(await row()).toMatchObject({ status: 'new lease', fencing_token: '34' });
    } finally {
      await other.end();
    }
  });
});
