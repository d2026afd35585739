/** HOLD a: what a repeated request id meets, and for how long a node remembers one that ended (node.ts). */
import { describe, expect, test } from 'vitest';
import { requestMemoryMs } from '../../src/domain/limits.ts';
import { attempt, type Caller, holderOf, tokenAt, ttlMicros } from './caller.ts';

const T = tokenAt();
const first = attempt('one', T, 'a');
const again = attempt('two', T + 1n, 'a');
const marker = { key: 'request', digest: 'same' };

export function markerContract(node: () => Caller): void {
  describe('request marker', () => {
    describeRepeats(node);
    describeEnded(node);
  });
}

function describeRepeats(node: () => Caller): void {
  test('a: replays the holder of a known request under a newer binding', async () => {
    await node().hold(first, { marker });
    const replay = { kind: 'replay', value: first.value };
    expect(await node().hold(again, { marker })).toEqual({
      ...replay,
      holder: holderOf(first, { binding: 1 }),
    });
    expect(await node().hold(again, { marker })).toEqual({
      ...replay,
      holder: holderOf(first, { binding: 2 }),
    });
    expect((await node().look('a'))?.holder?.binding).toBe(2);
  });

  test('a: is a mismatch when the request is known with another digest, be it live or ended', async () => {
    const other = { key: marker.key, digest: 'other' };
    await node().hold(first, { marker });
    expect(await node().hold(again, { marker: other })).toEqual({ kind: 'mismatch' });
    await node().release(first);
    expect(await node().hold(again, { marker: other })).toEqual({ kind: 'mismatch' });
  });

  test('a: goes before b and c, but not for another request or for none', async () => {
    await node().hold(first, { marker });
    expect((await node().hold(again)).kind).toBe('conflict');
    expect((await node().hold(again, { marker: { ...marker, key: 'other' } })).kind).toBe('conflict');
  });

  test('a: goes on when the known value is an earlier attempt of the same secret', async () => {
    await node().hold(first, { marker });
    const retry = attempt('one', T + 1n, 'a');
    expect(await node().hold(retry, { marker })).toEqual({ kind: 'conflict', holders: [holderOf(first)] });
    await node().undo(first);
    expect(await node().hold(retry, { marker })).toEqual({ kind: 'held' });
  });

  test('a: does not stand against its own value', async () => {
    await node().hold(first, { marker });
    expect(await node().hold(first, { marker })).toEqual({ kind: 'dup' });
    await node().release(first);
    expect(await node().hold(first, { marker })).toEqual({ kind: 'stale', fence: T });
  });
}

function describeEnded(node: () => Caller): void {
  test.each(['released', 'forced'] as const)('a: a request whose lease was %s has ended', async (why) => {
    await node().hold(first, { marker });
    await node().release(first, { why });
    expect(await node().hold(again, { marker })).toEqual({ kind: 'ended', value: first.value, why });
  });

  test('a: a request whose lease expired has ended, to the microsecond', async () => {
    await node().hold(first, { marker });
    node().at(ttlMicros - 1);
    expect((await node().hold(again, { marker })).kind).toBe('replay');
    node().at(ttlMicros);
    expect(await node().hold(again, { marker })).toEqual({
      kind: 'ended',
      value: first.value,
      why: 'expired',
    });
  });

  test('a: a live request whose value nobody holds has ended, nobody knows why', async () => {
    await node().hold(first, { marker });
    const elsewhere = await node().hold(attempt('two', T + 1n, 'b'), { marker });
    expect(elsewhere).toEqual({ kind: 'ended', value: first.value, why: 'unknown' });
  });

  test('a: an undone request is forgotten', async () => {
    await node().hold(first, { marker });
    await node().undo(first);
    expect(await node().hold(again, { marker })).toEqual({ kind: 'held' });
  });

  test('a: an ended request is remembered for ten minutes, to the microsecond', async () => {
    await node().hold(first, { marker });
    await node().release(first);
    node().at(requestMemoryMs * 1000 - 1);
    expect((await node().hold(again, { marker })).kind).toBe('ended');
    node().at(requestMemoryMs * 1000);
    expect(await node().hold(again, { marker })).toEqual({ kind: 'held' });
  });

  test('a: asks in the order digest, ended, held', async () => {
    const gang = attempt('one', T, 'a', 'b');
    await node().hold(gang, { marker });
    await node().release({ ...gang, resources: ['a'] });
    const answer = await node().hold(attempt('two', T + 1n, 'a', 'b'), { marker });
    expect(answer).toEqual({ kind: 'ended', value: gang.value, why: 'released' });
  });

  test('a repair writes a marker anew once the time of an ended one is over', async () => {
    await node().hold(first, { marker });
    await node().release(first);
    node().at(requestMemoryMs * 1000);
    const third = attempt('three', T + 2n, 'a');
    expect(await node().repair(third, { marker })).toEqual({ kind: 'held' });
    const answer = await node().hold(attempt('four', T + 3n, 'a'), { marker });
    expect(answer).toMatchObject({ kind: 'replay', value: third.value });
  });

  test('a marker whose time is over does not end a second time', async () => {
    const gang = attempt('one', T, 'a', 'b');
    await node().hold(gang, { marker });
    await node().release({ ...gang, resources: ['a'] });
    node().at(requestMemoryMs * 1000);
    expect(await node().renew({ ...gang, resources: ['b'] })).toEqual({ kind: 'missing', why: 'expired' });
    expect(await node().hold(again, { marker })).toEqual({ kind: 'held' });
  });
}
