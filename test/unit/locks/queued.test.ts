/** Whoever waits and wants to hear it is told where it stands, when that changes; and a holder, who asks for its lock. */
import { describe, expect, test } from 'vitest';
import { hold, Listener } from './keeping.ts';
import { leaseOf, nameOf, quiet, TTL_MS, Wait, World } from './world.ts';

describe('a waiter that listens', () => {
  test('hears its place and the holder at once', async () => {
    const world = await World.of();
    leaseOf(await world.replica('a').acquire({ owner: 'holder' }));
    const listener = new Listener();
    new Wait(world.replica('b'), { owner: 'w' }, listener);
    await quiet();
    expect(listener.told).toMatchObject([{ position: 1, queueLength: 1, holders: [{ owner: 'holder' }] }]);
    expect(listener.told[0]!.holders[0]!.expireTimeMs).toBeGreaterThan(0);
  });

  test('hears nothing where the lock is free', async () => {
    const world = await World.of();
    const listener = new Listener();
    expect(new Wait(world.replica('b'), {}, listener)).toBeDefined();
    await world.pass(1500, 50);
    expect(listener.told).toEqual([]);
  });

  test('hears of each step forward, also of those made at other replicas, and of a new holder', async () => {
    const world = await World.of();
    const first = leaseOf(await world.replica('a').acquire({ owner: 'holder' }));
    const second = new Wait(world.replica('b'), { owner: 'second' });
    await world.pass(100, 10);
    const listener = new Listener();
    new Wait(world.replica('c'), { owner: 'third' }, listener);
    await world.pass(100, 10);
    await world.replica('a').release(first);
    await world.pass(1500, 50);
    expect(second.kind).toBe('lease');
    expect(listener.places).toEqual(['2 holder', '1 second']);
  });

  test('is not told of those who come behind it', async () => {
    const world = await World.of();
    leaseOf(await world.replica('a').acquire({ owner: 'holder', ttlMs: 60_000 }));
    const listener = new Listener();
    new Wait(world.replica('b'), { owner: 'w' }, listener);
    await world.pass(100, 10);
    for (const owner of ['x', 'y', 'z']) new Wait(world.replica('a'), { owner });
    await world.pass(3000, 50);
    expect(listener.places).toEqual(['1 holder']);
  });

  test('of several, hears the worst place, and whoever is in the way of any', async () => {
    const world = await World.of();
    leaseOf(await world.replica('a').acquire({ owner: 'one', resources: ['p'], ttlMs: 60_000 }));
    leaseOf(await world.replica('a').acquire({ owner: 'two', resources: ['q'], ttlMs: 60_000 }));
    new Wait(world.replica('a'), { owner: 'ahead', resources: ['q'] });
    await world.pass(100, 10);
    const listener = new Listener();
    new Wait(world.replica('b'), { owner: 'gang', resources: ['p', 'q'] }, listener);
    await world.pass(2500, 50);
    expect(listener.told.at(-1)).toMatchObject({ position: 2, queueLength: 2 });
    expect(listener.told.at(-1)!.holders.map(({ owner }) => owner)).toEqual(['one', 'two']);
  });
});

describe('a holder is asked to yield', () => {
  test('by a waiter of higher priority that has waited long enough, once', async () => {
    const world = await World.of();
    const { heard } = await hold(world.replica('a'), { owner: 'holder', priority: 1 });
    new Wait(world.replica('b'), { owner: 'urgent', priority: 2 });
    await world.pass(4900, 50);
    expect(heard.askers).toEqual([]);
    await world.pass(3 * TTL_MS, 50);
    expect(heard.askers).toMatchObject([{ owner: 'urgent', priority: 2 }]);
    expect(heard.askers[0]!.waitedMs).toBeGreaterThanOrEqual(5000);
    expect(heard.losses).toEqual([]);
  });

  test('by each who asks, also while the first still waits', async () => {
    const world = await World.of();
    const { heard } = await hold(world.replica('a'), { owner: 'holder' });
    new Wait(world.replica('b'), { owner: 'urgent', priority: 2 });
    new Wait(world.replica('b'), { owner: 'too', priority: 1 });
    await world.pass(3 * TTL_MS, 50);
    expect(heard.askers.map(({ owner }) => owner)).toEqual(['urgent', 'too']);
  });

  test.each([0, 1])('never by one of priority %d, which is not higher than its own', async (priority) => {
    const world = await World.of();
    const { heard } = await hold(world.replica('a'), { owner: 'holder', priority: 1 });
    new Wait(world.replica('b'), { owner: 'w', priority });
    await world.pass(3 * TTL_MS, 50);
    expect(heard.askers).toEqual([]);
  });

  test('a Heartbeat answers with whoever asks', async () => {
    const world = await World.of();
    const lease = leaseOf(await world.replica('a').acquire({ owner: 'holder', ttlMs: 60_000 }));
    new Wait(world.replica('b'), { owner: 'urgent', priority: 9 });
    await world.pass(5100, 50);
    const answer = await world.replica('c').locks.heartbeat({ lease: nameOf(lease.leaseId), progress: '' });
    expect(answer).toMatchObject({ kind: 'renewed', asker: { owner: 'urgent', priority: 9 } });
  });
});
