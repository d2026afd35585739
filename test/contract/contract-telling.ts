/** WAKE, FORCED and NEWS: whom a node tells that it is its turn, and what it tells everybody (line.ts). */
import { describe, expect, test } from 'vitest';
import type { News } from '../../src/nodes/line.ts';
import {
  attempt,
  type Caller,
  livenessMicros,
  ownerOf,
  placeOf,
  silence,
  tokenAt,
  ttlMicros,
  ttlMs,
} from './caller.ts';
import { startMicros } from './under-test.ts';

const T = tokenAt();
const first = attempt('one', T, 'a');
const second = attempt('two', T + 1n, 'a');
const early = placeOf('early', 10, { livenessMs: 60_000 });
const late = placeOf('late', 20, { livenessMs: 60_000 });
const toEarly = { resource: 'a', id: 'early', fence: T };
const toLate = { resource: 'a', id: 'late', fence: T };

export function tellingContract(node: () => Caller): void {
  /** What is told from now on; what earlier tests left is nobody's. */
  const begin = async () => {
    await node().under.wakes();
    await node().under.news();
    await node().under.forced();
  };
  const wakes = () => node().under.wakes();

  describe('wake', () => {
    test.each(['released', 'forced', 'undone'] as const)(
      'tells the first in line that the holder let go: %s',
      async (why) => {
        await begin();
        await node().hold(first);
        await node().join(late);
        await node().join(early);
        expect(await wakes()).toEqual([]);
        await node().release(first, { why });
        expect(await wakes()).toEqual([toEarly]);
      },
    );

    test('tells of an end that another operation found, once', async () => {
      await begin();
      await node().hold(first);
      await node().join(early);
      node().at(ttlMicros);
      await node().look('a');
      expect(await wakes()).toEqual([]);
      await node().settle('a');
      await node().settle('a');
      expect(await wakes()).toEqual([toEarly]);
    });

    test('tells the next when the first leaves, or dies, and the dead in between are passed', async () => {
      await begin();
      await node().join(early);
      await node().join(placeOf('dying', 15, { livenessMs: 1000 }));
      await node().join(late);
      node().at(1_000_000);
      await node().leaveLine(late);
      await node().join(late);
      expect(await wakes()).toEqual([]);
      await node().leaveLine(early);
      expect(await wakes()).toEqual([{ ...toLate, fence: 0n }]);
    });

    describeModes(node, begin);
  });

  describeForced(node, begin);
  describeNews(node, begin);
}

function describeForced(node: () => Caller, begin: () => Promise<void>): void {
  const forced = () => node().under.forced();

  describe('forced', () => {
    test.each([false, true])(
      'tells of the lease once, whether somebody watches or not: %s',
      async (watched) => {
        if (watched) await node().under.watch(30_000);
        await begin();
        await node().hold({ ...first, resources: ['a', 'b'] });
        await node().hold(attempt('two', T + 1n, 'c'));
        await node().force('a');
        await node().force('c', attempt('two', T + 1n, 'c').leaseRef);
        expect(await forced()).toEqual([first.leaseRef, attempt('two', T + 1n, 'c').leaseRef]);
      },
    );

    test('tells of the reader that it ended, not of the others', async () => {
      await begin();
      for (const reader of [first, second]) await node().hold(reader, { mode: 'shared' });
      await node().force('a', second.leaseRef);
      expect(await forced()).toEqual([second.leaseRef]);
    });

    test('tells nothing where nobody was forced: nothing matched, it ran out, or its holder let go', async () => {
      await begin();
      await node().force('a');
      await node().hold(first);
      await node().force('a', 'ref of somebody else');
      await node().release(first, { why: 'forced' });
      await node().hold(second);
      node().at(ttlMicros);
      await node().force('a');
      expect(await forced()).toEqual([]);
    });

    test('tells of what a node that may have forgotten still held', async () => {
      await begin();
      await node().hold(first);
      const { runId } = node();
      await node().admin({ kind: 'adopt', cluster: 'c0', runId, id: 'q', why: 'test', longestTtlMs: 60_000 });
      expect(await node().force('a', 'ref of somebody else')).toEqual(silence('amnesia'));
      expect(await node().force('a')).toMatchObject({ kind: 'forced', value: first.value });
      expect(await forced()).toEqual([first.leaseRef]);
    });
  });
}

function describeModes(node: () => Caller, begin: () => Promise<void>): void {
  const wakes = () => node().under.wakes();

  test('tells nobody whom a holder is still in the way of', async () => {
    await begin();
    await node().hold(first, { mode: 'shared' });
    await node().hold(second, { mode: 'shared' });
    await node().join(early);
    await node().release(first);
    expect(await wakes()).toEqual([]);
    await node().release(second);
    expect(await wakes()).toEqual([{ ...toEarly, fence: T + 1n }]);
  });

  test('tells the next reader when one has got in, and nobody behind a writer', async () => {
    const readers = [placeOf('r0', 1, { mode: 'shared' }), placeOf('r1', 2, { mode: 'shared' })] as const;
    await begin();
    for (const reader of readers) await node().join(reader);
    await node().hold(first, { mode: 'shared', place: readers[0] });
    expect(await wakes()).toEqual([{ resource: 'a', id: 'r1', fence: T }]);
    await node().release(first);
    await node().leaveLine(readers[1]);
    await node().join(early);
    await node().join(late);
    await begin();
    await node().hold(second, { place: early });
    expect(await wakes()).toEqual([]);
  });

  test('tells only the replica of the waiter', async () => {
    await begin();
    await node().hold(first);
    await node().join({ ...early, replica: 'another' });
    await node().release(first);
    expect(await wakes()).toEqual([]);
  });
}

function describeNews(node: () => Caller, begin: () => Promise<void>): void {
  const said = (type: News['type'], changes: Partial<News> = {}): News => ({
    type,
    timeMicros: startMicros,
    resource: 'a',
    token: T,
    leaseRef: first.leaseRef,
    owner: ownerOf(first),
    reason: '',
    remainingMs: 0,
    ...changes,
  });
  const queued = { token: 0n, leaseRef: 'early', owner: early.owner };

  describe('news', () => {
    test('tell everything that is written of a resource, and who queued', async () => {
      await node().under.watch(30_000);
      await begin();
      await node().hold(first);
      await node().join(early);
      await node().join(early);
      await node().renew(first, { ttlMs: 60_000 });
      await node().release(first, { reason: 'done "so"' });
      expect(await node().under.news()).toEqual([
        said('held', { remainingMs: ttlMs }),
        said('queued', queued),
        said('renewed', { remainingMs: 60_000 }),
        said('released', { reason: 'done "so"' }),
      ]);
    });

    test('tell of a lease that a replica found lost, once for each resource', async () => {
      await node().under.watch(30_000);
      await begin();
      const { token, leaseRef } = first;
      const of = { token, leaseRef, owner: ownerOf(first), reason: 'no majority' };
      expect(await node().ask({ kind: 'tell', resources: ['a', 'b'], ...of })).toEqual({ kind: 'told' });
      const { reason } = of;
      expect(await node().under.news()).toEqual([
        said('lost', { reason }),
        said('lost', { reason, resource: 'b' }),
      ]);
      expect(await node().look('a')).toBeNull();
    });

    test('are told only while somebody watches, and the later end counts', async () => {
      await node().under.watch(30_000);
      expect(await node().ask({ kind: 'watch', forMs: 1000 })).toEqual({ kind: 'watching' });
      await begin();
      node().at(29_999_999);
      await node().join({ ...early, resources: ['c'] });
      node().at(30_000_000);
      await node().join({ ...late, resources: ['c'] });
      const news = await node().under.news();
      expect(news.map(({ leaseRef }) => leaseRef)).toEqual(['early']);
    });

    test('a dead waiter that comes back queues anew', async () => {
      await node().under.watch(60_000);
      await begin();
      await node().join(placeOf('it', 1));
      node().at(livenessMicros);
      await node().join(placeOf('it', 1));
      expect((await node().under.news()).map(({ type }) => type)).toEqual(['queued', 'queued']);
    });
  });
}
