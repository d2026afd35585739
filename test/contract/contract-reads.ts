/** LOOK, LIST, SWEEP and PING: reads change nothing, and a sweep leaves a floor where it drops a fence (node.ts). */
import { describe, expect, test } from 'vitest';
import { fenceAgeMicros } from '../../src/domain/limits.ts';
import { attempt, type Caller, eventOf, holderOf, tokenAt, ttlMicros } from './caller.ts';
import { startMicros } from './under-test.ts';

const T = tokenAt();
const first = attempt('one', T, 'a');

export function readContract(node: () => Caller): void {
  describe('look', () => {
    test('knows nothing of a name that nobody ever held', async () => {
      expect(await node().look('a', 9)).toBeNull();
    });

    test('leaves an expired holder out and changes nothing', async () => {
      await node().hold(first);
      node().at(ttlMicros);
      const view = { resource: 'a', fence: { token: T, state: 'open' }, history: [eventOf(first, 'held')] };
      expect(await node().look('a', 9)).toEqual(view);
      node().at(ttlMicros - 1);
      expect((await node().look('a'))?.holder).toEqual(holderOf(first, { remainingMs: 0 }));
    });

    test('shows as many events as asked, newest first', async () => {
      await node().hold(first);
      await node().release(first);
      const both = [eventOf(first, 'released'), eventOf(first, 'held')];
      expect(await node().history('a', 0)).toEqual([]);
      expect(await node().history('a', 1)).toEqual(both.slice(0, 1));
      expect(await node().history('a', 3)).toEqual(both);
    });
  });

  describe('list', () => {
    const list = (prefix: string, after: string, limit: number) =>
      node().ask({ kind: 'list', prefix, after, limit });
    const bare = (resource: string) => ({ resource, fence: { token: T, state: 'undone' }, history: [] });

    test('pages through the names in byte order and says whether more follow', async () => {
      for (const name of ['b', 'a/c', 'B', 'a', '0']) await node().undo(attempt('x', T, name));
      expect(await list('', '', 2)).toEqual({ kind: 'listed', views: [bare('0'), bare('B')], more: true });
      expect(await list('', 'B', 2)).toEqual({ kind: 'listed', views: [bare('a'), bare('a/c')], more: true });
      expect(await list('', 'a/c', 2)).toEqual({ kind: 'listed', views: [bare('b')], more: false });
      expect(await list('', 'a/b', 1)).toEqual({ kind: 'listed', views: [bare('a/c')], more: true });
      expect(await list('', 'b', 1)).toEqual({ kind: 'listed', views: [], more: false });
    });

    test('keeps to the prefix, wherever it begins', async () => {
      for (const name of ['gpu/0', 'gpu/1', 'gpu', 'gpv', 'cpu/0']) await node().undo(attempt('x', T, name));
      const pair = [bare('gpu/0'), bare('gpu/1')];
      expect(await list('gpu/', '', 2)).toEqual({ kind: 'listed', views: pair, more: false });
      expect(await list('gpu/', 'a', 9)).toEqual({ kind: 'listed', views: pair, more: false });
      expect(await list('gpu/', 'gpu/0', 9)).toEqual({ kind: 'listed', views: pair.slice(1), more: false });
      expect(await list('gpu/', 'z', 9)).toEqual({ kind: 'listed', views: [], more: false });
    });

    test('shows holders, and no history', async () => {
      await node().hold(first);
      const view = {
        resource: 'a',
        holder: holderOf(first),
        fence: { token: T, state: 'open' },
        history: [],
      };
      expect(await list('', '', 9)).toEqual({ kind: 'listed', views: [view], more: false });
    });
  });

  describeSweep(node);

  test('ping answers with the time of the node', async () => {
    node().at(17);
    expect(await node().ask({ kind: 'ping' })).toEqual({ kind: 'pong', nowMicros: startMicros + 17 });
  });
}

function describeSweep(node: () => Caller): void {
  describe('sweep', () => {
    const nothing = { kind: 'swept', next: '', expired: 0, dropped: 0 };

    test('drops a fence only once it is older than its age, to the microsecond, and raises the floor', async () => {
      await node().undo(first);
      node().at(fenceAgeMicros);
      expect(await node().sweep()).toEqual(nothing);
      node().at(fenceAgeMicros + 1);
      expect(await node().sweep()).toEqual({ ...nothing, dropped: 1 });
      expect(await node().look('a')).toBeNull();
      expect((await node().state()).meta?.floor).toBe(T);
      expect(await node().hold(first)).toEqual({ kind: 'stale', fence: T });
    });

    test('never lowers the floor', async () => {
      await node().undo(attempt('x', T + 1n, 'a'));
      await node().undo(attempt('x', T, 'b'));
      node().at(fenceAgeMicros + 2);
      expect(await node().sweep()).toEqual({ ...nothing, dropped: 2 });
      expect((await node().state()).meta?.floor).toBe(T + 1n);
    });

    test('forgets who expired, once, and keeps who is alive however old the fence', async () => {
      await node().hold(first);
      const old = attempt('two', tokenAt(-fenceAgeMicros - 1_000_000), 'b');
      await node().hold(old, { ttlMs: 60_000 });
      node().at(ttlMicros);
      expect(await node().sweep()).toEqual({ ...nothing, expired: 1 });
      expect(await node().sweep()).toEqual(nothing);
      expect((await node().history('a'))[0]?.type).toBe('expired');
      node().at(60_000_000);
      expect(await node().sweep()).toEqual({ ...nothing, expired: 1, dropped: 1 });
    });

    test('takes so many names after the one it was left at', async () => {
      for (const name of ['a', 'b', 'c']) await node().hold(attempt(name, T, name));
      node().at(ttlMicros);
      const sweep = (after: string, limit: number) => node().ask({ kind: 'sweep', after, limit });
      expect(await sweep('', 2)).toEqual({ kind: 'swept', next: 'b', expired: 2, dropped: 0 });
      expect(await sweep('b', 2)).toEqual({ ...nothing, expired: 1 });
      expect(await sweep('c', 2)).toEqual(nothing);
    });

    test('leaves the names that it dropped out of the list', async () => {
      await node().undo(first);
      await node().undo(attempt('x', T + 9n, 'b'));
      node().at(fenceAgeMicros + 1);
      await node().sweep();
      const listed = await node().ask({ kind: 'list', prefix: '', after: '', limit: 9 });
      expect(listed).toMatchObject({ views: [{ resource: 'b' }], more: false });
    });
  });
}
