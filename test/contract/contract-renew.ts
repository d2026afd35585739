/** RENEW, REPAIR and step 2: what a heartbeat may and may not do, and when a holder is forgotten (node.ts). */
import { describe, expect, test } from 'vitest';
import { attempt, type Caller, eventOf, holderOf, placeOf, tokenAt, ttlMicros, ttlMs } from './caller.ts';
import { longestTtlMs, startMicros } from './under-test.ts';

const T = tokenAt();
const first = attempt('one', T, 'a');
const marker = { key: 'request', digest: 'same' };
const plain = { markerKey: '', markerDigest: '', waited: false };

export function renewContract(node: () => Caller): void {
  describe('renew', () => {
    test('extends every resource from now and answers with the first holder', async () => {
      const both = attempt('one', T, 'a', 'b');
      await node().hold(both);
      node().at(10_000_000);
      expect(await node().renew(both)).toEqual({ kind: 'extended', holder: holderOf(both), ...plain });
      expect((await node().look('b'))?.holder?.remainingMs).toBe(ttlMs);
    });

    test('never shortens', async () => {
      await node().hold(first);
      const answer = await node().renew(first, { ttlMs: 1000 });
      expect(answer).toEqual({ kind: 'extended', holder: holderOf(first), ...plain });
    });

    test('replaces the progress only when it is given', async () => {
      await node().hold(first);
      await node().renew(first, { progress: 'half' });
      const answer = await node().renew(first);
      expect(answer).toMatchObject({ kind: 'extended', holder: { progress: 'half' } });
    });

    test('answers with marker key and digest, for the repair', async () => {
      await node().hold(first, { marker });
      const answer = await node().renew(first);
      expect(answer).toMatchObject({ markerKey: marker.key, markerDigest: marker.digest });
    });

    test.each(['a', 'b'])('says that somebody stands in the line of %s, be it dead by now', async (name) => {
      const both = attempt('one', T, 'a', 'b');
      await node().hold(both);
      await node().join(placeOf('w', 1, { resources: [name], livenessMs: 2000 }));
      expect(await node().renew(both)).toMatchObject({ kind: 'extended', waited: true });
      await node().join(placeOf('dying', 2, { resources: [name], livenessMs: 1000 }));
      await node().leaveLine(placeOf('w', 1, { resources: [name] }));
      node().at(999_999);
      expect(await node().renew(both)).toMatchObject({ waited: true });
      // At the front, so step 3 takes it off first.
      node().at(1_000_000);
      expect(await node().renew(both)).toMatchObject({ waited: false });
    });

    test('leaves one event for many renewals, with the time of the last', async () => {
      await node().hold(first);
      for (const micros of [1, 2, 3]) {
        node().at(micros);
        await node().renew(first);
      }
      const renewed = eventOf(first, 'renewed', { timeMicros: startMicros + 3 });
      expect(await node().history('a')).toEqual([renewed, eventOf(first, 'held')]);
    });

    describeMissing(node);
  });

  describeRepair(node);
  describeExpiry(node);
}

function describeMissing(node: () => Caller): void {
  test('is no acquire: without a holder it changes nothing', async () => {
    expect(await node().renew(first)).toEqual({ kind: 'missing', why: 'unknown' });
    expect(await node().look('a')).toBeNull();
  });

  test('is missing, and extends nothing, when one resource is not held by exactly this value', async () => {
    await node().hold(first);
    node().at(1_000_000);
    const more = { ...first, resources: ['a', 'b'] };
    expect(await node().renew(more)).toEqual({ kind: 'missing', why: 'unknown' });
    expect(await node().renew(attempt('one', T + 1n, 'a'))).toEqual({ kind: 'missing', why: 'unknown' });
    expect((await node().look('a'))?.holder?.remainingMs).toBe(ttlMs - 1000);
  });

  test.each([
    ['released', 'released'],
    ['forced', 'forced'],
    ['undone', 'released'],
  ] as const)('tells of a lease that was %s that it was %s', async (why, told) => {
    await node().hold(first);
    await node().release(first, { why });
    expect(await node().renew(first)).toEqual({ kind: 'missing', why: told });
  });

  test('tells of its own lease, not of a later one', async () => {
    await node().hold(first);
    node().at(ttlMicros);
    const later = attempt('two', T + 1n, 'a');
    await node().hold(later);
    await node().release(later);
    expect(await node().renew(first)).toEqual({ kind: 'missing', why: 'expired' });
  });

  test('does not know why once the history has forgotten', async () => {
    await node().hold(first);
    await node().release(first);
    for (let n = 1n; n <= 32n; n++) {
      const other = attempt('two', T + n, 'a');
      await Promise.all([node().hold(other), node().release(other)]);
    }
    expect(await node().renew(first)).toEqual({ kind: 'missing', why: 'unknown' });
  });
}

function describeRepair(node: () => Caller): void {
  describe('repair', () => {
    test('holds with the binding, progress and marker it brings, and records a renewal', async () => {
      const repaired = await node().repair(first, { binding: 3, progress: 'half', marker });
      expect(repaired).toEqual({ kind: 'held' });
      expect(await node().look('a', 9)).toEqual({
        resource: 'a',
        holder: holderOf(first, { binding: 3, progress: 'half' }),
        fence: { token: T, state: 'open' },
        history: [eventOf(first, 'renewed')],
      });
      const answer = await node().hold(attempt('two', T + 1n, 'a'), { marker });
      expect(answer).toMatchObject({ kind: 'replay', value: first.value, holder: { binding: 4 } });
    });

    test('b: is dup where this value holds already', async () => {
      await node().hold(first);
      expect(await node().repair(first)).toEqual({ kind: 'dup' });
    });

    test('c: is a conflict where somebody else holds, or another attempt of the same lease', async () => {
      await node().hold(first);
      const conflict = { kind: 'conflict', holders: [holderOf(first)] };
      expect(await node().repair(attempt('two', T + 1n, 'a'))).toEqual(conflict);
      expect(await node().repair(attempt('one', T + 1n, 'a'))).toEqual(conflict);
    });

    test('d: is stale at a closed fence, a higher one, and one that another secret opened', async () => {
      await node().undo(first);
      expect(await node().repair(first)).toEqual({ kind: 'stale', fence: T });
      expect(await node().repair(attempt('one', T - 1n, 'a'))).toEqual({ kind: 'stale', fence: T });
      await node().hold(attempt('two', T, 'b'));
      node().at(ttlMicros);
      expect(await node().repair(attempt('one', T, 'b'))).toEqual({ kind: 'stale', fence: T });
      expect(await node().repair(attempt('two', T, 'b'))).toEqual({ kind: 'held' });
    });

    test('not a: a marker that is known stays as it is, live or ended', async () => {
      await node().hold(first, { marker });
      const second = attempt('two', T + 1n, 'b');
      expect(await node().repair(second, { marker })).toEqual({ kind: 'held' });
      const known = await node().hold(attempt('three', T + 2n, 'a'), { marker });
      expect(known).toMatchObject({ kind: 'replay', value: first.value });
    });

    test('not e: a token far ahead of the clock is repaired, for a majority admitted it', async () => {
      expect(await node().repair(attempt('one', tokenAt(60_000_000), 'a'))).toEqual({ kind: 'held' });
    });
  });
}

function describeExpiry(node: () => Caller): void {
  describe('expiry', () => {
    test('a holder counts until one microsecond before its expiry, and not at it', async () => {
      await node().hold(first);
      const second = attempt('two', T + 1n, 'a');
      node().at(ttlMicros - 1);
      expect(await node().hold(second)).toEqual({
        kind: 'conflict',
        holders: [holderOf(first, { remainingMs: 0 })],
      });
      node().at(ttlMicros);
      expect(await node().hold(second)).toEqual({ kind: 'held' });
    });

    test('a holder cannot be renewed at its expiry', async () => {
      await node().hold(first);
      node().at(ttlMicros - 1);
      expect((await node().renew(first, { ttlMs: 1 })).kind).toBe('extended');
      node().at(ttlMicros - 1 + 1000);
      expect(await node().renew(first)).toEqual({ kind: 'missing', why: 'expired' });
    });

    test('an expired holder leaves its event and its fence as it was', async () => {
      await node().hold(first);
      node().at(ttlMicros);
      await node().renew(attempt('two', T, 'a'));
      expect(await node().look('a', 9)).toEqual({
        resource: 'a',
        fence: { token: T, state: 'open' },
        history: [eventOf(first, 'expired', { timeMicros: startMicros + ttlMicros }), eventOf(first, 'held')],
      });
    });

    test('what expired stays forgotten when the clock is set back', async () => {
      await node().hold(first);
      node().at(ttlMicros);
      expect((await node().hold(attempt('two', T - 1n, 'a'))).kind).toBe('stale');
      node().at(0);
      expect((await node().look('a'))?.holder).toBeUndefined();
    });

    test('an expiry further away than the longest ttl is cut to that', async () => {
      await node().hold(first, { ttlMs: longestTtlMs });
      node().at(-20_000_000);
      expect((await node().look('a'))?.holder?.remainingMs).toBe(longestTtlMs);
      expect((await node().hold(attempt('two', T - 1n, 'a'))).kind).toBe('conflict');
      node().at(longestTtlMs * 1000 - 20_000_000);
      expect((await node().look('a'))?.holder).toBeUndefined();
    });

    test('remaining time is rounded down', async () => {
      await node().hold(first);
      node().at(1);
      expect((await node().look('a'))?.holder?.remainingMs).toBe(ttlMs - 1);
    });
  });
}
