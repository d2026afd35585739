/** HOLD: rules a to f of node.ts, each with its boundary. */
import { describe, expect, test } from 'vitest';
import { tokenLeadMicros as lead, limits, tokenSlackMicros as slack } from '../../src/domain/limits.ts';
import { attempt, type Caller, cardOf, eventOf, holderOf, ownerOf, tokenAt, ttlMicros } from './caller.ts';
import { startMicros } from './under-test.ts';

const T = tokenAt();
const first = attempt('one', T, 'a');

export function holdContract(node: () => Caller): void {
  describe('hold', () => {
    test('f: takes every resource, opens each fence and records each event', async () => {
      const both = attempt('one', T, 'a', 'b');
      expect(await node().hold(both)).toEqual({ kind: 'held' });
      for (const resource of ['a', 'b']) {
        expect(await node().look(resource, 9)).toEqual({
          resource,
          holder: holderOf(both, { resource }),
          fence: { token: T, state: 'open' },
          history: [eventOf(both, 'held')],
        });
      }
    });

    test('f: keeps owner and card to the letter', async () => {
      const owner = 'host/17/3 "ä" \\ {}';
      const card = '{"resources":["a"],"text":"\\u001f \\" ü","list":[]}';
      await node().hold(first, { owner, card });
      expect((await node().look('a'))?.holder).toEqual(holderOf(first, { owner, card }));
      expect((await node().history('a'))[0]?.owner).toBe(owner);
    });

    test('b: is dup for exactly the value that holds, and extends nothing', async () => {
      await node().hold(first);
      node().at(10_000_000);
      expect(await node().hold(first)).toEqual({ kind: 'dup' });
      expect((await node().look('a'))?.holder?.remainingMs).toBe(20_000);
    });

    test('c: is a conflict with whoever holds, named in the order of the resources', async () => {
      const other = attempt('two', T, 'c');
      await node().hold(first);
      await node().hold(other);
      const answer = await node().hold(attempt('three', T + 1n, 'c', 'b', 'a'));
      expect(answer).toEqual({ kind: 'conflict', holders: [holderOf(other), holderOf(first)] });
    });

    test('c: takes none of its resources when one is held', async () => {
      await node().hold(first);
      await node().hold(attempt('two', T + 1n, 'b', 'a'));
      expect(await node().look('b')).toBeNull();
    });

    test('c: is a conflict with another attempt of the same lease', async () => {
      await node().hold(first);
      const answer = await node().hold(attempt('one', T + 1n, 'a'));
      expect(answer).toEqual({ kind: 'conflict', holders: [holderOf(first)] });
    });

    test('c: is a conflict when its own value holds only a part', async () => {
      await node().hold(first);
      const answer = await node().hold({ ...first, resources: ['a', 'b'] });
      expect(answer).toEqual({ kind: 'conflict', holders: [holderOf(first)] });
    });

    test('c goes before d: a held resource is a conflict even for a stale token', async () => {
      await node().hold(first);
      expect((await node().hold(attempt('two', T - 5n, 'a'))).kind).toBe('conflict');
    });

    describeFences(node);
    describeClock(node);
    describeRecord(node);
  });
}

function describeFences(node: () => Caller): void {
  test('d: is stale below the fence', async () => {
    await node().hold(first);
    await node().release(first);
    expect(await node().hold(attempt('two', T - 1n, 'a'))).toEqual({ kind: 'stale', fence: T });
    expect(await node().hold(attempt('two', T + 1n, 'a'))).toEqual({ kind: 'held' });
  });

  test.each(['released', 'forced', 'undone'] as const)(
    'd: is stale at a fence that is %s, even for its opener',
    async (why) => {
      await node().hold(first);
      await node().release(first, { why });
      expect(await node().hold(first)).toEqual({ kind: 'stale', fence: T });
      expect(await node().hold(attempt('two', T, 'a'))).toEqual({ kind: 'stale', fence: T });
    },
  );

  test('d: is stale at an open fence of the same token that another secret opened', async () => {
    await node().hold(first);
    node().at(ttlMicros);
    expect(await node().hold(attempt('two', T, 'a'))).toEqual({ kind: 'stale', fence: T });
    expect(await node().hold(first)).toEqual({ kind: 'held' });
  });

  test('d: is stale up to the floor, but for the repair of the lease that opened the fence', async () => {
    await node().hold(attempt('old', T + 5n, 'gone'));
    await node().release(attempt('old', T + 5n, 'gone'));
    await node().hold(attempt('old', T, 'kept'), { ttlMs: 60_000 });
    node().at(86_400_000_000 + 6);
    await node().renew(attempt('old', T, 'kept'));
    await node().ask({ kind: 'sweep', after: 'a', limit: 1 });
    expect((await node().state()).meta?.floor).toBe(T + 5n);
    const seen = T;
    expect(await node().hold(attempt('new', T + 5n, 'gone'), { seen })).toEqual({
      kind: 'stale',
      fence: T + 5n,
    });
    expect(await node().hold(attempt('new', T + 4n, 'never'))).toEqual({ kind: 'stale', fence: T + 5n });
    expect(await node().hold(attempt('new', T + 6n, 'never'))).toEqual({ kind: 'held' });
    // A fence below the floor hides nothing that was dropped elsewhere; only its own lease may come back to it.
    expect(await node().hold(attempt('new', T + 5n, 'kept'))).toEqual({ kind: 'stale', fence: T + 5n });
    expect(await node().hold(attempt('old', T, 'kept'))).toEqual({ kind: 'stale', fence: T + 5n });
    expect(await node().repair(attempt('old', T, 'kept'))).toEqual({ kind: 'held' });
  });

  test('d: names the highest of all fences that refuse', async () => {
    await node().undo(attempt('x', T + 7n, 'b'));
    await node().undo(attempt('x', T + 9n, 'c'));
    await node().undo(attempt('x', T - 9n, 'd'));
    const answer = await node().hold(attempt('two', T, 'a', 'b', 'c', 'd'));
    expect(answer).toEqual({ kind: 'stale', fence: T + 9n });
  });

  test('d goes before e', async () => {
    await node().undo(attempt('x', tokenAt(lead), 'a'));
    node().at(-10_000_000);
    const answer = await node().hold(attempt('two', T, 'a', 'b'));
    expect(answer).toEqual({ kind: 'stale', fence: tokenAt(lead) });
  });
}

function describeClock(node: () => Caller): void {
  test('e: admits a token up to the lead ahead of the node, and none beyond', async () => {
    expect(await node().hold(attempt('one', tokenAt(lead + 1), 'a'))).toEqual({
      kind: 'ahead',
      nowMicros: startMicros,
    });
    expect(await node().look('a')).toBeNull();
    expect(await node().hold(attempt('one', tokenAt(lead), 'a'))).toEqual({ kind: 'held' });
  });

  test('e: admits a token up to the slack above the fence, whatever the clock says', async () => {
    await node().undo(attempt('x', tokenAt(lead), 'a'));
    node().at(-5_000_000);
    const nowMicros = startMicros - 5_000_000;
    expect(await node().hold(attempt('one', tokenAt(lead + slack + 1), 'a'))).toEqual({
      kind: 'ahead',
      nowMicros,
    });
    expect(await node().hold(attempt('one', tokenAt(lead + slack), 'a'))).toEqual({ kind: 'held' });
  });

  test('e: admits a token up to the slack above the fence that another node showed', async () => {
    const seen = tokenAt(9_000_000);
    const beyond = attempt('one', seen + BigInt(slack) + 1n, 'a');
    expect(await node().hold(beyond, { seen })).toEqual({ kind: 'ahead', nowMicros: startMicros });
    expect(await node().hold(attempt('one', seen + BigInt(slack), 'a'), { seen })).toEqual({ kind: 'held' });
  });

  test('e: is ahead when one resource of many would be', async () => {
    await node().undo(attempt('x', tokenAt(lead), 'a'));
    const answer = await node().hold(attempt('one', tokenAt(lead + slack), 'a', 'b'));
    expect(answer).toEqual({ kind: 'ahead', nowMicros: startMicros });
  });
}

function describeRecord(node: () => Caller): void {
  test('the history keeps the newest events and forgets the oldest', async () => {
    const more = limits.historyPerResource / 2 + 1;
    for (let n = 0; n < more; n++) {
      const one = attempt('one', T + BigInt(n), 'a');
      await Promise.all([node().hold(one), node().release(one, { reason: String(n) })]);
    }
    const history = await node().history('a', 1000);
    expect(history).toHaveLength(limits.historyPerResource);
    const last = attempt('one', T + BigInt(more - 1), 'a');
    expect(history[0]).toEqual(eventOf(last, 'released', { reason: String(more - 1) }));
    expect(history[1]).toEqual(eventOf(last, 'held'));
    expect(history.at(-1)).toEqual(eventOf(attempt('one', T + 1n, 'a'), 'held'));
  });

  test('an answer shows neither value nor marker of a holder', async () => {
    await node().hold(first, { marker: { key: 'request', digest: 'same' } });
    const answer = await node().hold(attempt('two', T + 1n, 'a'));
    expect(answer).toEqual({ kind: 'conflict', holders: [holderOf(first)] });
    const shown = { owner: ownerOf(first), card: cardOf(first) };
    expect(answer).toMatchObject({ holders: [shown] });
  });
}
