/** Readiness follows the majority without any traffic, and a replica that is told to go loses no lease. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Nodes } from '../harness/nodes.ts';
import { bootstrapped, ReplicaProcess, refusal, TestReplica } from '../harness/replica.ts';
import { until } from '../harness/until.ts';

let nodes: Nodes;
const closing: (() => void | Promise<void>)[] = [];

beforeEach(async () => {
  nodes = await Nodes.start(3);
  await bootstrapped(nodes.list);
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await nodes.close();
});

async function replica(): Promise<TestReplica> {
  const started = await TestReplica.start(nodes.list);
  closing.push(() => started.stop());
  return started;
}

async function readyz(one: TestReplica, status: number, withinMs: number): Promise<string> {
  return until(
    `/readyz is ${status}`,
    async () => {
      const answer = await one.http('/readyz');
      return answer.status === status && answer.text;
    },
    withinMs,
  );
}

describe('/readyz', () => {
  test('turns 503 within 2 s of losing the majority to SIGSTOP, names the nodes, and comes back', async () => {
    const one = await replica();
    await readyz(one, 200, 5000);
    for (const server of nodes.servers.slice(1)) server.pause();
    const said = await readyz(one, 503, 2000);
    expect(JSON.parse(said)).toMatchObject({
      ready: false,
      reasons: [/n2: silent/, /n3: silent/].map((text) => expect.stringMatching(text)),
    });
    expect((await one.http('/livez')).status).toBe(200);
    for (const server of nodes.servers.slice(1)) server.resume();
    await readyz(one, 200, 15_000);
    expect((await one.client.lock('gpu/0')).replayed).toBe(false);
  });

  test('turns 503 within 2 s of kill -9 of two nodes, and 200 after their quarantine', async () => {
    const one = await replica();
    for (const server of nodes.servers.slice(1)) await server.kill('SIGKILL');
    await readyz(one, 503, 2000);
    for (const server of nodes.servers.slice(1)) await server.start();
    // Each comes back when its own connection does: either may be the first, and gone again before the other.
    await until('the reason is the quarantine', async () => {
      const { text } = await one.http('/readyz');
      return /n[23]: quarantined/.test(text);
    });
    await readyz(one, 200, 15_000);
  });

  test('turns 503 while two nodes cannot write, says why, and comes back', async () => {
    const one = await replica();
    const lease = await one.client.lock('gpu/0');
    for (const index of [1, 2]) await nodes.run(index, 'CONFIG', 'SET', 'maxmemory', '1');
    expect(await readyz(one, 503, 2000)).toMatch(/n2: silent.*OOM/);
    expect(await one.client.release(lease.lease_id)).toBe(true);
    for (const index of [1, 2]) await nodes.run(index, 'CONFIG', 'SET', 'maxmemory', '0');
    await readyz(one, 200, 5000);
    await one.client.lock('gpu/0');
  });

  test('stays 200 while one node of three is away', async () => {
    const one = await replica();
    await nodes.servers[0]!.kill('SIGKILL');
    await one.becomes('silent', 'ready', 'ready');
    expect((await one.http('/readyz')).status).toBe(200);
    expect(await one.client.status()).toMatchObject({ quorum_margin: 0, draining: false });
  });
});

describe('a replica', () => {
  test('that gets SIGTERM exits with 0 and leaves its leases to the others', async () => {
    const [going, staying] = [await ReplicaProcess.start(nodes.list), await replica()];
    closing.push(() => going.stop());
    const lease = await going.client.lock('gpu/0');
    going.signal('SIGTERM');
    expect(await going.ended()).toBe(0);
    expect(await staying.client.heartbeat(lease.lease_id)).toMatchObject({ lease_ref: lease.lease_ref });
    expect((await staying.client.acquire({ resources: ['gpu/0'], owner: 'w2' })).outcome).toBe('busy');
    expect(await staying.client.release(lease.lease_id)).toBe(true);
  });

  test('that dies by kill -9 leaves its leases to the others as well', async () => {
    const [dying, staying] = [await ReplicaProcess.start(nodes.list), await replica()];
    closing.push(() => dying.stop());
    const lease = await dying.client.lock('gpu/0');
    dying.signal('SIGKILL');
    expect(await dying.ended()).toBe('SIGKILL');
    expect(await staying.client.heartbeat(lease.lease_id)).toMatchObject({ lease_ref: lease.lease_ref });
    expect(await staying.client.release(lease.lease_id)).toBe(true);
  });

  test('that starts without a majority says so, answers NO_QUORUM, and serves once the nodes are there', async () => {
    for (const server of nodes.servers.slice(1)) server.pause();
    const one = await replica();
    expect((await one.http('/readyz')).status).toBe(503);
    expect(await refusal(one.client.acquire({ resources: ['gpu/0'] }))).toMatchObject({
      reason: 'NO_QUORUM',
    });
    for (const server of nodes.servers.slice(1)) server.resume();
    await readyz(one, 200, 15_000);
    expect((await one.client.lock('gpu/0')).replayed).toBe(false);
  });
});
