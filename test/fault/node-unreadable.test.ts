/** One record that nobody can read keeps no emptied node out, and stops no tidying: whatever is about other locks goes on. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Desk } from '../harness/desk.ts';
import { Nodes } from '../harness/nodes.ts';
import { bootstrapped } from '../harness/replica.ts';
import { until } from '../harness/until.ts';

const TTL_MS = 500;

let nodes: Nodes;
let desk: Desk;

beforeEach(async () => {
  nodes = await Nodes.start(3);
  await bootstrapped(nodes.list, {
    HOLDFAST_MAX_TTL: `${TTL_MS}ms`,
    HOLDFAST_DEFAULT_TTL: `${TTL_MS}ms`,
    HOLDFAST_NODE_TIMEOUT: '300ms',
  });
  desk = await Desk.open(nodes.list, { maxTtlMs: TTL_MS, nodeTimeoutMs: 300 });
});
afterEach(async () => {
  desk.close();
  await nodes.close();
});

/** Between two whose records are in order. */
async function spoilOne(): Promise<void> {
  for (const name of ['a', 'b', 'c']) await desk.lock(name, { ttlMs: TTL_MS });
  for (const index of [0, 1]) await nodes.run(index, 'HSET', 'holdfast:r:b', 's', 'x');
}

test('an emptied node takes the other fences over and votes again, with tokens that grow', async () => {
  const { token } = await desk.lock('d', { ttlMs: TTL_MS });
  await spoilOne();
  await nodes.servers[2]!.restart({ empty: true });
  await until('the node waits', () => desk.states[2] === 'quarantined');
  await until('the node votes', () => desk.states[2] === 'ready');
  expect(desk.cluster.status().nodes[2]!.floor).not.toBe('clocks');
  expect((await nodes.record(2, 'd'))?.fence).toBe(Number(token));
  expect((await desk.lock('d', { ttlMs: TTL_MS })).token).toBeGreaterThan(token);
});

test('a sweep forgets what has expired before and behind it', async () => {
  await spoilOne();
  const swept = async () => {
    await desk.cluster.nodes[0]!.ask({ kind: 'sweep', after: '', limit: 10 });
    const ends = await Promise.all(['a', 'c'].map((name) => nodes.record(0, name)));
    return ends.every((record) => record?.expiryMicros === 0);
  };
  await until('both are forgotten', swept);
});
