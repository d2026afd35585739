/** Shared leases, pools, gangs and deadlocks as a gRPC client meets them, over the embedded store and over three nodes. */
import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Nodes } from '../harness/nodes.ts';
import { bootstrapped, type Lease, type RpcClient, refusal, span, TestReplica } from '../harness/replica.ts';
import { repeat, until } from '../harness/until.ts';

const long = { HOLDFAST_MAX_TTL: '30s', HOLDFAST_DEFAULT_TTL: '30s' };
const wait = span(20_000);
const shared = { mode: 'MODE_SHARED' } as const;

const stores: [string, number][] = [
  ['the embedded store', 0],
  ['three nodes and two replicas', 3],
];

describe.each(stores)('over %s', (_, count) => {
  let nodes: Nodes | undefined;
  const replicas: TestReplica[] = [];
  let one: RpcClient;
  let two: RpcClient;

  beforeAll(async () => {
    nodes = count === 0 ? undefined : await Nodes.start(count);
    const list = nodes?.list ?? '';
    if (list !== '') await bootstrapped(list, long);
    for (let at = 0; at < (count === 0 ? 1 : 2); at += 1) replicas.push(await TestReplica.start(list, long));
    one = replicas[0]!.client;
    two = replicas.at(-1)!.client;
  });
  afterAll(async () => {
    await Promise.all(replicas.map((replica) => replica.stop()));
    await nodes?.close();
  });

  async function inLine(resource: string, ...owners: readonly string[]): Promise<void> {
    await until(`${resource} is awaited by ${owners}`, async () => {
      // A line that somebody is about to open may be unknown yet.
      const seen = await Promise.all([one, two].map((client) => client.inspect(resource).catch(() => null)));
      return seen.every((told) => String(told?.waiters.map(({ owner }) => owner)) === String(owners));
    });
  }

  const letGo = (...leases: readonly Lease[]) =>
    Promise.all(leases.map(async ({ lease_id }) => expect(await two.release(lease_id)).toBe(true)));

  async function nobodyWaits(prefix: string): Promise<void> {
    for (const client of [one, two]) {
      await until('no line is left', async () =>
        (await client.list({ prefix })).locks.every(({ queue_length }) => queue_length === 0),
      );
    }
  }

  test('readers share, a writer waits for the last of them, and readers queue behind it', async () => {
    const readers = [await one.lock('set', { owner: 'r1', ...shared })];
    readers.push(await two.lock('set', { owner: 'r2', ...shared }));
    expect(readers.map(({ mode }) => mode)).toEqual(['MODE_SHARED', 'MODE_SHARED']);
    const seen = await one.inspect('set');
    expect(seen.holders.map(({ owner, fencing_token }) => [owner, fencing_token]).sort()).toEqual(
      readers.map(({ owner, fencing_token }) => [owner, fencing_token]),
    );
    const writer = one.lock('set', { owner: 'w1', wait });
    await inLine('set', 'w1');
    const late = [two.lock('set', { owner: 'r3', wait, ...shared })];
    await inLine('set', 'w1', 'r3');
    expect((await one.acquire({ resources: ['set'], owner: 'r4', ...shared })).busy).toMatchObject({
      queue_length: 2,
      wait_elapsed: false,
    });
    await letGo(...readers);
    const wrote = await writer;
    late.push(one.lock('set', { owner: 'r4', wait, ...shared }));
    await inLine('set', 'r3', 'r4');
    await letGo(wrote);
    const leases = await Promise.all(late);
    for (const { fencing_token } of leases) {
      expect(BigInt(fencing_token)).toBeGreaterThan(BigInt(wrote.fencing_token));
    }
    expect((await two.inspect('set')).holders).toHaveLength(2);
    await letGo(...leases);
    await nobodyWaits('set');
  });

  test('any of four gives four callers four cards, and the fifth the one that is freed', async () => {
    const resources = ['pool/0', 'pool/1', 'pool/2', 'pool/3'];
    const owners = ['w0', 'w1', 'w2', 'w3'];
    const asks = owners.map((owner, at) =>
      (at % 2 === 0 ? one : two).lock(resources, { owner, any: 1, wait }),
    );
    const leases = await Promise.all(asks);
    expect(leases.flatMap((lease) => lease.resources).sort()).toEqual(resources);
    const { busy } = await two.acquire({ resources, owner: 'w4', any: 1 });
    expect(busy?.holders).toHaveLength(4);
    const fifth = two.lock(resources, { owner: 'w4', any: 1, wait });
    for (const name of resources) await inLine(name, 'w4');
    await letGo(leases[2]!);
    const lease = await fifth;
    expect(lease.resources).toEqual(leases[2]!.resources);
    expect(BigInt(lease.fencing_token)).toBeGreaterThan(BigInt(leases[2]!.fencing_token));
    await nobodyWaits('pool/');
    await letGo(lease, leases[0]!);
    const pair = await one.lock(resources, { owner: 'w5', any: 2 });
    expect([...pair.resources].sort()).toEqual([...lease.resources, ...leases[0]!.resources].sort());
    await letGo(pair, leases[1]!, leases[3]!);
  });

  test('callers that loop over a pool never meet on a card', async () => {
    const resources = ['loop/0', 'loop/1', 'loop/2', 'loop/3'];
    const inside = new Set<string>();
    const caller = (at: number): Promise<void> =>
      repeat(5, async () => {
        const lease = await (at % 2 === 0 ? one : two).lock(resources, { owner: `w${at}`, any: 1, wait });
        const [card] = lease.resources as [string];
        expect(inside.has(card)).toBe(false);
        inside.add(card);
        await one.checkToken(card, lease.fencing_token);
        inside.delete(card);
        await letGo(lease);
      });
    await Promise.all(Array.from({ length: 12 }, (_, at) => caller(at)));
    await nobodyWaits('loop/');
  });

  test('a gang holds nothing while one card is taken, is not overtaken, and then has all under one token', async () => {
    const cards = ['gang/0', 'gang/1', 'gang/2'];
    const held = await one.lock('gang/1', { owner: 'w1' });
    const gang = two.lock(cards, { owner: 'gang', wait });
    for (const card of cards) await inLine(card, 'gang');
    for (const card of ['gang/0', 'gang/2']) {
      expect(await one.inspect(card)).toMatchObject({
        state: 'STATE_FREE',
        source: 'SOURCE_LIVE',
        holders: [],
      });
      expect((await one.acquire({ resources: [card], owner: 'w2' })).outcome).toBe('busy');
    }
    await letGo(held);
    const lease = await gang;
    for (const card of cards) {
      expect((await one.inspect(card)).holders).toMatchObject([
        { owner: 'gang', fencing_token: lease.fencing_token },
      ]);
    }
    await letGo(lease);
    await nobodyWaits('gang/');
  });

  test('gangs over overlapping sets are all served', async () => {
    const sets = [
      ['ring/a', 'ring/b'],
      ['ring/b', 'ring/c'],
      ['ring/c', 'ring/a'],
    ];
    const caller = (at: number): Promise<void> =>
      repeat(3, async (round) => {
        const names = sets[(at + round) % 3]!;
        await letGo(await (at % 2 === 0 ? one : two).lock(names, { owner: `w${at}`, wait }));
      });
    await Promise.all(Array.from({ length: 9 }, (_, at) => caller(at)));
    await nobodyWaits('ring/');
  });

  test('a wait for what its own owner holds is ABORTED: DEADLOCK, and Busy without waiting', async () => {
    const own = await one.lock('own', { owner: 'w1' });
    expect((await two.acquire({ resources: ['own'], owner: 'w1' })).outcome).toBe('busy');
    const said = await refusal(two.acquire({ resources: ['own'], owner: 'w1', wait }));
    expect(said).toMatchObject({
      code: status.ABORTED,
      reason: 'DEADLOCK',
      metadata: { cycle: 'w1 -> own -> w1', owners: '["w1"]', resources: '["own"]', links: '1' },
    });
    await letGo(own);
    const reader = await one.lock('own', { owner: 'w1', ...shared });
    expect(await refusal(two.acquire({ resources: ['own'], owner: 'w1', wait }))).toMatchObject({
      reason: 'DEADLOCK',
    });
    await letGo(reader);
  });

  test('a cycle of two ends with one of them ABORTED, and the other is served', async () => {
    const [a, b] = [await one.lock('dead/a', { owner: 'w1' }), await two.lock('dead/b', { owner: 'w2' })];
    const first = one.lock('dead/b', { owner: 'w1', wait });
    await inLine('dead/b', 'w1');
    const said = await refusal(two.acquire({ resources: ['dead/a'], owner: 'w2', wait }));
    expect(said).toMatchObject({
      code: status.ABORTED,
      reason: 'DEADLOCK',
      metadata: {
        cycle: 'w2 -> dead/a -> w1 -> dead/b -> w2',
        owners: '["w2","w1"]',
        resources: '["dead/a","dead/b"]',
      },
    });
    await letGo(b);
    await letGo(await first, a);
    await nobodyWaits('dead/');
  });
});
