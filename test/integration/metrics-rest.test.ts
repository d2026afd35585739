/** The metrics that no other part's test drives: what the janitor sees of all locks, what is dropped, what is always there. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Folder } from '../harness/certificates.ts';
import { HoldStream } from '../harness/lock-streams.ts';
import { Nodes } from '../harness/nodes.ts';
import { bootstrapped, RpcClient, TestReplica } from '../harness/replica.ts';
import { becomes, Samples } from '../harness/samples.ts';
import { until } from '../harness/until.ts';

const folder = new Folder();
const LONG = { HOLDFAST_MAX_TTL: '60s', HOLDFAST_DEFAULT_TTL: '60s' };
let nodes: Nodes;
let replica: TestReplica;

beforeAll(async () => {
  nodes = await Nodes.start(3);
  await bootstrapped(nodes.list, LONG);
  const thresholds = { held_too_long: '300ms', max_silence: '200ms', starving: '200ms' };
  replica = await TestReplica.start(nodes.list, {
    ...LONG,
    HOLDFAST_CLASSES: 'gpu/=gpu',
    HOLDFAST_JANITOR: '1',
    HOLDFAST_JANITOR_EVERY: '100ms',
    HOLDFAST_ALERTS: folder.write('alerts.yaml', JSON.stringify({ thresholds })),
    HOLDFAST_EVENT_BUFFER: '16',
    // Without anybody who wants grants and releases none is kept, and none dropped.
    HOLDFAST_ARCHIVE: `sqlite:${folder.path}/history.db`,
  });
});

afterAll(async () => {
  await replica.stop();
  await nodes.close();
  folder.remove();
});

const http = () => replica.replica.httpAddress;

test('who holds too long and says nothing, and who starves, is counted by class until it is over', async () => {
  const gpu = (name: string) => `${name}{class="gpu"}`;
  const lease = await replica.client.lock('gpu/0', { owner: 'silent' });
  const waiter = HoldStream.acquire(replica.replica.addresses[0]!, 'gpu/0', { owner: 'starving' });
  await waiter.first('queued');
  await becomes(http(), {
    [gpu('holdfast_locks_held')]: 1,
    [gpu('holdfast_locks_waiting')]: 1,
    [gpu('holdfast_held_too_long')]: 1,
    [gpu('holdfast_silent_holders')]: 1,
    [gpu('holdfast_starving_waiters')]: 1,
  });
  const samples = await Samples.of(http());
  expect(samples.value(gpu('holdfast_longest_hold_seconds'))).toBeGreaterThan(0.3);
  expect(samples.value(gpu('holdfast_oldest_wait_seconds'))).toBeGreaterThan(0.2);
  expect(samples.value('holdfast_held_too_long{class="other"}')).toBe(0);
  await replica.client.release(lease.lease_id);
  await waiter.granted();
  await becomes(http(), { [gpu('holdfast_starving_waiters')]: 0, [gpu('holdfast_oldest_wait_seconds')]: 0 });
  waiter.cancel();
  await becomes(http(), {
    [gpu('holdfast_held_too_long')]: 0,
    [gpu('holdfast_silent_holders')]: 0,
    [gpu('holdfast_longest_hold_seconds')]: 0,
    [gpu('holdfast_locks_held')]: 0,
  });
});

test('events that come faster than the buffer has room are counted as dropped', async () => {
  const dropped = 'holdfast_events_dropped_total';
  expect((await Samples.of(http())).value(dropped)).toBe(0);
  await until('more came at once than there is room for', async () => {
    const names = Array.from({ length: 200 }, (_, at) => `burst/${at}`);
    const leases = await Promise.all(names.map((name) => replica.client.lock(name)));
    await Promise.all(leases.map(({ lease_id }) => replica.client.release(lease_id)));
    return (await Samples.of(http())).value(dropped) > 0;
  });
});

test('each operation has its time, and the release its number', async () => {
  const samples = await Samples.of(http());
  const count = 'holdfast_operation_seconds_count{op="acquire"}';
  const before = samples.value(count);
  await replica.client.lock('timed/0');
  expect((await Samples.of(http())).value(count)).toBeGreaterThan(before);
  expect(samples.text).toMatch(/^holdfast_build_info{version="\d+\.\d+\.\d+"} 1$/m);
});

describe('a reader of the log that reads nothing', () => {
  test('costs lines, which are counted, and nothing else', async () => {
    const bin = fileURLToPath(new URL('../../bin/holdfast', import.meta.url));
    const address = `${folder.path}/log.sock`;
    const child = spawn(bin, ['serve'], {
      env: {
        PATH: process.env.PATH,
        HOLDFAST_LISTEN: `unix:${address}`,
        HOLDFAST_HTTP_LISTEN: '127.0.0.1:0',
        HOLDFAST_ARCHIVE: 'off',
        HOLDFAST_LOG_LEVEL: 'debug',
      },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const killed = () => void child.kill('SIGKILL');
    process.once('exit', killed);
    let seen = '';
    child.stdout.on('data', (chunk) => {
      seen += String(chunk);
    });
    const httpAddress = await until('it serves', () => /"http":"([^"]+)"/.exec(seen)?.[1]);
    // From now on the pipe fills up.
    child.stdout.pause();
    const client = new RpcClient(`unix:${address}`);
    const { lease_id } = await client.lock('quiet/0');
    await client.release(lease_id);
    // Each of these is a line: a caller named a lease that it does not hold.
    await until('lines are dropped', async () => {
      await Promise.all(Array.from({ length: 500 }, () => client.release(lease_id)));
      return (await Samples.of(httpAddress)).value('holdfast_log_lines_dropped_total') > 0;
    });
    expect((await client.acquire({ resources: ['quiet/1'] })).lease).toBeTruthy();
    client.close();
    killed();
    await once(child, 'close');
    process.removeListener('exit', killed);
  });
});
