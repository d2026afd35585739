/** A server that cannot be an independent voter does not vote, and AdminService.Status says why. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { bootstrap } from '../../src/app.ts';
import { linksTo } from '../harness/link.ts';
import { Nodes } from '../harness/nodes.ts';
import { bootstrapped, type Environment, refusal, settingsFor, TestReplica } from '../harness/replica.ts';
import { until } from '../harness/until.ts';

let nodes: Nodes;
const closing: (() => void | Promise<void>)[] = [];

beforeEach(async () => {
  nodes = await Nodes.start(3);
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await nodes.close();
});

async function replica(list = nodes.list, env: Environment = {}): Promise<TestReplica> {
  const started = await TestReplica.start(list, env);
  closing.push(() => started.stop());
  return started;
}

/** What Status says of one node, once it says so. */
async function told(one: TestReplica, index: number, state: string, detail: RegExp): Promise<void> {
  await until(`node ${index + 1} is ${state} with ${detail}`, async () => {
    const node = (await one.client.status()).nodes[index]!;
    return node.state === `NODE_STATE_${state}` && detail.test(node.detail);
  });
}

describe('an evicting maxmemory-policy', () => {
  test('found at start keeps the node from voting, and the others go on', async () => {
    await bootstrapped(nodes.list);
    await nodes.run(2, 'CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
    const one = await replica();
    await told(one, 2, 'REFUSED', /maxmemory-policy is allkeys-lru: it may evict a lock/);
    const lease = await one.client.lock('gpu/0');
    expect((await nodes.holders('gpu/0')).map((value) => value !== '')).toEqual([true, true, false]);
    expect(await one.client.release(lease.lease_id)).toBe(true);
  });

  test('set while the service runs takes the vote away, and unset gives it back', async () => {
    await bootstrapped(nodes.list);
    const one = await replica();
    await one.becomes('ready', 'ready', 'ready');
    await nodes.run(2, 'CONFIG', 'SET', 'maxmemory-policy', 'volatile-ttl');
    await told(one, 2, 'REFUSED', /volatile-ttl/);
    await one.client.lock('gpu/0');
    expect(await nodes.holder(2, 'gpu/0')).toBe('');
    await nodes.run(2, 'CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
    await one.becomes('ready', 'ready', 'ready');
  });

  test('on any node stops a bootstrap before anything is written', async () => {
    await nodes.run(1, 'CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lfu');
    const report = await bootstrap(settingsFor(nodes.list));
    expect(report).toEqual({
      ok: false,
      lines: [expect.stringMatching(/^n2 maxmemory-policy is allkeys-lfu/)],
    });
    expect(await nodes.dumps()).toEqual(['', '', '']);
  });
});

describe('full memory', () => {
  beforeEach(async () => {
    await bootstrapped(nodes.list);
  });

  test('refuses new locks and still lets go of held ones', async () => {
    const one = await replica();
    const [lease, other] = [await one.client.lock('gpu/0'), await one.client.lock(['gpu/1', 'gpu/2'])];
    for (const index of [0, 1, 2]) await nodes.run(index, 'CONFIG', 'SET', 'maxmemory', '1');
    expect(await refusal(one.client.acquire({ resources: ['gpu/3'] }))).toMatchObject({
      reason: 'NO_QUORUM',
    });
    expect(await one.client.release(lease.lease_id)).toBe(true);
    const { freed } = await one.client.force({ resource: 'gpu/1', reason: 'test' });
    expect(freed.map(({ resource }) => resource).sort()).toEqual(['gpu/1', 'gpu/2']);
    expect(await one.client.release(other.lease_id)).toBe(false);
    for (const name of ['gpu/0', 'gpu/1', 'gpu/2', 'gpu/3']) await nodes.free(name);
    for (const index of [0, 1, 2]) await nodes.run(index, 'CONFIG', 'SET', 'maxmemory', '0');
    const next = await one.client.lock('gpu/0');
    expect(BigInt(next.fencing_token)).toBeGreaterThan(BigInt(lease.fencing_token));
  });

  test('of one node changes nothing for callers', async () => {
    const one = await replica();
    await nodes.run(0, 'CONFIG', 'SET', 'maxmemory', '1');
    const lease = await one.client.lock('gpu/0');
    expect(await one.client.heartbeat(lease.lease_id)).toMatchObject({ lease_ref: lease.lease_ref });
    expect(await one.client.release(lease.lease_id)).toBe(true);
  });

  test('of a node that has forgotten keeps it silent, not asked without end, until there is room', async () => {
    const one = await replica();
    await one.becomes('ready', 'ready', 'ready');
    await nodes.run(2, 'CONFIG', 'SET', 'maxmemory', '1');
    await nodes.run(2, 'FLUSHALL');
    await told(one, 2, 'SILENT', /OOM/);
    await nodes.run(2, 'CONFIG', 'SET', 'maxmemory', '0');
    await one.becomes('ready', 'ready', 'ready');
  });
});

describe('a node list', () => {
  test('that names the same server twice has no vote of it', async () => {
    const net = await linksTo(nodes.servers.slice(0, 1));
    closing.push(() => net.close());
    const [first, , third] = nodes.servers;
    const list = `${first!.url}#n1,${net.links[0]!.url}#n2,${third!.url}#n3`;
    const report = await bootstrap(settingsFor(list));
    expect(report).toMatchObject({ ok: false, lines: [expect.stringMatching(/^n2 is listed twice/)] });
    const one = await replica(list);
    await told(one, 0, 'REFUSED', /is the same server as n2/);
    await told(one, 1, 'REFUSED', /is the same server as n1/);
    expect(await refusal(one.client.acquire({ resources: ['gpu/0'] }))).toMatchObject({
      reason: 'NO_QUORUM',
    });
  });

  test('other than the one that the nodes serve is refused', async () => {
    await bootstrapped(nodes.list);
    const more = await Nodes.start(1);
    closing.push(() => more.close());
    const right = await replica();
    const list = nodes.servers.slice(0, 2).map(({ url }, at) => `${url}#n${at + 1}`);
    const wrong = await replica([...list, `${more.servers[0]!.url}#n9`].join(','));
    for (const index of [0, 1]) await told(wrong, index, 'REFUSED', /belongs to cluster .*another node list/);
    expect(await refusal(wrong.client.acquire({ resources: ['gpu/0'] }))).toMatchObject({
      reason: 'NO_QUORUM',
    });
    await right.becomes('ready', 'ready', 'ready');
    await right.client.lock('gpu/0');
  });

  test('in another order is the same list', async () => {
    await bootstrapped(nodes.list);
    const one = await replica(nodes.list.split(',').reverse().join(','));
    await one.becomes('ready', 'ready', 'ready');
    expect((await one.client.status()).warnings).toEqual([]);
  });

  test('of a cluster with another longest ttl is refused', async () => {
    await bootstrapped(nodes.list);
    const other = await replica(nodes.list, { HOLDFAST_MAX_TTL: '5s' });
    for (const index of [0, 1, 2]) await told(other, index, 'REFUSED', /longest ttl is 2000 ms/);
    expect(await refusal(other.client.acquire({ resources: ['gpu/0'] }))).toMatchObject({
      reason: 'NO_QUORUM',
    });
  });
});

describe('a replica in place of a primary', () => {
  test('does not vote from the start', async () => {
    await bootstrapped(nodes.list);
    await nodes.run(2, 'REPLICAOF', '127.0.0.1', 1);
    const one = await replica();
    await told(one, 2, 'REFUSED', /is a slave, not a primary/);
    await one.client.lock('gpu/0');
    expect(await nodes.holder(2, 'gpu/0')).toBe('');
  });

  test('loses its vote when it is made one while the service runs', async () => {
    await bootstrapped(nodes.list);
    const one = await replica();
    await nodes.run(2, 'REPLICAOF', '127.0.0.1', 1);
    const lease = await one.client.lock('gpu/0');
    expect(await one.client.release(lease.lease_id)).toBe(true);
    await told(one, 2, 'REFUSED', /is a slave, not a primary/);
    await nodes.run(2, 'REPLICAOF', 'NO', 'ONE');
    await one.becomes('ready', 'ready', 'ready');
  });
});
