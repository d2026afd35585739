/** One replica at a time is the janitor: another takes over from one that is killed, and gives way to one that is asked. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Nodes } from '../harness/nodes.ts';
import { bootstrapped, type Environment, ReplicaProcess } from '../harness/replica.ts';
import { until } from '../harness/until.ts';

const env: Environment = {
  HOLDFAST_MAX_TTL: '1m',
  HOLDFAST_DEFAULT_TTL: '1m',
  HOLDFAST_JANITOR: '1',
  HOLDFAST_JANITOR_EVERY: '200ms',
  HOLDFAST_YIELD_AFTER: '100ms',
  HOLDFAST_CLASSES: 'gpu/=gpus',
};

let nodes: Nodes;
let replicas: ReplicaProcess[] = [];

beforeEach(async () => {
  nodes = await Nodes.start(3);
  await bootstrapped(nodes.list, env);
  replicas = await Promise.all([0, 1].map(() => ReplicaProcess.start(nodes.list, env)));
});
afterEach(async () => {
  await Promise.all(replicas.map((replica) => replica.stop()));
  await nodes.close();
});

async function metric({ http }: ReplicaProcess, series: string): Promise<number> {
  const text = await (await fetch(`http://${http}/metrics`)).text();
  const line = text.split('\n').find((one) => one.startsWith(`${series} `));
  if (line === undefined) throw new Error(`no series ${series}`);
  return Number(line.split(' ').at(-1));
}

const ACTIVE = 'holdfast_janitor_active';
const RAN = 'holdfast_janitor_last_run_timestamp_seconds';
const HELD = 'holdfast_locks_held{class="gpus"}';

/** Which of them works, once one does. */
async function janitor(among: readonly ReplicaProcess[]): Promise<ReplicaProcess> {
  return until('one of them is the janitor', async () => {
    const active = await Promise.all(among.map((replica) => metric(replica, RAN)));
    expect(active.filter((ranAt) => ranAt > 0).length).toBeLessThan(2);
    return among[active.findIndex((ranAt) => ranAt > 0)];
  });
}

test('exactly one works and shows what is held; when it is killed the other does', async () => {
  const [first] = replicas as [ReplicaProcess];
  await first.client.lock('gpu/0');
  const worker = await janitor(replicas);
  const other = replicas.find((replica) => replica !== worker)!;
  await until('it has seen the lock', async () => (await metric(worker, HELD)) === 1);
  expect(await Promise.all([ACTIVE, RAN, HELD].map((series) => metric(other, series)))).toEqual([0, 0, 0]);
  await worker.stop();
  expect(await janitor([other])).toBe(other);
  expect(await metric(other, ACTIVE)).toBe(1);
  await until('it shows the lock', async () => (await metric(other, HELD)) === 1);
});

test('one that is asked to mend is given the work, and a name of callers it is not', async () => {
  const worker = await janitor(replicas);
  const other = replicas.find((replica) => replica !== worker)!;
  const { looked_at } = await other.client.janitor(false);
  // Its own post.
  expect(looked_at).toBe(1);
  expect(await janitor([other])).toBe(other);
  await until('the first has stopped', async () => (await metric(worker, ACTIVE)) === 0);
  expect(await metric(worker, RAN)).toBe(0);
  expect((await other.client.list({ prefix: '' })).locks).toEqual([]);
});

test('a drained one leaves its post at once', async () => {
  const worker = await janitor(replicas);
  const other = replicas.find((replica) => replica !== worker)!;
  const [lease] = await nodes.holders('~/janitor');
  worker.signal('SIGTERM');
  expect(await worker.ended()).toBe(0);
  // The other may have it already.
  expect(await nodes.holders('~/janitor')).not.toContain(lease);
  expect(await janitor([other])).toBe(other);
});
