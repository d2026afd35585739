/** RELEASE, undo and FORCE: only the exact value lets go, and what is closed stays closed (node.ts). */
import { describe, expect, test } from 'vitest';
import { tokenLeadMicros as lead, tokenSlackMicros as slack } from '../../src/domain/limits.ts';
import { attempt, type Caller, eventOf, holderOf, tokenAt, ttlMicros } from './caller.ts';

const T = tokenAt();
const first = attempt('one', T, 'a');
const marker = { key: 'request', digest: 'same' };
const matched = { kind: 'released', matched: true };
const unmatched = { kind: 'released', matched: false };

export function releaseContract(node: () => Caller): void {
  describe('release', () => {
    test.each(['released', 'forced', 'undone'] as const)(
      'lets go as %s: the fence closes, the event says why',
      async (why) => {
        await node().hold(first);
        expect(await node().release(first, { why, reason: 'done' })).toEqual(matched);
        expect(await node().look('a', 9)).toEqual({
          resource: 'a',
          fence: { token: T, state: why },
          history: [eventOf(first, why, { reason: 'done' }), eventOf(first, 'held')],
        });
      },
    );

    test('matches only the exact value, not another attempt of the same lease', async () => {
      await node().hold(first);
      expect(await node().release(attempt('one', T + 1n, 'a'))).toEqual(unmatched);
      expect(await node().release(attempt('two', T, 'a'))).toEqual(unmatched);
      expect((await node().look('a'))?.holder).toEqual(holderOf(first));
    });

    test('matches no value that is only part of it, or that it is only part of', async () => {
      await node().hold(first);
      for (const value of [first.value.slice(0, -1), first.value.slice(1), `${first.value}0`, '']) {
        expect(await node().release({ ...first, value }), value).toEqual(unmatched);
      }
      expect((await node().look('a'))?.holder).toEqual(holderOf(first));
    });

    test('matches when any resource does', async () => {
      await node().hold(first);
      expect(await node().release({ ...first, resources: ['b', 'a'] })).toEqual(matched);
      expect(await node().look('b')).toBeNull();
    });

    test('matches nothing at the expiry', async () => {
      await node().hold(first);
      node().at(ttlMicros);
      expect(await node().release(first)).toEqual(unmatched);
      expect(await node().fence('a')).toEqual({ token: T, state: 'open' });
    });

    test('without closing writes nothing where nothing matched', async () => {
      expect(await node().release(first)).toEqual(unmatched);
      expect(await node().look('a')).toBeNull();
    });

    describeBinding(node);
  });

  describeClosing(node);
  describeUndo(node);
  describeForce(node);
}

function describeBinding(node: () => Caller): void {
  test('does nothing under an older binding, closing or not', async () => {
    await node().repair(first, { binding: 2 });
    expect(await node().release(first, { binding: 1 })).toEqual(unmatched);
    expect(await node().undo(first, { binding: 1 })).toEqual(unmatched);
    expect(await node().look('a')).toEqual({
      resource: 'a',
      holder: holderOf(first, { binding: 2 }),
      fence: { token: T, state: 'open' },
      history: [],
    });
  });

  test.each([2, 3, undefined])('lets go of binding 2 when it names %s', async (binding) => {
    await node().repair(first, { binding: 2 });
    expect(await node().release(first, binding === undefined ? {} : { binding })).toEqual(matched);
  });
}

function describeClosing(node: () => Caller): void {
  describe('closing', () => {
    test('closes where nothing was known, so that the late hold is stale', async () => {
      expect(await node().undo(first)).toEqual(unmatched);
      expect(await node().hold(first)).toEqual({ kind: 'stale', fence: T });
    });

    test('raises a lower fence, and leaves no event', async () => {
      await node().undo(attempt('x', T - 5n, 'a'));
      await node().undo(first, { why: 'released' });
      expect(await node().look('a', 9)).toEqual({
        resource: 'a',
        fence: { token: T, state: 'released' },
        history: [],
      });
    });

    test('leaves a higher fence', async () => {
      await node().undo(attempt('x', T + 1n, 'a'));
      await node().release(first, { closing: true });
      expect(await node().fence('a')).toEqual({ token: T + 1n, state: 'undone' });
    });

    test('closes an open fence of its own, and leaves one that another secret opened', async () => {
      await node().hold(first);
      node().at(ttlMicros);
      await node().undo(attempt('two', T, 'a'));
      expect(await node().fence('a')).toEqual({ token: T, state: 'open' });
      await node().undo(first);
      expect(await node().fence('a')).toEqual({ token: T, state: 'undone' });
    });

    test('does not change why a fence was closed', async () => {
      await node().undo(first);
      await node().release(first, { closing: true });
      expect(await node().fence('a')).toEqual({ token: T, state: 'undone' });
    });

    test('raises the fence under a live holder of a lower token, and lets it hold', async () => {
      await node().hold(first);
      const later = attempt('two', T + 1n, 'a');
      expect(await node().undo(later)).toEqual(unmatched);
      expect((await node().look('a'))?.holder).toEqual(holderOf(first));
      expect(await node().release(first)).toEqual(matched);
      expect(await node().fence('a')).toEqual({ token: T + 1n, state: 'undone' });
    });

    describeBounds(node);
  });
}

function describeBounds(node: () => Caller): void {
  test('writes a fence only above the floor', async () => {
    await node().undo(first);
    node().at(86_400_000_000 + 1);
    await node().sweep();
    await node().undo(attempt('x', T, 'b'));
    expect(await node().look('b')).toBeNull();
    await node().undo(attempt('x', T + 1n, 'b'));
    expect(await node().fence('b')).toEqual({ token: T + 1n, state: 'undone' });
  });

  test('raises no fence beyond what a hold could bring in: lead, slack over the fence, slack over seen', async () => {
    await node().undo(attempt('x', tokenAt(lead + 1), 'a'));
    expect(await node().look('a')).toBeNull();
    await node().undo(attempt('x', tokenAt(lead), 'a'));
    expect(await node().fence('a')).toEqual({ token: tokenAt(lead), state: 'undone' });
    await node().undo(attempt('x', tokenAt(lead + slack + 1), 'a'));
    expect(await node().fence('a')).toEqual({ token: tokenAt(lead), state: 'undone' });
    await node().undo(attempt('x', tokenAt(lead + slack), 'a'));
    expect(await node().fence('a')).toEqual({ token: tokenAt(lead + slack), state: 'undone' });
    const seen = tokenAt(9_000_000);
    await node().undo(attempt('x', seen + BigInt(slack) + 1n, 'b'), { seen });
    expect(await node().look('b')).toBeNull();
    await node().undo(attempt('x', seen + BigInt(slack), 'b'), { seen });
    expect(await node().fence('b')).toEqual({ token: seen + BigInt(slack), state: 'undone' });
  });
}

function describeUndo(node: () => Caller): void {
  describe('undo', () => {
    const again = attempt('two', T + 1n, 'a');
    const markerKey = marker.key;

    test('forgets the request of a value that nobody holds here', async () => {
      await node().hold(first, { marker });
      await node().undo({ ...first, resources: ['b'] }, { markerKey });
      expect((await node().hold(again, { marker })).kind).toBe('conflict');
    });

    test('leaves a request that holds another value', async () => {
      await node().hold(first, { marker });
      await node().undo(again, { markerKey });
      expect((await node().hold(again, { marker })).kind).toBe('replay');
    });

    test('leaves the request of a lease that was resumed under a newer binding', async () => {
      await node().repair(first, { binding: 1, marker });
      await node().undo(first, { markerKey, binding: 0 });
      expect((await node().hold(again, { marker })).kind).toBe('replay');
    });

    test('is what forgets a request: a release that names its key ends it', async () => {
      await node().hold(first, { marker });
      await node().release(first, { markerKey });
      const answer = await node().hold(again, { marker });
      expect(answer).toEqual({ kind: 'ended', value: first.value, why: 'released' });
    });
  });
}

function describeForce(node: () => Caller): void {
  describe('force', () => {
    const gang = attempt('one', T, 'a', 'b');
    const nobody = { kind: 'forced', value: '', holder: null };

    test('takes everything that the card names from whoever holds the resource', async () => {
      await node().hold(gang, { marker });
      expect(await node().force('b', '', 'stuck')).toEqual({
        kind: 'forced',
        value: gang.value,
        holder: holderOf(gang, { resource: 'b' }),
      });
      for (const resource of ['a', 'b']) {
        expect(await node().look(resource, 1)).toEqual({
          resource,
          fence: { token: T, state: 'forced' },
          history: [eventOf(gang, 'forced', { reason: 'stuck' })],
        });
      }
      const answer = await node().hold(attempt('two', T + 1n, 'a', 'b'), { marker });
      expect(answer).toEqual({ kind: 'ended', value: gang.value, why: 'forced' });
    });

    test('leaves what the card names and somebody else holds by now', async () => {
      await node().hold(gang);
      await node().release({ ...gang, resources: ['b'] });
      const other = attempt('two', T + 1n, 'b');
      await node().hold(other);
      await node().force('a');
      expect((await node().look('b'))?.holder).toEqual(holderOf(other));
    });

    test('takes only the named lease', async () => {
      await node().hold(first);
      expect(await node().force('a', 'ref of somebody else')).toEqual(nobody);
      expect((await node().look('a'))?.holder).toEqual(holderOf(first));
      expect(await node().force('a', first.leaseRef)).toMatchObject({ value: first.value });
    });

    test('finds nobody on a free, an unknown or an expired resource', async () => {
      expect(await node().force('a')).toEqual(nobody);
      await node().hold(first);
      node().at(ttlMicros);
      expect(await node().force('a')).toEqual(nobody);
      expect((await node().history('a'))[0]?.type).toBe('expired');
    });
  });
}
