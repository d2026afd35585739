/** Heartbeat over three memory nodes: it renews and repairs, never acquires, and never promises too much. */
import { describe, expect, test } from 'vitest';
import type { Lease } from '../../../src/domain/lease.ts';
import type { NodeOp } from '../../../src/nodes/node.ts';
import { driftMs } from '../../../src/quorum/validity.ts';
import { type Fate, leaseOf, quiet, TTL_MS, World } from './world.ts';

/** A lease that stands on `nodes` only; the other requests never arrived. */
async function granted(world: World, nodes: readonly number[], ttlMs = TTL_MS): Promise<Lease> {
  world.fate = (_, node, op) => (op.kind === 'hold' && !nodes.includes(node) ? 'lost' : 'now');
  const lease = leaseOf(await world.replica('a').acquire({ ttlMs }));
  world.fate = () => 'now';
  return lease;
}

const fates =
  (kind: NodeOp['kind'], ...of: readonly Fate[]) =>
  (_replica: string, node: number, op: NodeOp): Fate =>
    op.kind === kind ? of[node]! : 'now';

/** How long each node will keep the lease. */
const kept = (world: World): number[] =>
  world.nodes.map((_, node) => world.view(node)?.holder?.remainingMs ?? 0);

describe('renewal', () => {
  test('extends from now, under the same token and id, at any replica', async () => {
    const world = await World.of();
    const lease = await granted(world, [0, 1, 2]);
    await world.advance(6000);
    const renewed = leaseOf(await world.replica('b').heartbeat(lease, undefined, 'half way'));
    expect(renewed).toMatchObject({ leaseId: lease.leaseId, token: lease.token, owner: 'a', ttlMs: TTL_MS });
    expect(renewed.expireTimeMs - lease.expireTimeMs).toBeCloseTo(6000, 0);
    expect(kept(world)).toEqual([TTL_MS, TTL_MS, TTL_MS]);
    expect(world.view(0)?.holder?.progress).toBe('half way');
  });

  test('never shortens', async () => {
    const world = await World.of();
    const lease = await granted(world, [0, 1, 2]);
    await world.replica('b').heartbeat(lease, 1000);
    expect(kept(world)).toEqual([TTL_MS, TTL_MS, TTL_MS]);
  });

  test('needs a majority: one silent node is fine, two are NO_QUORUM and the lease stays', async () => {
    for (const [of, kind] of [
      [['now', 'now', 'lost'], 'lease'],
      [['now', 'lost', 'lost'], 'refusal'],
    ] as [Fate[], string][]) {
      const world = await World.of();
      const lease = await granted(world, [0, 1, 2]);
      world.fate = fates('renew', ...of);
      const answer = await world.replica('b').heartbeat(lease);
      expect(answer.kind).toBe(kind);
      if (answer.kind === 'refusal') expect(answer.reason).toBe('NO_QUORUM');
      expect(world.holders()).toEqual([lease.leaseRef, lease.leaseRef, lease.leaseRef]);
    }
  });
});

describe('repair', () => {
  test('brings the lease back to a node that lacks it, with what the holder is known by', async () => {
    const world = await World.of();
    const lease = await granted(world, [0, 2]);
    leaseOf(await world.replica('b').heartbeat(lease, undefined, 'p'));
    await quiet();
    expect(world.holders()).toEqual([lease.leaseRef, lease.leaseRef, lease.leaseRef]);
    expect(world.view(1)?.holder).toMatchObject({ owner: 'a', token: lease.token, progress: 'p' });
  });

  test('makes a majority where only one node held it still', async () => {
    const world = await World.of();
    const lease = await granted(world, [0, 1]);
    world.nodeClocks[1]!.stepWall((TTL_MS + 1) * 1000);
    const renewed = leaseOf(await world.replica('b').heartbeat(lease));
    expect(renewed.token).toBe(lease.token);
    expect(world.holders()).toEqual([lease.leaseRef, lease.leaseRef, lease.leaseRef]);
  });

  test('does not take a node from another holder, and a heartbeat that lost frees nothing that another may renew', async () => {
    const world = await World.of();
    const lease = await granted(world, [0, 1]);
    for (const node of [1, 2]) world.nodeClocks[node]!.stepWall((TTL_MS + 1) * 1000);
    const other = leaseOf(await world.replica('c').acquire());
    expect(await world.replica('b').heartbeat(lease)).toMatchObject({
      reason: 'LEASE_LOST',
      metadata: { why: 'expired' },
    });
    await quiet();
    expect(world.holders()).toEqual([lease.leaseRef, other.leaseRef, other.leaseRef]);
    await world.advance(TTL_MS + 1);
    expect(world.holders()[0]).toBe('');
  });

  test('promises no more than a majority will keep: the original hold arrives late, between the two halves', async () => {
    const world = await World.of();
    world.fate = fates('hold', 'now', 'now', 'later');
    const lease = leaseOf(await world.replica('a').acquire({ ttlMs: 1000 }));
    world.nodeClocks[1]!.stepWall(1_001_000);
    world.fate = (_, node, op) => (node === 1 ? 'lost' : op.kind === 'repair' ? 'later' : 'now');
    const renewing = world.replica('b').heartbeat(lease, 30_000);
    await quiet();
    await world.deliver(world.inFlight.find(({ op }) => op.kind === 'hold')!);
    world.fate = (_, node) => (node === 1 ? 'lost' : 'now');
    await world.deliverAll();
    await expectKept(world, await renewing);
  });

  test('promises no more than a majority will keep: two heartbeats with different ttls repair one node', async () => {
    const world = await World.of();
    const lease = await granted(world, [0, 1]);
    world.fate = (_, node, op) => (node === 1 ? 'lost' : op.kind === 'repair' ? 'later' : 'now');
    const short = world.replica('b').heartbeat(lease, 500);
    await quiet();
    const long = world.replica('c').heartbeat(lease, 30_000);
    await quiet();
    world.fate = (_, node) => (node === 1 ? 'lost' : 'now');
    await world.deliverAll();
    await short;
    await expectKept(world, await long);
  });

  test('counts on no node whose answer to the second renewal is missing', async () => {
    const world = await World.of();
    world.fate = fates('hold', 'now', 'now', 'later');
    const lease = leaseOf(await world.replica('a').acquire({ ttlMs: 1000 }));
    world.fate = (_, node, op) => (node === 1 ? 'lost' : op.kind === 'repair' ? 'later' : 'now');
    const renewing = world.replica('b').heartbeat(lease, 30_000);
    await quiet();
    world.fate = () => 'lost';
    await world.deliverAll();
    expect(await renewing).toMatchObject({ reason: 'NO_QUORUM' });
  });

  test('waits for the last node before it calls a lease lost: that one may hold it still', async () => {
    const world = await World.of();
    const lease = await granted(world, [1, 2]);
    world.nodeClocks[1]!.stepWall((TTL_MS + 1) * 1000);
    world.fate = fates('renew', 'now', 'now', 'later');
    const renewing = world.replica('b').heartbeat(lease);
    await quiet();
    await world.deliverAll();
    expect(leaseOf(await renewing).token).toBe(lease.token);
  });
});

/** A majority of the nodes keeps the lease for as long as the answer promised it. */
async function expectKept(
  world: World,
  answer: Awaited<ReturnType<World['replicas'][0]['heartbeat']>>,
): Promise<void> {
  if (answer.kind === 'refusal') return;
  const nowMs = world.replicas[0]!.clock.wallMicros() / 1000;
  const promisedMs = answer.expireTimeMs - nowMs;
  const majority = kept(world).sort((a, b) => b - a)[1]!;
  expect(promisedMs).toBeLessThanOrEqual(majority - driftMs(majority) + 1);
}

describe('loss', () => {
  test('a lease that ended says why, and is not taken again', async () => {
    const endings: readonly (readonly [string, (world: World, lease: Lease) => Promise<unknown>])[] = [
      ['released', (world, lease) => world.replica('z').release(lease)],
      ['expired', (world) => world.advance(TTL_MS + 1)],
      [
        'forced',
        async (world) =>
          world.nodes.map((node) => node.decide({ kind: 'force', resource: 'r', leaseRef: '', reason: '' })),
      ],
      ['unknown', async (world) => world.nodes.map((node, index) => node.restart('lost', `run ${index}`))],
    ];
    for (const [why, end] of endings) {
      const world = await World.of();
      const lease = await granted(world, [0, 1, 2]);
      await end(world, lease);
      const answer = await world.replica('b').heartbeat(lease);
      if (why === 'unknown') expect(answer).toMatchObject({ reason: 'NO_QUORUM' });
      else expect(answer).toMatchObject({ reason: 'LEASE_LOST', metadata: { why } });
      if (why !== 'unknown') expect(world.holders().join('')).toBe('');
    }
  });

  test('an id that no node knows changes nothing anywhere', async () => {
    const world = await World.of();
    const elsewhere = await World.of();
    const forged = await granted(elsewhere, [0, 1, 2]);
    const answer = await world.replica('b').heartbeat(forged);
    expect(answer).toMatchObject({ reason: 'LEASE_LOST', metadata: { why: 'unknown' } });
    expect(world.nodes.map((_, node) => world.view(node))).toEqual([null, null, null]);
  });

  test('force at one node is told though another only saw the time run out', async () => {
    const world = await World.of();
    const lease = await granted(world, [0, 1, 2]);
    world.nodes[2]!.decide({ kind: 'force', resource: 'r', leaseRef: '', reason: '' });
    await world.advance(TTL_MS + 1);
    expect(await world.replica('b').heartbeat(lease)).toMatchObject({ metadata: { why: 'forced' } });
  });

  test('answers that came when the promise was over renew nothing', async () => {
    const world = await World.of();
    const lease = await granted(world, [0, 1, 2], 200);
    world.fate = fates('renew', 'later', 'later', 'later');
    const renewing = world.replica('b').heartbeat(lease);
    await quiet();
    for (const message of [...world.inFlight]) await world.deliver(message);
    await world.advance(198);
    for (const message of [...world.inFlight]) await world.deliver(message);
    expect(await renewing).toMatchObject({ reason: 'NO_QUORUM' });
  });
});
