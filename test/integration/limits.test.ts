/** How many may wait, at one replica and for one resource: the one too many is told so at once and changes nothing. */
import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Nodes } from '../harness/nodes.ts';
import {
  bootstrapped,
  type Refused,
  type RpcClient,
  refusal,
  span,
  TestReplica,
} from '../harness/replica.ts';
import { until } from '../harness/until.ts';

const long = { HOLDFAST_MAX_TTL: '30s', HOLDFAST_DEFAULT_TTL: '30s' };
const wait = span(20_000);
let nodes: Nodes;
const replicas: TestReplica[] = [];

beforeEach(async () => {
  nodes = await Nodes.start(3);
  await bootstrapped(nodes.list, long);
});
afterEach(async () => {
  await Promise.all(replicas.splice(0).map((replica) => replica.stop()));
  await nodes.close();
});

async function serve(env: Readonly<Record<string, string>>): Promise<RpcClient> {
  const replica = await TestReplica.start(nodes.list, { ...long, ...env });
  replicas.push(replica);
  return replica.client;
}

/** Who waits, in order, as `client` is told. */
async function line(client: RpcClient, resource: string): Promise<string[]> {
  return (await client.inspect(resource)).waiters.map(({ owner }) => owner);
}

/** Starts to wait, and resolves once it stands in line. */
async function stands(client: RpcClient, owner: string, resource: string) {
  const asked = client.acquireCall({ resources: [resource], owner, wait });
  await until(`${owner} stands in line`, async () => (await line(client, resource)).includes(owner));
  return asked;
}

/** Every line and waiter at every node, by their keys, and how long the lines are. */
async function places(): Promise<string[]> {
  const of = async (node: number): Promise<string[]> => {
    const keys = (await nodes.run(node, 'KEYS', 'holdfast:b:[qwo]:*')) as string[];
    const lengths = keys.map((key) =>
      key.includes(':q:') ? nodes.run(node, 'ZCARD', key) : Promise.resolve(1),
    );
    const counted = await Promise.all(lengths);
    return keys.map((key, at) => `${node} ${key} ${counted[at]}`).sort();
  };
  return (await Promise.all([0, 1, 2].map(of))).flat();
}

function expectTooMany(said: Refused, limit: number, scope: 'replica' | 'resource'): void {
  expect(said).toMatchObject({
    code: status.RESOURCE_EXHAUSTED,
    reason: 'TOO_MANY_WAITERS',
    metadata: { limit: String(limit), scope },
    retryAfter: true,
  });
}

describe('HOLDFAST_MAX_WAITERS', () => {
  test('refuses the one too many at this replica, whatever it waits for, and no place changes', async () => {
    const client = await serve({ HOLDFAST_MAX_WAITERS: '2' });
    const held = [await client.lock('a'), await client.lock('b')];
    await stands(client, 'w2', 'a');
    await stands(client, 'w3', 'b');
    const before = await places();
    expect(before.length).toBeGreaterThan(0);
    for (const resources of [['a'], ['b'], ['free', 'a']]) {
      expectTooMany(await refusal(client.acquire({ resources, owner: 'w4', wait })), 2, 'replica');
    }
    expect(await places()).toEqual(before);
    // Whoever need not wait, or does not want to, is answered as ever.
    expect((await client.acquire({ resources: ['a'], owner: 'w4' })).busy).toMatchObject({ queue_length: 1 });
    const free = await client.lock('free', { owner: 'w4', wait });
    for (const lease of [...held, free]) expect(await client.release(lease.lease_id)).toBe(true);
  });

  test('counts each replica by itself, and a place is free again when somebody leaves', async () => {
    const client = await serve({ HOLDFAST_MAX_WAITERS: '1' });
    const other = await serve({ HOLDFAST_MAX_WAITERS: '1' });
    await client.lock('a');
    const first = await stands(client, 'w2', 'a');
    await stands(other, 'w3', 'a');
    expectTooMany(await refusal(client.acquire({ resources: ['a'], owner: 'w4', wait })), 1, 'replica');
    first.call.cancel();
    await until('it has left', async () => String(await line(other, 'a')) === 'w3');
    await stands(client, 'w4', 'a');
    expect(await line(other, 'a')).toEqual(['w3', 'w4']);
  });

  test('counts nobody who was served', async () => {
    const client = await serve({ HOLDFAST_MAX_WAITERS: '1' });
    for (const name of ['a', 'b', 'c']) await client.lock(name, { wait });
    const held = await client.lock('d', { wait });
    const next = client.lock('d', { owner: 'w2', wait });
    await until('it stands in line', async () => (await line(client, 'd')).length === 1);
    await client.release(held.lease_id);
    expect((await next).owner).toBe('w2');
    await stands(client, 'w3', 'd');
  });
});

describe('HOLDFAST_MAX_WAITERS_PER_RESOURCE', () => {
  const env = { HOLDFAST_MAX_WAITERS_PER_RESOURCE: '2' };

  test('refuses the one too many for a resource at every replica, and no place changes', async () => {
    const [client, other] = [await serve(env), await serve(env)];
    const held = await client.lock('a');
    await stands(client, 'w2', 'a');
    await stands(other, 'w3', 'a');
    const before = await places();
    for (const at of [client, other]) {
      expectTooMany(await refusal(at.acquire({ resources: ['a'], owner: 'w4', wait })), 2, 'resource');
    }
    // Nor does a gang or a wait for any stand in the other line.
    for (const more of [{}, { any: 1 }, { mode: 'MODE_SHARED' as const }]) {
      const resources = 'mode' in more ? ['a'] : ['b', 'a'];
      if ('any' in more) await client.lock('b', { owner: 'w5' });
      expectTooMany(await refusal(other.acquire({ resources, owner: 'w4', wait, ...more })), 2, 'resource');
    }
    await until('nothing but those places is left', async () => String(await places()) === String(before));
    expect(await line(client, 'a')).toEqual(['w2', 'w3']);
    // Other lines are open.
    await stands(client, 'w4', 'b');
    await client.release(held.lease_id);
    await until('the first is served', async () => (await client.inspect('a')).holders[0]?.owner === 'w2');
  });

  test('lets the next one in when somebody leaves, or is served', async () => {
    const [client, other] = [await serve(env), await serve(env)];
    const held = await client.lock('a');
    const leaver = await stands(client, 'w2', 'a');
    await stands(other, 'w3', 'a');
    expectTooMany(await refusal(other.acquire({ resources: ['a'], owner: 'w4', wait })), 2, 'resource');
    leaver.call.cancel();
    await until('it has left', async () => String(await line(other, 'a')) === 'w3');
    await stands(other, 'w4', 'a');
    expectTooMany(await refusal(client.acquire({ resources: ['a'], owner: 'w5', wait })), 2, 'resource');
    await client.release(held.lease_id);
    await until('w3 is served', async () => String(await line(client, 'a')) === 'w4');
    await stands(client, 'w5', 'a');
  });
});
