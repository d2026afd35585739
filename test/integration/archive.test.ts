/** The archive as part of the service: where it is kept, what a start without it means, and what is told of the past. */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { SqliteStore } from '../../src/control/archive/sqlite.ts';
import { type Environment, ReplicaProcess, refusal, settingsFor, TestReplica } from '../harness/replica.ts';
import { Scene } from '../harness/scene.ts';
import { until } from '../harness/until.ts';
import { batch, row } from './archive-contract.ts';

const bin = fileURLToPath(new URL('../../bin/holdfast', import.meta.url));
const UP = 'holdfast_archive_up';
const ADDED = 'holdfast_archive_events_total';

let scene: Scene;
let folder = '';
beforeAll(async () => {
  scene = await Scene.open();
  folder = mkdtempSync(join(tmpdir(), 'holdfast-archive-'));
});
afterAll(async () => {
  await scene.close();
  rmSync(folder, { recursive: true });
});

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

let files = 0;
function freshPath(): string {
  files += 1;
  return join(folder, `${files}.db`);
}

async function replica(more: Environment): Promise<TestReplica> {
  const env = { HOLDFAST_MAX_TTL: '20s', HOLDFAST_DEFAULT_TTL: '20s', ...more };
  const started = await TestReplica.start(scene.nodes.list, env);
  closing.push(() => started.stop());
  return started;
}

const archived = (service: TestReplica, count: number) =>
  until(`${count} events are archived`, async () => (await service.metric(ADDED)) >= count);

/** As after a day without a lock of that name. */
async function forgotten(resource: string): Promise<void> {
  for (let node = 0; node < 3; node += 1) {
    await scene.nodes.run(node, 'DEL', `holdfast:r:${resource}`);
    await scene.nodes.run(node, 'ZREM', 'holdfast:names', resource);
  }
}

async function holdfast(service: { readonly address: string }, ...args: readonly string[]) {
  const { stdout } = await promisify(execFile)(bin, [...args, '--address', service.address]);
  return stdout;
}

describe('the past', () => {
  test('is told when the nodes have forgotten it: by Inspect, by History and by the command', async () => {
    const service = await replica({ HOLDFAST_ARCHIVE: `sqlite:${freshPath()}` });
    const { client } = service;
    const lease = await client.lock('gone/1', { owner: 'ada' });
    await client.release(lease.lease_id, 'done');
    const other = await client.lock('gone/2', { owner: 'ada' });
    await client.release(other.lease_id);
    await archived(service, 4);
    expect((await client.inspect('gone/1', 10)).source).toBe('SOURCE_HISTORY');
    await forgotten('gone/1');
    expect(await client.inspect('gone/1', 10)).toMatchObject({
      ...{ state: 'STATE_FREE', source: 'SOURCE_ARCHIVE', last_token: lease.fencing_token, holders: [] },
      nodes: [{ vote: 'VOTE_FREE' }, { vote: 'VOTE_FREE' }, { vote: 'VOTE_FREE' }],
      history: [
        { type: 'EVENT_TYPE_RELEASED', reason: 'done', owner: 'ada', source: 'SOURCE_ARCHIVE' },
        { type: 'EVENT_TYPE_GRANTED', lease_ref: lease.lease_ref, source: 'SOURCE_ARCHIVE' },
      ],
    });
    expect((await client.inspect('gone/2', 10)).history).toMatchObject([
      { type: 'EVENT_TYPE_RELEASED', source: 'SOURCE_HISTORY' },
      { type: 'EVENT_TYPE_GRANTED', source: 'SOURCE_HISTORY' },
    ]);
    expect((await refusal(client.inspect('never'))).reason).toBe('UNKNOWN_RESOURCE');
    expect((await refusal(client.history({ resource: 'never' }))).reason).toBe('UNKNOWN_RESOURCE');
    const door = { address: service.replica.addresses[0]! };
    const text = await holdfast(door, 'history', '--owner', 'ada');
    expect(text.split('\n').map((line) => line.split(/ {2,}/).slice(1, 4))).toEqual([
      ['EVENT', 'RESOURCE', 'OWNER'],
      ['released', 'gone/2', 'ada'],
      ['granted', 'gone/2', 'ada'],
      ['released', 'gone/1', 'ada'],
      ['granted', 'gone/1', 'ada'],
      [],
    ]);
    expect(JSON.parse(await holdfast(door, 'history', 'gone/1', '--limit', '1', '--json'))).toMatchObject({
      events: [{ type: 'EVENT_TYPE_RELEASED', source: 'SOURCE_ARCHIVE' }],
      gaps: [],
      next_page_token: expect.stringMatching(/\w/),
    });
  });

  test('is what the nodes know, without an archive', async () => {
    const { client } = await replica({ HOLDFAST_ARCHIVE: 'off' });
    await client.release((await client.lock('plain', { owner: 'ada' })).lease_id);
    const first = await client.history({ resource: 'plain', page_size: 1 });
    expect(first.events).toMatchObject([{ type: 'EVENT_TYPE_RELEASED', source: 'SOURCE_HISTORY' }]);
    const page_token = first.next_page_token;
    expect(await client.history({ resource: 'plain', page_token })).toMatchObject({
      events: [{ type: 'EVENT_TYPE_GRANTED' }],
      next_page_token: '',
    });
    expect(await refusal(client.history({ resource: 'other', page_token }))).toMatchObject({
      reason: 'INVALID_FIELD',
      fields: ['page_token'],
    });
    expect((await refusal(client.history({ owner: 'ada' }))).reason).toBe('NOT_SERVED');
  });
});

describe('a start', () => {
  test('keeps it in the state directory, for nobody else to read', async () => {
    const home = join(folder, 'home');
    const env = { HOLDFAST_ARCHIVE: 'auto', HOME: home };
    const service = await replica(env);
    await service.client.lock('auto/1');
    await archived(service, 1);
    const path = join(home, '.local/state/holdfast/history.db');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(settingsFor('', { STATE_DIRECTORY: '/var/lib/a:/var/lib/b', ...env }).stateDir).toBe('/var/lib/a');
    expect(settingsFor('', { XDG_STATE_HOME: '/x', ...env }).stateDir).toBe('/x/holdfast');
    expect(settingsFor('', { XDG_STATE_HOME: 'relative', ...env }).stateDir).toBe(
      `${home}/.local/state/holdfast`,
    );
    expect(settingsFor('').stateDir).toBeUndefined();
  });

  test('goes on without a state directory that can be written, and says so', async () => {
    writeFileSync(join(folder, 'file'), '');
    const env = { HOLDFAST_ARCHIVE: 'auto', HOLDFAST_LOG_LEVEL: 'warn' };
    for (const more of [{ STATE_DIRECTORY: join(folder, 'file', 'below') }, {}]) {
      const service = await ReplicaProcess.start('', { ...env, HOLDFAST_LOG_LEVEL: 'info', ...more });
      closing.push(() => service.stop());
      expect(service.output).toContain('NO HISTORY ARCHIVE');
      await service.client.lock('x');
      expect((await refusal(service.client.history({ owner: 'w1' }))).reason).toBe('NOT_SERVED');
      const answer = await fetch(`http://${service.http}/metrics`);
      expect(await answer.text()).toContain(`\n${UP} 0\n`);
    }
  });

  test('whose own file is locked at the start has it later, and misses nothing that could wait', async () => {
    const directory = mkdtempSync(join(folder, 'state-'));
    const other = new DatabaseSync(join(directory, 'history.db'));
    other.exec('BEGIN EXCLUSIVE');
    const env = { HOLDFAST_ARCHIVE: 'auto', HOLDFAST_LOG_LEVEL: 'info', STATE_DIRECTORY: directory };
    const service = await ReplicaProcess.start('', env);
    closing.push(() => service.stop());
    expect(service.output).not.toContain('NO HISTORY ARCHIVE');
    const { lease_id } = await service.client.lock('locked/out', { owner: 'early' });
    await service.client.release(lease_id);
    const metric = async () => (await fetch(`http://${service.http}/metrics`)).text();
    expect(await metric()).toContain(`\n${UP} 0\n`);
    other.close();
    await until('it is archived', async () => (await metric()).includes(`\n${ADDED} 2\n`), 30_000, 100);
    expect(await metric()).toContain(`\n${UP} 1\n`);
    const { events, gaps } = await service.client.history({ owner: 'early' });
    expect([events.length, gaps]).toEqual([2, []]);
  });

  test('whose file has used up its room deletes the oldest for each event that comes, and counts them', async () => {
    const path = freshPath();
    const store = new SqliteStore(path);
    await store.open();
    const reason = 'x'.repeat(400);
    const sinceMs = Date.now() - 3_600_000;
    for (let at = 0; at < 50; at += 1) {
      const rows = Array.from({ length: 1024 }, (_, nth) => {
        const token = BigInt(at * 1024 + nth + 1);
        return row('granted', sinceMs + Number(token), { token, owner: 'old', reason });
      });
      await store.append(batch(rows));
    }
    await store.close();
    const service = await ReplicaProcess.start('', {
      HOLDFAST_ARCHIVE: `sqlite:${path}`,
      HOLDFAST_ARCHIVE_MAX_SIZE: '64MiB',
    });
    closing.push(() => service.stop());
    await service.client.lock('new', { owner: 'new' });
    const trimmed = async () =>
      /^holdfast_archive_trimmed_events_total (\d+)$/m.exec(
        await (await fetch(`http://${service.http}/metrics`)).text(),
      )?.[1];
    await until('some are counted', async () => Number(await trimmed()) > 0);
    const events = async () => (await service.client.history({ owner: 'new' })).events;
    await until('the newest is there', async () => (await events()).length === 1);
  });

  test.each([
    ['that cannot be written', () => '/nowhere/at/all/history.db', 'unable to open|ENOENT'],
    ['of a later release', newerFile, 'schema version 99'],
  ])('is refused with an archive file %s: exit 2, and why', async (_, pathOf, why) => {
    const env = {
      PATH: process.env.PATH,
      HOLDFAST_LISTEN: '127.0.0.1:0',
      HOLDFAST_HTTP_LISTEN: '127.0.0.1:0',
    };
    const more = { HOLDFAST_ARCHIVE: `sqlite:${pathOf()}` };
    const failed = await promisify(execFile)(bin, ['serve'], { env: { ...env, ...more } }).catch(
      (error: unknown) => error as { code: number; stderr: string },
    );
    expect(failed).toMatchObject({ code: 2, stderr: expect.stringMatching(`HOLDFAST_ARCHIVE.*(${why})`) });
  });

  test('has no gauge of an archive that nobody wants', async () => {
    const service = await replica({ HOLDFAST_ARCHIVE: 'off' });
    const { text } = await service.http('/metrics');
    expect(text).not.toContain(UP);
    expect(text).toContain('holdfast_archive_lost_events_total{reason="failed"} 0');
  });
});

/** Made by a release that is not written yet. */
function newerFile(): string {
  const path = freshPath();
  const database = new DatabaseSync(path);
  database.exec('CREATE TABLE holdfast_migrations (version INTEGER PRIMARY KEY)');
  database.exec('INSERT INTO holdfast_migrations VALUES (99)');
  database.close();
  return path;
}

test('several processes of one service write to one file, and close it in good order', async () => {
  const path = freshPath();
  const service = await scene.process({ HOLDFAST_ARCHIVE: `sqlite:${path}`, HOLDFAST_WORKERS: '2' });
  closing.push(() => service.stop());
  const names = Array.from({ length: 40 }, (_, at) => `many/${at}`);
  await Promise.all(
    names.map(async (name) => service.client.release((await service.client.lock(name)).lease_id)),
  );
  const text = async () => (await fetch(`http://${service.http}/metrics`)).text();
  await until('all are archived', async () => (await text()).includes(`\n${ADDED} 80\n`));
  expect(await text()).toContain(`\n${UP} 1\n`);
  service.signal('SIGTERM');
  expect(await service.ended()).toBe(0);
  // The last one has brought everything into the file itself.
  expect(existsSync(`${path}-wal`)).toBe(false);
  const database = new DatabaseSync(path);
  expect(database.prepare('SELECT count(*) AS count FROM holdfast_events').get()).toEqual({ count: 80 });
  expect(database.prepare('SELECT count(*) AS count FROM holdfast_writers').get()).toEqual({ count: 0 });
  database.close();
});
