/** The waiting line: rule w of HOLD, JOIN, LEAVE, WAITS and SETTLE (line.ts). */
import { describe, expect, test } from 'vitest';
import {
  attempt,
  type Caller,
  holderOf,
  lineOf,
  lineOutside,
  livenessMicros,
  placeOf,
  silence,
  tokenAt,
  ttlMicros,
  waiterOf,
} from './caller.ts';

const T = tokenAt();
const held = { kind: 'held' };
const first = attempt('one', T, 'a');
const second = attempt('two', T + 1n, 'a');
const early = placeOf('early', 10);
const late = placeOf('late', 20);

export function lineContract(node: () => Caller): void {
  describe('join', () => {
    test('takes a place, by order and then by id, and does not need a fence', async () => {
      expect(await node().join(late)).toEqual({ kind: 'queued', line: lineOf(late) });
      expect(await node().join(early)).toEqual({ kind: 'queued', line: lineOf(early, { length: 2 }) });
      const between = placeOf('earlz', 10);
      expect(await node().join(between)).toMatchObject({ line: { position: 2, length: 3, free: [] } });
      expect(await node().look('a', 9, 2)).toEqual({
        resource: 'a',
        line: { length: 3, waiters: [waiterOf(early), waiterOf(between)] },
        history: [],
      });
    });

    test('keeps the lower of two orders, with its ticket and priority', async () => {
      await node().join(placeOf('it', 10, { priority: 3 }));
      const worse = placeOf('it', 30, { ticket: 1, priority: 9, owner: 'another' });
      expect(await node().join(worse)).toMatchObject({ line: { ticket: 10, order: 10 } });
      expect(await node().waits('another')).toEqual([
        waiterOf({ ...worse, ticket: 10, order: 10, priority: 3 }),
      ]);
      expect(await node().waits('owner of it')).toEqual([]);
      expect(await node().join(placeOf('it', 5))).toMatchObject({ line: { ticket: 5, order: 5 } });
    });

    test('is crowded where one line has as many entries as it may, unless it stands there already', async () => {
      await node().join(early);
      const both = { resources: ['b', 'a'], most: 1 };
      expect(await node().join(placeOf('it', 1, both))).toEqual({ kind: 'crowded' });
      expect(await node().look('b')).toBeNull();
      expect(await node().join({ ...early, most: 1 })).toMatchObject({ kind: 'queued' });
    });

    test('a place lasts as long as it was last given, to the microsecond', async () => {
      await node().join(early);
      node().at(livenessMicros - 1);
      expect(await node().standing('a')).toEqual(['early']);
      node().at(livenessMicros);
      expect(await node().look('a', 0, 9)).toEqual({ resource: 'a', history: [] });
    });

    test('of several resources it tells the worst place, and which of them are free', async () => {
      await node().hold(attempt('one', T, 'c'));
      await node().join({ ...early, resources: ['b'] });
      await node().join(placeOf('first', 1, { resources: ['b'] }));
      const place = placeOf('it', 15, { resources: ['a', 'b', 'c'], any: 1 });
      const line = lineOf(place, { position: 3, length: 3, free: ['a'], tangled: true });
      expect(await node().join(place)).toEqual({ kind: 'queued', line });
    });

    test('readers are free behind readers, writers behind nobody', async () => {
      await node().hold(first, { mode: 'shared' });
      const reader = placeOf('r0', 1, { mode: 'shared' });
      expect(await node().join(reader)).toMatchObject({ line: { position: 1, free: ['a'] } });
      const next = placeOf('r1', 2, { mode: 'shared' });
      expect(await node().join(next)).toMatchObject({ line: { position: 2, free: ['a'] } });
      expect(await node().join(late)).toMatchObject({ line: { position: 3, free: [] } });
      const last = placeOf('r2', 30, { mode: 'shared' });
      expect(await node().join(last)).toMatchObject({ line: { position: 4, free: [] } });
    });
  });

  describeHold(node);
  describeLeave(node);
  describeGate(node);
}

function describeHold(node: () => Caller): void {
  describe('hold with a line', () => {
    test('w: nobody without a place passes who waits', async () => {
      await node().join(early);
      expect(await node().hold(first)).toEqual({ kind: 'wait', line: lineOutside(1) });
      expect(await node().fence('a')).toBeUndefined();
    });

    test('w: who stands behind waits and keeps its place, who stands ahead holds and gives it up', async () => {
      await node().join(early);
      const line = lineOf(late, { position: 2, length: 2, free: [] });
      expect(await node().hold(second, { place: late })).toEqual({ kind: 'wait', line });
      expect(await node().hold(first, { place: early })).toEqual(held);
      expect(await node().standing('a')).toEqual(['late']);
      expect(await node().waits('owner of early')).toEqual([]);
    });

    test('w: a place that was taken before counts, not the later one of a repeat', async () => {
      await node().join(placeOf('it', 1));
      await node().join(early);
      expect(await node().hold(first, { place: placeOf('it', 30) })).toEqual(held);
    });

    test('w: readers pass readers, and nobody who wants to write', async () => {
      await node().join(placeOf('reader', 5, { mode: 'shared' }));
      expect(await node().hold(first, { mode: 'shared' })).toEqual(held);
      await node().join(early);
      expect(await node().hold(second, { mode: 'shared' })).toMatchObject({ kind: 'wait' });
    });

    test('w comes after all else that refuses', async () => {
      await node().undo(first);
      await node().join(early);
      expect(await node().hold(first)).toMatchObject({ kind: 'stale' });
      expect(await node().hold(attempt('x', tokenAt(1e12), 'a'))).toMatchObject({ kind: 'ahead' });
    });

    test('c: a conflict takes the place and tells it, or is crowded', async () => {
      await node().hold(first);
      const line = lineOf(early, { free: [] });
      const holders = [holderOf(first)];
      expect(await node().hold(second, { place: early })).toEqual({ kind: 'conflict', holders, line });
      expect(await node().hold(second, { place: { ...late, most: 1 } })).toEqual({ kind: 'crowded' });
      expect(await node().hold(second)).toEqual({ kind: 'conflict', holders, line: lineOutside(1) });
      expect(await node().repair(second)).toEqual({ kind: 'conflict', holders });
    });

    describeAfter(node);
  });
}

function describeAfter(node: () => Caller): void {
  test('b: dup leaves the line alone', async () => {
    await node().hold(first);
    await node().join(early);
    expect(await node().hold(first, { place: early })).toEqual({ kind: 'dup' });
    expect(await node().standing('a')).toEqual(['early']);
  });

  test('f: one of several leaves that line, and the waiter stays until it leaves the others', async () => {
    const place = placeOf('it', 1, { resources: ['a', 'b'], any: 1 });
    await node().join(place);
    expect(await node().hold(first, { place })).toEqual(held);
    expect(await node().standing('a')).toEqual([]);
    expect(await node().standing('b')).toEqual(['it']);
    expect(await node().waits('owner of it')).toEqual([waiterOf(place)]);
  });

  test('the line bears neither on repair nor on renew', async () => {
    await node().join(early);
    expect(await node().repair(first)).toEqual(held);
    expect(await node().renew(first)).toMatchObject({ kind: 'extended' });
    expect(await node().standing('a')).toEqual(['early']);
  });
}

function describeLeave(node: () => Caller): void {
  describe('leave', () => {
    test('takes the waiter off every line and tells where it stood and who is in the way', async () => {
      const place = placeOf('it', 20, { resources: ['a', 'b'] });
      await node().hold(first);
      await node().join(early);
      await node().join(place);
      expect(await node().leaveLine(place)).toEqual({
        kind: 'left',
        matched: true,
        line: lineOf(place, { position: 2, length: 2, free: ['b'], tangled: true }),
        holders: [holderOf(first)],
      });
      expect(await node().standing('a')).toEqual(['early']);
      expect(await node().standing('b')).toEqual([]);
      expect(await node().waits('owner of it')).toEqual([]);
    });

    test('finds nobody who never joined or is dead', async () => {
      await node().join(early);
      const left = { kind: 'left', matched: false, holders: [] };
      expect(await node().leaveLine(late)).toEqual({ ...left, line: lineOutside(1) });
      node().at(livenessMicros);
      expect(await node().leaveLine(early)).toEqual({ ...left, line: lineOutside(0) });
    });

    test('names only holders that conflict', async () => {
      await node().hold(first, { mode: 'shared' });
      expect(await node().leaveLine(late)).toMatchObject({ holders: [holderOf(first)] });
      expect(await node().leaveLine(late, { mode: 'shared' })).toMatchObject({ holders: [] });
    });

    test('waits names all live waiters of one owner, by order', async () => {
      const [one, two] = [
        placeOf('one', 2, { owner: 'ö"' }),
        placeOf('two', 1, { owner: 'ö"', resources: ['b'] }),
      ];
      await node().join(one);
      await node().join(two);
      await node().join(early);
      expect(await node().waits('ö"')).toEqual([waiterOf(two), waiterOf(one)]);
      node().at(livenessMicros);
      expect(await node().waits('ö"')).toEqual([]);
    });

    test('settle forgets who is past, and no more', async () => {
      await node().hold(first);
      node().at(ttlMicros);
      expect(await node().settle('a', 'b')).toEqual({ kind: 'settled' });
      expect((await node().history('a'))[0]?.type).toBe('expired');
      expect(await node().look('b')).toBeNull();
    });
  });
}

function describeGate(node: () => Caller): void {
  const asks = {
    join: { kind: 'join', place: late },
    leave: { kind: 'leave', id: 'early', replica: early.replica, mode: 'exclusive', resources: ['a'] },
    waits: { kind: 'waits', owner: 'owner of early' },
    settle: { kind: 'settle', resources: ['a'] },
    watch: { kind: 'watch', forMs: 0 },
    tell: { kind: 'tell', resources: ['a'], token: T, leaseRef: 'ref', owner: 'owner', reason: '' },
  } as const;
  const kinds = Object.keys(asks) as (keyof typeof asks)[];
  const { runId: _, ...adoption } = { kind: 'adopt', cluster: 'c', runId: '', id: 'q', why: 'test' } as const;

  test.each(kinds)('a node that may have forgotten is silent to %s', async (kind) => {
    await node().admin({ ...adoption, runId: node().runId, longestTtlMs: 1000 });
    expect(await node().ask(asks[kind])).toEqual(silence('amnesia'));
  });

  test.each(kinds)(
    'suspicion of its clock stops a node from join, not from what tidies: %s',
    async (kind) => {
      await node().join(early);
      await node().admin({ kind: 'suspect', runId: node().runId });
      const answer = await node().ask(asks[kind]);
      if (kind === 'join') expect(answer).toEqual(silence('suspect'));
      else expect(answer.kind).not.toBe('silent');
    },
  );
}
