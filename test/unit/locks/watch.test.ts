/** Watching over memory nodes: who is told what, and that leases end in time though nobody touches them. */
import { describe, expect, test } from 'vitest';
import type { LockEvent, WatchAsk, Watcher } from '../../../src/locks/locks.ts';
import { leaseOf, quiet, type Replica, Wait, World } from './world.ts';

const ALL_NAMES: WatchAsk = { resources: [], prefix: '' };

/** Notes what it is told. */
class Note implements Watcher {
  readonly events: LockEvent[] = [];
  missedCount = 0;

  event(event: LockEvent): void {
    this.events.push(event);
  }

  missed(count: number): void {
    this.missedCount += count;
  }

  get told(): string[] {
    return this.events.map(({ type, resource, owner }) => `${type} ${resource} ${owner}`);
  }
}

async function watched(ask: Partial<WatchAsk> = {}) {
  const world = await World.of();
  const [a, w] = [world.replica('a'), world.replica('w')];
  const note = new Note();
  const leave = await w.locks.watch({ ...ALL_NAMES, ...ask }, note);
  await quiet();
  return { world, a, w, note, leave };
}

const settled = (replica: Replica): number => replica.count('settle')[0]!;

describe('what a watcher is told', () => {
  test('is each step of each lease and wait, once', async () => {
    const { world, a, w, note } = await watched();
    const lease = leaseOf(await a.acquire({ owner: 'one' }));
    await world.advance(1);
    const next = new Wait(w, { owner: 'two' });
    await quiet();
    await a.heartbeat(lease);
    await a.release(lease);
    await quiet();
    await w.locks.forceRelease({ resource: 'r', leaseRef: '', reason: 'stuck' });
    await quiet();
    expect(next.kind).toBe('lease');
    expect(note.told).toEqual([
      'granted r one',
      'queued r two',
      'renewed r one',
      'released r one',
      'granted r two',
      'forced r two',
    ]);
    expect(note.events.at(-1)?.reason).toBe('stuck');
    expect(note.missedCount).toBe(0);
  });

  test('is one renewal for each heartbeat', async () => {
    const { world, a, note } = await watched();
    const lease = leaseOf(await a.acquire({ owner: 'one' }));
    for (let beat = 0; beat < 4; beat += 1) {
      await world.advance(500);
      await a.heartbeat(lease);
    }
    expect(note.told.slice(1)).toEqual(new Array(4).fill('renewed r one'));
  });

  test('is nothing of a vote that came to nothing', async () => {
    const { world, a, note } = await watched();
    world.fate = (_, node, op) => (op.kind === 'hold' && node > 0 ? 'lost' : 'now');
    expect((await a.acquire()).kind).toBe('refusal');
    await quiet();
    expect(world.view(0)?.history).toHaveLength(2);
    expect(note.told).toEqual([]);
  });

  test('is what it named, by name, by prefix, by both, or all', async () => {
    const names = ['job/1', 'job/2', 'gpu', 'gpu2'];
    const asks: readonly (readonly [Partial<WatchAsk>, readonly string[]])[] = [
      [{}, names],
      [{ resources: ['gpu'] }, ['gpu']],
      [{ prefix: 'job/' }, ['job/1', 'job/2']],
      [{ prefix: 'gpu', resources: ['job/2'] }, ['job/2', 'gpu', 'gpu2']],
      [{ resources: ['other'] }, []],
    ];
    for (const [ask, expected] of asks) {
      const { a, note } = await watched(ask);
      for (const name of names) leaseOf(await a.acquire({ owner: 'w', resources: [name] }));
      expect(note.events.map(({ resource }) => resource)).toEqual(expected);
    }
  });

  test('reaches each of several watchers, and nobody who has left', async () => {
    const { a, w, note, leave } = await watched();
    const other = new Note();
    await w.locks.watch({ ...ALL_NAMES, prefix: 'q' }, other);
    leaseOf(await a.acquire({ owner: 'one', resources: ['q'] }));
    leave();
    leaseOf(await a.acquire({ owner: 'one', resources: ['q2'] }));
    expect(note.told).toEqual(['granted q one']);
    expect(other.told).toEqual(['granted q one', 'granted q2 one']);
  });

  test('goes on for longer than the nodes were asked to tell at first', async () => {
    const { world, a, note } = await watched();
    await world.pass(120_000, 1000);
    leaseOf(await a.acquire({ owner: 'late' }));
    expect(note.told).toEqual(['granted r late']);
  });

  test('goes on when the first of them has left and another one came', async () => {
    const { world, a, w, note, leave } = await watched();
    leave();
    await world.pass(60_000, 1000);
    const again = new Note();
    await w.locks.watch(ALL_NAMES, again);
    leaseOf(await a.acquire({ owner: 'late' }));
    expect([note.told, again.told]).toEqual([[], ['granted r late']]);
  });

  test('is that something may be missing, whenever a node says so', async () => {
    const { world, w, note } = await watched();
    const other = new Note();
    await w.locks.watch({ ...ALL_NAMES, prefix: 'q' }, other);
    world.nodes[1]!.restart('kept', 'run 1');
    expect([note.missedCount, other.missedCount]).toEqual([1, 1]);
  });
});

describe('a lease that nobody touches', () => {
  const whens = (['before', 'after'] as const).flatMap((when) => [
    { when, by: 'its name', ask: { resources: ['r'], prefix: '' } },
    { when, by: 'its prefix', ask: { resources: [], prefix: 'r' } },
    { when, by: 'all names', ask: ALL_NAMES },
  ]);

  test.each(whens)('expires in time when it was granted $when the watch of $by', async ({ when, ask }) => {
    const world = await World.of();
    const [a, w] = [world.replica('a'), world.replica('w')];
    const note = new Note();
    if (when === 'before') leaseOf(await a.acquire({ owner: 'one', ttlMs: 3000 }));
    await w.locks.watch(ask, note);
    if (when === 'after') leaseOf(await a.acquire({ owner: 'one', ttlMs: 3000 }));
    await world.pass(2990);
    expect(note.told).not.toContain('expired r one');
    await world.pass(300);
    expect(note.told.filter((told) => told.startsWith('expired'))).toEqual(['expired r one']);
    expect(settled(w)).toBe(1);
  });

  test('that was renewed is asked after only at its new end', async () => {
    const { world, a, w, note } = await watched();
    const lease = leaseOf(await a.acquire({ owner: 'one', ttlMs: 3000 }));
    await world.pass(2000);
    await a.heartbeat(lease);
    await world.pass(2900);
    expect([settled(w), note.told]).toEqual([0, ['granted r one', 'renewed r one']]);
    await world.pass(400);
    expect([settled(w), note.told.at(-1)]).toEqual([1, 'expired r one']);
  });

  test('that was renewed where the news of it were lost is counted down anew', async () => {
    const { world, a, note } = await watched();
    const lease = leaseOf(await a.acquire({ owner: 'one', ttlMs: 3000 }));
    await world.pass(2000);
    // Nodes that are not asked again to tell stop telling.
    world.fate = (_, __, op) => (op.kind === 'watch' ? 'lost' : 'now');
    for (let beat = 0; beat < 20; beat += 1) {
      await world.pass(2000);
      await a.heartbeat(lease);
    }
    world.fate = () => 'now';
    await world.pass(10_000);
    expect(note.told.filter((told) => told.startsWith('expired'))).toEqual(['expired r one']);
  });

  test('of several shared ones is told for each when it is due', async () => {
    const { world, a, note } = await watched();
    leaseOf(await a.acquire({ owner: 'short', ttlMs: 1000, mode: 'shared' }));
    leaseOf(await a.acquire({ owner: 'long', ttlMs: 5000, mode: 'shared' }));
    await world.pass(1400);
    expect(note.told.slice(2)).toEqual(['expired r short']);
    await world.pass(4000);
    expect(note.told.slice(2)).toEqual(['expired r short', 'expired r long']);
  });
});

describe('after the last watcher left', () => {
  test('nothing is asked any more, and nothing counted down', async () => {
    const { world, a, w, leave } = await watched();
    leaseOf(await a.acquire({ owner: 'one', ttlMs: 2000 }));
    leave();
    const { length } = w.sent;
    await world.pass(60_000, 200);
    expect(w.sent.length).toBe(length);
  });

  test('nothing is looked up either that was not yet', async () => {
    const world = await World.of();
    const w = world.replica('w');
    const names = ['r', 'q', 's', 't'];
    world.fate = (_, __, op) => (op.kind === 'look' ? 'later' : 'now');
    const leave = await w.locks.watch({ resources: names, prefix: '' }, new Note());
    await quiet();
    leave();
    const [looked] = w.count('look');
    await world.deliverAll();
    expect(w.count('look')[0]).toBe(looked);
  });
});
