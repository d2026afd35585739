/** Shared mode: readers beside each other, writers beside nobody, and no reader that comes back once it was shut. */
import { describe, expect, test } from 'vitest';
import { fenceAgeMicros } from '../../src/domain/limits.ts';
import { type Attempt, attempt, type Caller, eventOf, holderOf, tokenAt, ttlMicros } from './caller.ts';
import { longestTtlMs, startMicros } from './under-test.ts';

const T = tokenAt();
const mode = 'shared';
const held = { kind: 'held' };
const one = attempt('one', T, 'a');
const two = attempt('two', T + 2n, 'a');
const writer = attempt('writer', T + 9n, 'a');
const marker = { key: 'request', digest: 'same' };

/** One after the other: a reader's token, too, has to pass the fence. */
async function read(node: Caller, ...readers: Attempt[]): Promise<void> {
  for (const reader of readers) expect(await node.hold(reader, { mode })).toEqual(held);
}

export function sharedContract(node: () => Caller): void {
  describe('shared mode', () => {
    test('readers hold beside each other, each raising the fence, and are shown by their values', async () => {
      await read(node(), attempt('b', T, 'a'), attempt('a', T + 1n, 'a'));
      expect(await node().look('a', 9)).toEqual({
        resource: 'a',
        readers: [holderOf(attempt('a', T + 1n, 'a')), holderOf(attempt('b', T, 'a'))],
        fence: { token: T + 1n, state: 'open' },
        history: [eventOf(attempt('a', T + 1n, 'a'), 'held'), eventOf(attempt('b', T, 'a'), 'held')],
      });
    });

    test('b: is dup for a reader that holds everything', async () => {
      await read(node(), one, two);
      expect(await node().hold(one, { mode })).toEqual({ kind: 'dup' });
    });

    test('c: a writer is in conflict with every reader, by their values', async () => {
      await read(node(), two, attempt('one', T + 3n, 'a'));
      const holders = [holderOf(attempt('one', T + 3n, 'a')), holderOf(two)];
      expect(await node().hold(writer)).toEqual({ kind: 'conflict', holders });
    });

    test('c: a reader is in conflict with a writer', async () => {
      await node().hold(writer);
      const answer = await node().hold(attempt('one', T + 10n, 'a'), { mode });
      expect(answer).toEqual({ kind: 'conflict', holders: [holderOf(writer)] });
    });

    test('c: a reader is in conflict with another attempt of its own, and with none else', async () => {
      await read(node(), one, two);
      const answer = await node().hold(attempt('one', T + 3n, 'a'), { mode });
      expect(answer).toEqual({ kind: 'conflict', holders: [holderOf(one)] });
      expect(await node().hold({ ...one, resources: ['a', 'b'] }, { mode })).toEqual(answer);
    });

    test('c: names at most 64 readers of one resource', async () => {
      const readers = Array.from({ length: 66 }, (_, n) =>
        attempt(`r${String(n).padStart(2, '0')}`, T + BigInt(n), 'a'),
      );
      await read(node(), ...readers);
      const holders = readers.slice(0, 64).map((reader) => holderOf(reader));
      expect(await node().hold(attempt('w', T + 99n, 'a'))).toEqual({ kind: 'conflict', holders });
      expect((await node().look('a'))?.readers).toHaveLength(66);
    });

    describeLife(node);
    describeEnd(node);
    describeRepair(node);
    describeShut(node);
  });
}

function describeLife(node: () => Caller): void {
  test('a: replays to a repeat of a reader’s request', async () => {
    await node().hold(one, { mode, marker });
    const holder = holderOf(one, { binding: 1 });
    const answer = await node().hold(two, { mode, marker });
    expect(answer).toEqual({ kind: 'replay', value: one.value, holder });
  });

  test('every reader that is past is forgotten, by its value, and the marker of each is ended', async () => {
    await node().hold(two, { mode, marker });
    await read(node(), attempt('one', T + 3n, 'a'));
    node().at(ttlMicros);
    await node().settle('a');
    const timeMicros = startMicros + ttlMicros;
    expect(await node().look('a', 2)).toEqual({
      resource: 'a',
      fence: { token: T + 3n, state: 'open' },
      history: [two, attempt('one', T + 3n, 'a')].map((of) => eventOf(of, 'expired', { timeMicros })),
    });
    const answer = await node().hold(writer, { marker });
    expect(answer).toEqual({ kind: 'ended', value: two.value, why: 'expired' });
  });

  test('sweep counts each of them', async () => {
    await read(node(), one, two);
    node().at(ttlMicros);
    expect(await node().sweep()).toMatchObject({ expired: 2, dropped: 0 });
  });

  test('renew extends one reader and leaves the other', async () => {
    await read(node(), one, two);
    node().at(1_000_000);
    const answer = await node().renew(two, { progress: 'half' });
    expect(answer).toMatchObject({ kind: 'extended', holder: holderOf(two, { progress: 'half' }) });
    const remainingMs = ttlMicros / 1000 - 1000;
    expect((await node().look('a'))?.readers?.[0]).toEqual(holderOf(one, { remainingMs }));
  });
}

function describeEnd(node: () => Caller): void {
  test('a release below the fence leaves the fence, one at it closes it', async () => {
    await read(node(), one, two);
    expect(await node().release(one)).toEqual({ kind: 'released', matched: true });
    expect(await node().look('a', 1)).toEqual({
      resource: 'a',
      readers: [holderOf(two)],
      fence: { token: T + 2n, state: 'open' },
      history: [eventOf(one, 'released')],
    });
    await node().release(two);
    expect(await node().fence('a')).toEqual({ token: T + 2n, state: 'released' });
    expect(await node().hold(writer)).toEqual(held);
  });

  test('force takes the reader with the lowest value, or the one that is named', async () => {
    await read(node(), one, two, attempt('three', T + 3n, 'a'));
    expect(await node().force('a')).toMatchObject({ kind: 'forced', value: one.value });
    expect(await node().force('a', two.leaseRef)).toMatchObject({ kind: 'forced', value: two.value });
    expect((await node().look('a'))?.readers).toHaveLength(1);
  });
}

function describeRepair(node: () => Caller): void {
  const repair = (of: Attempt) => node().repair(of, { mode });
  const stale = { kind: 'stale', fence: T + 2n };

  test('a reader below a reader’s fence is repaired, and the fence stays', async () => {
    await read(node(), two);
    expect(await repair(one)).toEqual(held);
    expect(await node().look('a', 1)).toEqual({
      resource: 'a',
      readers: [holderOf(one), holderOf(two)],
      fence: { token: T + 2n, state: 'open' },
      history: [eventOf(one, 'renewed')],
    });
  });

  test('a reader above the fence raises it by a repair, as a reader’s', async () => {
    await read(node(), one);
    await repair(two);
    expect(await node().fence('a')).toEqual({ token: T + 2n, state: 'open' });
    expect(await repair(attempt('three', T + 1n, 'a'))).toEqual(held);
  });

  test('a writer below the fence is never repaired', async () => {
    await read(node(), two);
    await node().release(two);
    expect(await node().repair(one)).toEqual({ kind: 'stale', fence: T + 2n });
  });

  test('no reader is repaired at or below what a writer left', async () => {
    const early = attempt('early', T + 1n, 'a');
    await node().hold(early);
    await node().release(early);
    await read(node(), two);
    expect(await repair(one)).toEqual(stale);
    expect(await repair(attempt('equal', T + 1n, 'a'))).toEqual(stale);
  });

  test('no reader is repaired below a fence that a close has raised', async () => {
    await node().undo(two);
    expect(await repair(one)).toEqual(stale);
  });

  test('a reader that closes its own fence leaves the way open to those below it', async () => {
    await read(node(), two);
    await node().release(two);
    expect(await repair(one)).toEqual(held);
  });
}

function describeShut(node: () => Caller): void {
  const repair = (of: Attempt) => node().repair(of, { mode });
  const stale = { kind: 'stale', fence: T + 2n };

  test('a reader that was released below the fence is shut out', async () => {
    await read(node(), one, two);
    await node().release(one);
    expect(await repair(one)).toEqual(stale);
    expect(await repair(attempt('three', T + 1n, 'a'))).toEqual(held);
  });

  test('a reader that was closed below the fence unheard is shut out, too', async () => {
    await read(node(), two);
    await node().undo(one);
    expect(await node().fence('a')).toEqual({ token: T + 2n, state: 'open' });
    expect(await repair(one)).toEqual(stale);
  });

  test('a reader that was released at the fence is shut out once a later one has taken the fence over', async () => {
    await read(node(), one);
    await node().release(one);
    await read(node(), two);
    expect(await repair(one)).toEqual(stale);
  });

  test('a reader that was closed unheard at the fence is shut out, be it its own fence or of another lease', async () => {
    await read(node(), one);
    node().at(ttlMicros);
    await node().undo(one);
    const same = attempt('same', T + 1n, 'a');
    await read(node(), attempt('first', T + 1n, 'a'));
    await node().undo(same);
    await read(node(), two);
    expect(await repair(one)).toEqual(stale);
    expect(await repair(same)).toEqual(stale);
  });

  test('what was shut is forgotten two longest ttls later, when another is shut', async () => {
    const other = attempt('other', T + 1n, 'a');
    await read(node(), one, two);
    await node().release(one);
    node().at(2 * longestTtlMs * 1000 - 1);
    await node().undo(other);
    expect(await repair(one)).toEqual(stale);
    node().at(2 * longestTtlMs * 1000);
    expect(await repair(one)).toEqual(stale);
    await node().undo(other);
    expect(await repair(one)).toEqual(held);
    expect(await repair(other)).toEqual(stale);
  });

  test('no reader is repaired at or below the floor', async () => {
    await node().undo(attempt('old', T + 1n, 'b'));
    await read(node(), attempt('first', T, 'a'), two);
    node().at(fenceAgeMicros + 2);
    await read(node(), attempt('late', tokenAt(fenceAgeMicros), 'a'));
    await node().sweep();
    expect((await node().state()).meta?.floor).toBe(T + 1n);
    expect(await repair(attempt('low', T + 1n, 'a'))).toMatchObject({ kind: 'stale' });
    expect(await repair(attempt('high', T + 2n, 'a'))).toEqual(held);
  });
}
