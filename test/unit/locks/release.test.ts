/** Release over three memory nodes: frees exactly one lease, tells the truth about it, and shuts the door behind it. */
import { describe, expect, test } from 'vitest';
import type { Lease } from '../../../src/domain/lease.ts';
import { forceRelease } from '../../../src/locks/release.ts';
import type { NodeOp } from '../../../src/nodes/node.ts';
import { type Fate, leaseOf, quiet, World } from './world.ts';

const fates =
  (kind: NodeOp['kind'], ...of: readonly Fate[]) =>
  (_replica: string, node: number, op: NodeOp): Fate =>
    op.kind === kind ? of[node]! : 'now';

async function granted(world: World): Promise<Lease> {
  return leaseOf(await world.replica('a').acquire());
}

const yes = { kind: 'released', released: true };
const no = { kind: 'released', released: false };

describe('release', () => {
  test('frees the lease at once, at any replica, and a repeat says that it was gone', async () => {
    const world = await World.of();
    const lease = await granted(world);
    expect(await world.replica('b').release(lease, 'done')).toEqual(yes);
    expect(world.holders()).toEqual(['', '', '']);
    expect(world.view(0)?.history[0]).toMatchObject({ type: 'released', reason: 'done' });
    expect(await world.replica('b').release(lease)).toEqual(no);
  });

  test('of a lease that is over does not touch the one that came after it', async () => {
    const world = await World.of();
    const lease = await granted(world);
    await world.advance(11_000);
    const next = leaseOf(await world.replica('b').acquire());
    expect(await world.replica('a').release(lease)).toEqual(no);
    expect(world.holders()).toEqual([next.leaseRef, next.leaseRef, next.leaseRef]);
  });

  test('with a forged id writes nothing anywhere', async () => {
    const world = await World.of();
    const forged = await granted(await World.of());
    expect(await world.replica('a').release(forged)).toEqual(no);
    await quiet();
    expect(world.nodes.map((_, node) => world.view(node))).toEqual([null, null, null]);
    expect(world.replicas[0]!.count('release')).toEqual([1, 1, 1]);
  });

  test('waits for every answer before it says that the lease was gone', async () => {
    const world = await World.of();
    world.fate = fates('hold', 'now', 'now', 'lost');
    const lease = await granted(world);
    world.nodeClocks[0]!.stepWall(11_000_000);
    world.fate = fates('release', 'now', 'later', 'now');
    const releasing = world.replica('b').release(lease);
    await quiet();
    await world.deliverAll();
    expect(await releasing).toEqual(yes);
  });

  test('closes the token at nodes that did not hold it, so that a late hold or repair finds it shut', async () => {
    const world = await World.of();
    world.fate = fates('hold', 'now', 'now', 'later');
    const lease = await granted(world);
    world.fate = () => 'now';
    expect(await world.replica('b').release(lease)).toEqual(yes);
    await quiet();
    await world.deliverAll();
    expect(world.holders()).toEqual(['', '', '']);
  });

  test('is NO_QUORUM while a majority is silent, and goes on until they confirm', async () => {
    const world = await World.of();
    const lease = await granted(world);
    world.fate = fates('release', 'now', 'lost', 'lost');
    expect(await world.replica('b').release(lease)).toMatchObject({ reason: 'NO_QUORUM' });
    await quiet();
    expect(world.holders()).toEqual(['', lease.leaseRef, lease.leaseRef]);
    world.fate = () => 'now';
    await world.advance(200);
    expect(world.holders()).toEqual(['', '', '']);
  });

  test('reaches a silent minority later, while the caller already knows', async () => {
    const world = await World.of();
    const lease = await granted(world);
    world.fate = fates('release', 'now', 'now', 'lost');
    expect(await world.replica('b').release(lease)).toEqual(yes);
    expect(world.holders()[2]).toBe(lease.leaseRef);
    world.fate = () => 'now';
    await world.advance(200);
    expect(world.holders()[2]).toBe('');
  });
});

describe('force release', () => {
  const force = (world: World, leaseRef = '') =>
    forceRelease(world.replica('z').quorum, { resource: 'r', leaseRef, reason: 'stuck' });

  test('frees every resource of the lease everywhere and names its holder, never its id', async () => {
    const world = await World.of();
    const lease = leaseOf(await world.replica('a').acquire({ resources: ['r', 'q'] }));
    const answer = await force(world);
    expect(answer).toMatchObject({
      kind: 'forced',
      freed: [{ resource: 'r', owner: 'a' }, { resource: 'q' }],
    });
    expect(
      JSON.stringify(answer, (_, value) => (typeof value === 'bigint' ? String(value) : value)),
    ).not.toContain(lease.leaseId.split('.')[1]);
    await quiet();
    expect([...world.holders('r'), ...world.holders('q')].join('')).toBe('');
    expect(await world.replica('a').heartbeat(lease)).toMatchObject({ metadata: { why: 'forced' } });
  });

  test('of another lease_ref frees nothing', async () => {
    const world = await World.of();
    const lease = await granted(world);
    expect(await force(world, 'somebody')).toEqual({ kind: 'forced', freed: [] });
    expect(world.holders()).toEqual([lease.leaseRef, lease.leaseRef, lease.leaseRef]);
  });

  test('is repeated at a silent node, and closes where the hold has not arrived yet', async () => {
    const world = await World.of();
    world.fate = fates('hold', 'now', 'now', 'later');
    await granted(world);
    world.fate = fates('force', 'now', 'lost', 'now');
    expect(await force(world)).toMatchObject({ freed: [{ resource: 'r' }] });
    world.fate = () => 'now';
    await world.deliverAll();
    await world.advance(200);
    expect(world.holders()).toEqual(['', '', '']);
  });

  test('with a silent majority says so, and the others have let go', async () => {
    const world = await World.of();
    await granted(world);
    world.fate = fates('force', 'now', 'lost', 'lost');
    expect(await force(world)).toMatchObject({ reason: 'NO_QUORUM' });
    expect(world.holders()[0]).toBe('');
  });
});
