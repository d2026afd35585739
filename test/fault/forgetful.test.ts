/** A node that has lost its memory never helps a second holder into a lock; without its quarantine it does. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Link, linksTo } from '../harness/link.ts';
import { Nodes } from '../harness/nodes.ts';
import { Preload } from '../harness/preload.ts';
import type { RedisServer, RedisServerOptions } from '../harness/redis-server.ts';
import { bootstrapped, expireMs, type Lease, refusal, TestReplica } from '../harness/replica.ts';
import { until } from '../harness/until.ts';

const TTL_MS = 2000;

let nodes: Nodes;
let net: Awaited<ReturnType<typeof linksTo>>;
let links: readonly Link[];
const replicas: TestReplica[] = [];
let slow: Preload | undefined;

/** A replica behind the links, so that a node can be cut off without losing its memory. */
async function replica(quarantineOff = false): Promise<TestReplica> {
  const started = await TestReplica.start(net.list, {}, quarantineOff ? { quarantineOff } : {});
  replicas.push(started);
  return started;
}

async function start(second: RedisServerOptions = {}): Promise<void> {
  nodes = await Nodes.start(3, (index) => (index === 1 ? second : {}));
  net = await linksTo(nodes.servers);
  ({ links } = net);
  await bootstrapped(net.list);
}

afterEach(async () => {
  await Promise.all(replicas.splice(0).map((one) => one.stop()));
  net.close();
  await nodes.close();
  slow?.close();
  slow = undefined;
});

/** Takes the lease and makes node 2 forget it; node 3 is cut off all the while. */
type Forget = (one: TestReplica) => Promise<Lease>;

const lock = (one: TestReplica): Promise<Lease> => one.client.lock('gpu/0', { owner: 'first' });

const restarted: Forget = async (one) => {
  const lease = await lock(one);
  await nodes.servers[1]!.restart({ empty: true });
  return lease;
};

const flushed: Forget = async (one) => {
  const lease = await lock(one);
  await nodes.run(1, 'FLUSHALL');
  return lease;
};

/** With fsync stalled, what node 2 acknowledges stays out of its file for a while; then it is killed. */
const unsynced: Forget = async (one) => {
  slow!.set(1);
  let serial = 0;
  const lease = await until('an acknowledged lease is not in the file', async () => {
    // A name of its own each time: a release that is lost as well would leave an earlier lease there.
    serial += 1;
    const taken = await one.client.lock(`gpu/${serial}`, { owner: 'first' });
    const value = await nodes.holder(1, `gpu/${serial}`);
    return fileOf(nodes.servers[1]!).includes(value) ? undefined : taken;
  });
  await nodes.servers[1]!.kill('SIGKILL');
  slow!.set(0);
  await nodes.servers[1]!.start();
  expect(await nodes.run(1, 'EXISTS', 'holdfast:meta')).toBe(1);
  return lease;
};

function fileOf({ directory }: RedisServer): string {
  const folder = join(directory, 'appendonlydir');
  return readdirSync(folder)
    .map((name) => readFileSync(join(folder, name), 'latin1'))
    .join('');
}

const everysec = ['--appendonly', 'yes', '--appendfsync', 'everysec'];
const ways: [string, Forget, RegExp, () => RedisServerOptions][] = [
  ['restarted empty', restarted, /no meta/, () => ({})],
  ['flushed while it runs', flushed, /no meta/, () => ({})],
  [
    'killed with acknowledged writes not yet on disk',
    unsynced,
    /restarted without appendfsync always/,
    () => {
      slow = Preload.slowSync();
      return { args: everysec, env: slow.env };
    },
  ],
];

/** Nodes 1 and 2 hold the lease while node 3 is cut off; afterwards node 3 is back and only node 1 knows the lease. */
async function lostByOne(one: TestReplica, forget: Forget): Promise<Lease> {
  await one.client.release((await one.client.lock('gpu/0')).lease_id);
  links[2]!.cut();
  await one.becomes('ready', 'ready', 'silent');
  const lease = await forget(one);
  const held = await nodes.holders(lease.resources[0]!);
  expect(held.map((value) => value !== '')).toEqual([true, false, false]);
  links[2]!.mend();
  return lease;
}

describe.each(ways)('a node %s', (_, forget, why, options) => {
  beforeEach(() => start(options()));

  test('lets nobody in while a lease that it forgot lives, then serves again with growing tokens', async () => {
    const [one, two] = [await replica(), await replica()];
    const lease = await lostByOne(one, forget);
    const name = lease.resources[0]!;
    await two.becomes('ready', 'quarantined', 'ready');
    const status = await two.client.status();
    expect(status.nodes[1]).toMatchObject({
      state: 'NODE_STATE_QUARANTINED',
      detail: expect.stringMatching(why),
    });
    let asked = 0;
    const next = await until('the lock is granted again', async () => {
      asked += 1;
      return (asked % 2 === 0 ? one : two).client.tryLock(name, { owner: 'second' });
    });
    // Asked for all the while, and given only once the first holder could no longer count on its lease.
    expect(asked).toBeGreaterThan(1);
    expect(Date.now()).toBeGreaterThan(expireMs(lease));
    expect(BigInt(next.fencing_token)).toBeGreaterThan(BigInt(lease.fencing_token));
    await Promise.all([one, two].map((each) => each.becomes('ready', 'ready', 'ready')));
    await two.client.release(next.lease_id);
    const last = await until('all three vote', () => one.client.tryLock(name));
    expect(BigInt(last.fencing_token)).toBeGreaterThan(BigInt(next.fencing_token));
  });

  test('with the quarantine off lets a second holder in beside the first', async () => {
    const [one, two] = [await replica(true), await replica(true)];
    const lease = await lostByOne(one, forget);
    const name = lease.resources[0]!;
    const second = await until(
      'a second holder',
      () => two.client.tryLock(name, { owner: 'second' }),
      TTL_MS,
    );
    expect(Date.now()).toBeLessThan(expireMs(lease));
    expect(second.owner).toBe('second');
    expect((await nodes.holders(name)).filter((value) => value !== '')).toHaveLength(3);
  });
});

describe('kill -9', () => {
  beforeEach(() => start());

  test('of one node of three changes nothing for callers', async () => {
    const one = await replica();
    const first = await one.client.lock('gpu/0');
    await nodes.servers[0]!.kill('SIGKILL');
    // Whatever was in flight to the node that died, the next calls are answered by the other two.
    expect(await one.client.release(first.lease_id)).toBe(true);
    const second = await one.client.lock('gpu/0');
    expect(BigInt(second.fencing_token)).toBeGreaterThan(BigInt(first.fencing_token));
    expect(await one.client.heartbeat(second.lease_id)).toMatchObject({ lease_ref: second.lease_ref });
    expect((await one.client.inspect('gpu/0')).state).toBe('STATE_HELD');
  });

  test('of two nodes of three is NO_QUORUM within a second, and nothing stays behind', async () => {
    const one = await replica();
    await Promise.all([nodes.servers[0]!.kill('SIGKILL'), nodes.servers[1]!.kill('SIGKILL')]);
    const askedMs = performance.now();
    const said = await refusal(one.client.acquire({ resources: ['gpu/0', 'gpu/1'] }));
    expect(performance.now() - askedMs).toBeLessThan(1000);
    expect(said).toMatchObject({
      code: 14,
      reason: 'NO_QUORUM',
      metadata: { answered: '1', nodes: '3' },
      retryAfter: true,
    });
    // The refusal was told after the undo was confirmed where the vote had been cast.
    expect((await nodes.holders('gpu/0'))[2]).toBe('');
    expect((await nodes.holders('gpu/1'))[2]).toBe('');
    expect(await refusal(one.client.inspect('gpu/0'))).toMatchObject({ reason: 'NO_QUORUM' });
    await Promise.all([nodes.servers[0]!.start(), nodes.servers[1]!.start()]);
    await one.becomes('ready', 'ready', 'ready');
    expect(await nodes.holders('gpu/0')).toEqual(['', '', '']);
    expect(await nodes.holders('gpu/1')).toEqual(['', '', '']);
    expect((await one.client.lock(['gpu/0', 'gpu/1'])).resources).toEqual(['gpu/0', 'gpu/1']);
  });
});
