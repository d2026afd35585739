/** Settings that are read again: by SIGHUP and by call, in one process and in several; wrong ones change nothing. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expireMs, type Lease, type ReplicaProcess, refusal } from '../harness/replica.ts';
import { Scene } from '../harness/scene.ts';
import { until } from '../harness/until.ts';
import { Workers } from '../harness/workers.ts';

let scene: Scene;
let folder = '';

beforeAll(async () => {
  scene = await Scene.open();
  folder = await mkdtemp(join(tmpdir(), 'holdfast-reload-'));
});

afterAll(async () => {
  await scene.close();
  await rm(folder, { recursive: true, force: true });
});

/** The same service, started by a settings file that may change. */
async function open(name: string, text: string, more: Record<string, string> = {}) {
  const file = join(folder, name);
  await writeFile(file, text);
  const replica = await scene.process({ HOLDFAST_CONFIG: file, ...more });
  return { replica, settings: (next: string) => writeFile(file, next) };
}

const takenMs = ({ acquire_time }: Lease): number =>
  Number(acquire_time!.seconds) * 1000 + acquire_time!.nanos / 1e6;
const GRANTED = { lease: expect.objectContaining({}) };

/** 300 ms is below the bound of the file, and within the one that the environment of all tests has. */
const short = (replica: ReplicaProcess, resource: string) =>
  replica.client.acquire({ resources: [resource], ttl: { seconds: 0, nanos: 300e6 } });

/** How often the log has told of a reload, taken or not. */
const reloads = ({ output }: ReplicaProcess) => output.match(/settings were read again/g)?.length ?? 0;

// What the environment sets, no file can change: so none of it is set there.
const FREE = { HOLDFAST_MIN_TTL: '', HOLDFAST_LOG_LEVEL: '' };
const NO_TTLS = { HOLDFAST_MAX_TTL: '', HOLDFAST_DEFAULT_TTL: '' };

describe('a replica', () => {
  test('takes what can change by SIGHUP, names what cannot, and keeps its process and its leases', async () => {
    const { replica, settings } = await open('one', 'HOLDFAST_MIN_TTL=200ms\n', FREE);
    const { lease } = await short(replica, 'reload/kept');
    await settings('HOLDFAST_MIN_TTL=1s\nHOLDFAST_PRIORITY_STEP=7s\n');
    replica.signal('SIGHUP');
    await until('the log tells of it', () => reloads(replica) === 1);
    expect(replica.output).toMatch(
      /"changed":\["HOLDFAST_MIN_TTL"\],"restartRequired":\["HOLDFAST_PRIORITY_STEP"\]/,
    );
    expect(await refusal(short(replica, 'reload/refused'))).toMatchObject({ fields: ['ttl'] });
    expect(await replica.client.release(lease!.lease_id)).toBe(true);
  });

  test('refuses a default ttl that its nodes would cut: no lease ends before its holder was told', async () => {
    const started = 'HOLDFAST_MAX_TTL=20s\nHOLDFAST_DEFAULT_TTL=1s\n';
    const { replica, settings } = await open('longer', started, { ...FREE, ...NO_TTLS });
    await settings('HOLDFAST_MAX_TTL=10m\nHOLDFAST_DEFAULT_TTL=1m\n');
    expect(await refusal(replica.client.reload())).toMatchObject({
      fields: ['HOLDFAST_DEFAULT_TTL'],
      message: expect.stringContaining('until a restart HOLDFAST_MAX_TTL stays'),
    });
    const resources = ['reload/once'];
    const { lease: first } = await replica.client.acquire({ resources, owner: 'first' });
    const { lease: second } = await replica.client.acquire({
      resources,
      owner: 'second',
      wait: { seconds: 40 },
    });
    expect(takenMs(second!)).toBeGreaterThanOrEqual(expireMs(first!));
  });

  test('answers a call with the same, and with every wrong setting while the old ones stay', async () => {
    const { replica, settings } = await open('two', 'HOLDFAST_MIN_TTL=1s\n', FREE);
    await settings('HOLDFAST_MIN_TTL=nonsense\nHOLDFAST_LOG_LEVEL=loud\n');
    expect(await refusal(replica.client.reload())).toMatchObject({
      reason: 'INVALID_FIELD',
      fields: ['HOLDFAST_MIN_TTL', 'HOLDFAST_LOG_LEVEL'],
    });
    expect(await refusal(short(replica, 'reload/a'))).toMatchObject({ fields: ['ttl'] });
    await settings('HOLDFAST_MIN_TTL=100ms\nHOLDFAST_LOG_LEVEL=error\n');
    expect(await replica.client.reload()).toEqual({
      changed: ['HOLDFAST_LOG_LEVEL', 'HOLDFAST_MIN_TTL'],
      restart_required: [],
    });
    expect(await short(replica, 'reload/b')).toMatchObject(GRANTED);
    const { text } = await get(replica, 'metrics');
    expect(text).toMatch(/^holdfast_reloads_total{outcome="applied"} 1$/m);
    expect(text).toMatch(/^holdfast_reloads_total{outcome="refused"} 1$/m);
  });

  test('changes its log level by call, and a level that is none is refused', async () => {
    const { replica } = await open('three', '', FREE);
    expect(await replica.client.setLogLevel('silent')).toEqual({ previous: 'info' });
    expect(await replica.client.setLogLevel('info')).toEqual({ previous: 'silent' });
    expect(await refusal(replica.client.setLogLevel('constructor'))).toMatchObject({ fields: ['level'] });
  });
});

test('of several workers all take it, whichever is asked, and so does one that is replaced', async () => {
  const { replica, settings } = await open('several', 'HOLDFAST_MIN_TTL=200ms\n', {
    ...FREE,
    HOLDFAST_WORKERS: '2',
  });
  const workers = new Workers(replica);
  const clients = await workers.clients(2);
  await settings('HOLDFAST_MIN_TTL=1s\n');
  expect(await clients[0]!.reload()).toEqual({ changed: ['HOLDFAST_MIN_TTL'], restart_required: [] });
  const ask = { resources: ['reload/workers'], ttl: { seconds: 0, nanos: 300e6 } };
  for (const client of clients) expect(await refusal(client.acquire(ask))).toMatchObject({ fields: ['ttl'] });
  workers.close();
  const [first] = await workers.pids();
  process.kill(first!, 'SIGKILL');
  await until('the worker is replaced', async () => {
    const pids = await workers.pids();
    return pids.length === 2 && !pids.includes(first!);
  });
  for (const client of await workers.clients(2)) {
    expect(await refusal(client.acquire(ask))).toMatchObject({ fields: ['ttl'] });
  }
  await settings('HOLDFAST_MIN_TTL=0s\n');
  replica.signal('SIGHUP');
  await until('the log tells that it is wrong', () => replica.output.includes('the old ones stay in force'));
  workers.close();
});

async function get({ http }: ReplicaProcess, path: string): Promise<{ text: string }> {
  const answer = await fetch(`http://${http}/${path}`);
  return { text: await answer.text() };
}
