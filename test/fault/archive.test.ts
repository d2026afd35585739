/** The archive's database killed, hung, full and late: locks go on, what is lost is a gap, and the metrics say so. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Archive } from '../../src/control/archive/archive.ts';
import { STALE_MS } from '../../src/control/archive/keeper.ts';
import { ArchiveNumbers } from '../../src/control/archive/numbers.ts';
import { SqliteStore } from '../../src/control/archive/sqlite.ts';
import type { LockEvent } from '../../src/locks/locks.ts';
import { ManualClock, systemClock } from '../../src/std/clock.ts';
import { systemRandom } from '../../src/std/random.ts';
import { Postgres, withoutPostgres } from '../harness/postgres.ts';
import { type Environment, ReplicaProcess, TestReplica } from '../harness/replica.ts';
import { Scene } from '../harness/scene.ts';
import { SmallDisk, withoutSmallDisk } from '../harness/small-disk.ts';
import { until } from '../harness/until.ts';
import { ArchiveTraffic, accounted, OWNER } from './archive-traffic.ts';

const UP = 'holdfast_archive_up';
const LOST = 'holdfast_archive_lost_events_total';
const ADDED = 'holdfast_archive_events_total';
/** So few that an outage costs events at once. */
const SMALL: Environment = { HOLDFAST_EVENT_BUFFER: '64' };

let scene: Scene;
beforeAll(async () => {
  scene = await Scene.open();
});
afterAll(() => scene.close());

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function started(archive: string, more: Environment = SMALL): Promise<TestReplica> {
  const env = { HOLDFAST_MAX_TTL: '20s', HOLDFAST_DEFAULT_TTL: '20s', HOLDFAST_ARCHIVE: archive, ...more };
  const replica = await TestReplica.start(scene.nodes.list, env);
  closing.push(() => replica.stop());
  return replica;
}

function folder(): string {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-archive-'));
  closing.push(() => rmSync(directory, { recursive: true }));
  return directory;
}

/** Locks go on through the fault and after it; what was lost is a gap; nothing is missing without one. */
async function goesThrough(replica: TestReplica, fault: () => unknown, mend: () => unknown): Promise<void> {
  const traffic = new ArchiveTraffic(replica);
  await traffic.becomes(UP, (value) => value === 1);
  await traffic.becomes(ADDED, (value) => value > 0);
  await fault();
  await traffic.becomes(UP, (value) => value === 0);
  await traffic.becomes(LOST, (value) => value > 0);
  await traffic.goesOn();
  // Who looks at a lock does not wait for the archive either.
  expect(await replica.client.inspect('work/0', 10)).toMatchObject({ history: expect.any(Array) });
  await mend();
  await traffic.becomes(UP, (value) => value === 1);
  await traffic.goesOn();
  await traffic.stop();
  const events = 2 * traffic.pairs;
  let seen = { told: 0, missing: 0 };
  const whole = async (): Promise<boolean> => {
    seen = await accounted(replica);
    return seen.told + seen.missing >= events;
  };
  await until('every event is told or missing', whole, 15_000, 100).catch(async (error: unknown) => {
    const metrics = (await replica.http('/metrics')).text.match(/^holdfast_(archive|events|sink).*$/gm);
    throw new Error(`${String(error)}: ${JSON.stringify(seen)} of ${events}; ${metrics?.join(', ')}`);
  });
  expect(seen.missing).toBeGreaterThan(0);
  expect(seen.missing).toBe(await replica.metric(LOST));
}

describe.skipIf(withoutPostgres !== '')(`Postgres${withoutPostgres}`, () => {
  let server: Postgres;
  let databases = 0;
  beforeAll(async () => {
    server = await Postgres.start();
  });
  afterAll(() => server.stop());

  async function database(): Promise<string> {
    databases += 1;
    await server.run(`CREATE DATABASE archive${databases}`);
    return server.url(`archive${databases}`);
  }

  test('killed with SIGKILL during traffic', async () => {
    const replica = await started(await database());
    await goesThrough(
      replica,
      () => server.crash(),
      () => server.revive(),
    );
  });

  test('hung, with every question without an answer', async () => {
    const replica = await started(await database());
    let release = async (): Promise<void> => {};
    const env = { PGDATABASE: `archive${databases}` };
    await goesThrough(
      replica,
      async () => {
        release = await server.holding('BEGIN; LOCK TABLE holdfast_events IN ACCESS EXCLUSIVE MODE', env);
      },
      () => release(),
    );
  });

  test.skipIf(withoutSmallDisk !== '')(`full${withoutSmallDisk}`, async () => {
    const disk = new SmallDisk(512, server.uid);
    const url = await database();
    closing.push(async () => {
      await server.run(`DROP DATABASE archive${databases} WITH (FORCE)`);
      await server.run('DROP TABLESPACE tiny');
      await server.run('CHECKPOINT');
      disk.close();
    });
    await server.run(`CREATE TABLESPACE tiny LOCATION '${disk.directory}'`);
    await server.run(`ALTER DATABASE archive${databases} SET default_tablespace = tiny`);
    const replica = await started(url);
    await goesThrough(
      replica,
      () => {},
      () => disk.grow(64 * 1024),
    );
    expect(replica.replica.status().quorumMargin).toBe(1);
  });

  test('not there at the start: the service starts, and what can wait is not lost', async () => {
    const url = await database();
    await server.crash();
    const replica = await started(url, {});
    const lease = await replica.client.lock('early', { owner: OWNER });
    await replica.client.release(lease.lease_id);
    expect(await replica.metric(UP)).toBe(0);
    await server.revive();
    const told = async () => (await replica.client.history({ owner: OWNER })).events.length === 2;
    await until('the archive has it', told, 30_000, 100);
    expect([await replica.metric(UP), await replica.metric(LOST)]).toEqual([1, 0]);
  });
});

describe('SQLite', () => {
  test.skipIf(withoutSmallDisk !== '')(`a full disk${withoutSmallDisk}`, async () => {
    const disk = new SmallDisk(512);
    closing.push(() => disk.close());
    const replica = await started(`sqlite:${join(disk.directory, 'history.db')}`);
    await goesThrough(
      replica,
      () => {},
      () => disk.grow(64 * 1024),
    );
  });

  test('a file that another process keeps locked', async () => {
    const path = join(folder(), 'history.db');
    const replica = await started(`sqlite:${path}`);
    const { DatabaseSync } = await import('node:sqlite');
    const other = new DatabaseSync(path);
    await goesThrough(
      replica,
      () => other.exec('BEGIN IMMEDIATE'),
      () => {
        other.exec('COMMIT');
        other.close();
      },
    );
  });

  test('a replica that was killed with SIGKILL leaves a gap from its last sign on', async () => {
    const path = join(folder(), 'history.db');
    const startedMs = systemClock.wallMicros() / 1000;
    const replica = await ReplicaProcess.start(scene.nodes.list, {
      HOLDFAST_MAX_TTL: '20s',
      HOLDFAST_DEFAULT_TTL: '20s',
      HOLDFAST_ARCHIVE: `sqlite:${path}`,
    });
    await replica.client.lock('held', { owner: OWNER });
    const events = async () => (await replica.client.history({ owner: OWNER })).events;
    await until('it is in the archive', async () => (await events()).length === 1);
    await replica.stop();
    // Whoever comes next finds it, after a minute without a sign: by a clock that need not be waited for.
    const clock = new ManualClock(systemClock.wallMicros());
    const store = new SqliteStore(path);
    const archive = new Archive({
      ...{ store, clock, random: systemRandom, retentionMs: 86_400_000, pendingMax: 100 },
      ...{ numbers: new ArchiveNumbers(false), notice: () => {} },
    });
    await archive.open();
    archive.start();
    closing.push(() => store.close());
    const gaps = async () => (await store.gaps(0, Number.MAX_SAFE_INTEGER, 10)).length > 0;
    const buried = async (): Promise<boolean> => {
      clock.advance(STALE_MS / 10);
      return gaps();
    };
    await until('its end is a gap', buried, 15_000, 20);
    const [gap] = await store.gaps(0, Number.MAX_SAFE_INTEGER, 10);
    expect(gap).toMatchObject({ events: 0, reason: 'failed' });
    expect(gap!.fromUs / 1000).toBeGreaterThan(startedMs - 60_000);
    expect(gap!.untilUs / 1000).toBeGreaterThanOrEqual(startedMs);
    expect(await store.marks()).toHaveLength(1);
  });
});

test('backfill brings what the archive has missed and nodes remember', async () => {
  const path = join(folder(), 'history.db');
  const store = new SqliteStore(path);
  closing.push(() => store.close());
  const replica = await started('off');
  const lease = await replica.client.lock('past', { owner: OWNER });
  await replica.client.release(lease.lease_id);
  const page = await replica.client.history({ resource: 'past' });
  const events = page.events.map(
    (event): LockEvent => ({
      type: event.type === 'EVENT_TYPE_GRANTED' ? 'granted' : 'released',
      timeMs: Number(event.time!.seconds) * 1000 + event.time!.nanos / 1e6,
      ...{ resource: event.resource, owner: event.owner, leaseRef: event.lease_ref },
      ...{ token: BigInt(event.fencing_token), reason: event.reason },
    }),
  );
  const archive = new Archive({
    ...{ store, clock: systemClock, random: systemRandom, retentionMs: 86_400_000, pendingMax: 100 },
    ...{ numbers: new ArchiveNumbers(false), notice: () => {} },
  });
  await archive.open();
  archive.start();
  expect(archive.backfill([...events, ...events])).toBe(4);
  const question = { by: 'owner', value: OWNER, prefixes: [], before: undefined, limit: 10 } as const;
  await until('it is in the archive', async () => (await store.read(question)).length === 2);
  await archive.close();
});
