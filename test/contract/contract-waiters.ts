/** What becomes of waiters: step 3 takes the dead off a line, and a wait that may be part of a cycle says so (line.ts). */
import { describe, expect, test } from 'vitest';
import { attempt, type Caller, lineOf, placeOf, tokenAt, waiterOf } from './caller.ts';

const held = { kind: 'held' };
const first = attempt('one', tokenAt(), 'a');
const second = attempt('two', tokenAt(1), 'a');
const early = placeOf('early', 10);
const late = placeOf('late', 20);

export function waiterContract(node: () => Caller): void {
  describeDead(node);
  describeSetBack(node);
  describeTangled(node);
}

function describeDead(node: () => Caller): void {
  describe('a dead waiter', () => {
    const short = placeOf('short', 1, { livenessMs: 1000 });

    test('goes when it comes to the front, and is passed over before', async () => {
      await node().join({ ...early, livenessMs: 60_000 });
      await node().join(placeOf('short', 15, { livenessMs: 1000 }));
      await node().join({ ...late, livenessMs: 60_000 });
      node().at(1_000_000);
      expect(await node().hold(second, { place: late })).toMatchObject({ line: { position: 3, length: 3 } });
      expect((await node().look('a', 0, 3))?.line).toMatchObject({ length: 2 });
      expect((await node().look('a', 0, 1))?.line).toMatchObject({ length: 3 });
      await node().hold(first, { place: early });
      await node().settle('a');
      expect((await node().look('a'))?.line).toMatchObject({ length: 1 });
    });

    test('is in nobody’s way', async () => {
      await node().join(short);
      node().at(1_000_000);
      expect((await node().look('a'))?.line).toMatchObject({ length: 1 });
      expect(await node().hold(first)).toEqual(held);
      expect((await node().look('a'))?.line).toBeUndefined();
    });

    test('begins anew when it comes back', async () => {
      await node().join({ ...early, livenessMs: 60_000 });
      await node().join(placeOf('short', 15, { livenessMs: 1000 }));
      node().at(1_000_000);
      const again = placeOf('short', 40);
      const line = lineOf(again, { position: 2, length: 2, free: [] });
      expect(await node().join({ ...again, most: 2 })).toEqual({ kind: 'crowded' });
      expect(await node().join(again)).toEqual({ kind: 'queued', line });
    });

    test('is forgotten for good, even if the clock is set back', async () => {
      await node().join(short);
      node().at(1_000_000);
      await node().settle('a');
      node().at(0);
      expect(await node().waits('owner of short')).toEqual([]);
    });

    test('keeps no record: a sweep drops one that only ever had a line, and raises no floor', async () => {
      await node().join(short);
      expect(await node().sweep()).toMatchObject({ dropped: 0 });
      node().at(1_000_000);
      expect(await node().sweep()).toMatchObject({ dropped: 1 });
      expect(await node().look('a')).toBeNull();
      expect((await node().state()).meta?.floor).toBe(0n);
    });

    test('a record without a fence is listed, and brings no fence to a takeover', async () => {
      await node().join(early);
      const view = { resource: 'a', line: { length: 1, waiters: [] }, history: [] };
      expect(await node().ask({ kind: 'list', prefix: '', after: '', limit: 9 })).toMatchObject({
        views: [view],
      });
      const fences = await node().admin({ kind: 'fences', runId: node().runId, after: '', limit: 9 });
      expect(fences).toMatchObject({ kind: 'fences', entries: [] });
    });
  });
}

function describeSetBack(node: () => Caller): void {
  describe('a waiter whose place was taken before the clock was set back', () => {
    const HOUR = 3_600_000_000;

    test('is dead: in nobody’s way, and none that its owner waits by', async () => {
      await node().join(early);
      node().at(-1);
      expect(await node().waits('owner of early')).toEqual([]);
      expect((await node().look('a'))?.line).toMatchObject({ length: 1 });
      expect(await node().hold(first)).toEqual(held);
      node().at(0);
      expect((await node().look('a'))?.line).toBeUndefined();
      expect(await node().waits('owner of early')).toEqual([]);
    });

    test('is live if its place can last that long', async () => {
      node().at(-1);
      await node().join(early);
      node().at(0);
      await node().join(late);
      node().at(-1);
      expect(await node().waits('owner of early')).toEqual([waiterOf(early)]);
      expect(await node().waits('owner of late')).toEqual([]);
      expect(await node().hold(first)).toMatchObject({ kind: 'wait' });
    });

    test('keeps its order when it takes its place anew', async () => {
      await node().join(early);
      await node().join(late);
      node().at(-HOUR);
      expect(await node().join(late)).toMatchObject({ line: { position: 1, length: 1, free: ['a'] } });
      expect(await node().join(early)).toMatchObject({ line: { position: 1, length: 2, free: ['a'] } });
      expect(await node().join(late)).toMatchObject({ line: { position: 2, length: 2, free: [] } });
    });

    test('delays nobody, however many such stand ahead', async () => {
      for (const order of [1, 2, 3]) await node().join(placeOf(`dead${order}`, order));
      node().at(-HOUR);
      expect(await node().join(late)).toMatchObject({ line: { position: 1, length: 1, free: ['a'] } });
    });
  });
}

function describeTangled(node: () => Caller): void {
  describe('tangled', () => {
    const tangled = async (changes = {}) => {
      const answer = await node().join(placeOf('it', 50, changes));
      return answer.kind === 'queued' && answer.line.tangled;
    };

    test('is a wait for an owner that waits itself, for as long as that does', async () => {
      await node().hold(first);
      expect(await tangled()).toBe(false);
      await node().join(placeOf('w', 1, { owner: 'owner of one', resources: ['b'], livenessMs: 1000 }));
      expect(await tangled()).toBe(true);
      node().at(1_000_000);
      expect(await tangled()).toBe(false);
    });

    test('is a wait for oneself, unless both read', async () => {
      await node().hold(first, { mode: 'shared' });
      expect(await tangled({ owner: 'owner of one' })).toBe(true);
      expect(await tangled({ owner: 'owner of one', mode: 'shared' })).toBe(false);
    });

    test('is a line that somebody of several lines has joined, until it is empty', async () => {
      const both = placeOf('both', 1, { resources: ['a', 'b'] });
      await node().join(both);
      await node().leaveLine(both);
      expect(await tangled()).toBe(false);
      await node().join(both);
      await node().leaveLine(both);
      expect(await tangled()).toBe(true);
      await node().leaveLine(placeOf('it', 50));
      expect(await tangled()).toBe(false);
    });
  });
}
