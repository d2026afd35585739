/** A node that flushes every write before it answers has lost nothing by kill -9, and votes at once. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { linksTo } from '../harness/link.ts';
import { Nodes } from '../harness/nodes.ts';
import { bootstrapped, TestReplica } from '../harness/replica.ts';

/** Far longer than the test may take: a node that sat a quarantine out would not be ready in time. */
const env = { HOLDFAST_MAX_TTL: '10m', HOLDFAST_DEFAULT_TTL: '5m' };
const always = { args: ['--appendonly', 'yes', '--appendfsync', 'always'] };
const LOCKS = 30;

let nodes: Nodes;
let net: Awaited<ReturnType<typeof linksTo>>;
let one: TestReplica;

beforeEach(async () => {
  nodes = await Nodes.start(3, (index) => (index === 1 ? always : {}));
  net = await linksTo(nodes.servers);
  await bootstrapped(net.list, env);
  one = await TestReplica.start(net.list, env);
});
afterEach(async () => {
  await one.stop();
  net.close();
  await nodes.close();
});

test('kill -9 with appendfsync always: every acknowledged lease is there, and the node votes at once', async () => {
  net.links[2]!.cut();
  await one.becomes('ready', 'ready', 'silent');
  const names = Array.from({ length: LOCKS }, (_, at) => `gpu/${at}`);
  const leases = await Promise.all(names.map((name) => one.client.lock(name)));
  const before = await nodes.dump(1);
  await nodes.servers[1]!.restart({ empty: false, signal: 'SIGKILL' });
  await one.becomes('ready', 'ready', 'silent');
  const records = (text: string): string[] =>
    text.split('\n').filter((line) => !line.startsWith('holdfast:meta'));
  expect(records(await nodes.dump(1))).toEqual(records(before));
  net.links[2]!.mend();
  await one.becomes('ready', 'ready', 'ready');
  // Node 3 never heard of these leases: node 2 is what stands between them and a second holder.
  for (const name of names)
    expect((await one.client.acquire({ resources: [name], owner: 'w2' })).outcome).toBe('busy');
  for (const { lease_id } of leases) expect(await one.client.release(lease_id)).toBe(true);
  const next = await one.client.lock('gpu/0');
  expect(BigInt(next.fencing_token)).toBeGreaterThan(BigInt(leases[0]!.fencing_token));
});

test('a node that stopped flushing every write before it was killed is quarantined', async () => {
  await nodes.run(1, 'CONFIG', 'SET', 'appendfsync', 'everysec');
  // The replica must have noticed: it asks now and then.
  await expect
    .poll(() => nodes.run(1, 'HGET', 'holdfast:meta', 'durable'), { timeout: 15_000, interval: 50 })
    .toBe('0');
  await nodes.servers[1]!.restart({ empty: false, signal: 'SIGKILL' });
  await one.becomes('ready', 'quarantined', 'ready');
  expect(one.detail(1)).toMatch(/restarted without appendfsync always/);
});
