/** Taking fences over from other nodes, and adopting a node from another list: no token is ever forgotten (admin.ts). */
import { describe, expect, test } from 'vitest';
import type { AdminAnswer, FenceEntry } from '../../src/nodes/admin.ts';
import { attempt, Caller, lost, tokenAt } from './caller.ts';
import { longestTtlMs, metaOf, stampOf } from './under-test.ts';

const T = tokenAt();
const done = { kind: 'done' };

/** A fence as it travels. A closed one names no opener: nobody may open it again. */
function entry(
  resource: string,
  token: bigint,
  state: FenceEntry['state'] = 'undone',
  opener = '',
): FenceEntry {
  return { resource, token, state, opener };
}

/** A node with the steps of a takeover. */
class Taker extends Caller {
  fences(after = '', limit = 100): Promise<AdminAnswer> {
    return this.admin({ kind: 'fences', runId: this.runId, after, limit });
  }

  /** Everything so far stays; the node is in quarantine, and after `leave` it votes again. */
  async enter(): Promise<void> {
    await this.admin({ kind: 'adopt', cluster: 'c', runId: this.runId, id: 'q', why: 'test', longestTtlMs });
  }

  async leave(): Promise<void> {
    await this.admin({ kind: 'create', quarantineId: 'q', meta: metaOf(this.runId) });
  }

  takeover(entries: readonly FenceEntry[], floor = 0n, of = {}): Promise<AdminAnswer> {
    return this.admin({ kind: 'takeover', runId: this.runId, quarantineId: 'q', entries, floor, ...of });
  }
}

export function takeoverContract(caller: () => Caller): void {
  const node = () => new Taker(caller().under);

  test('fences pages through the fences in name order, with the floor', async () => {
    for (const name of ['b', 'B', 'a']) await node().undo(attempt('x', T, name));
    await node().hold(attempt('one', T, 'c'));
    const [B, a, b] = [entry('B', T), entry('a', T), entry('b', T)];
    expect(await node().fences('', 3)).toEqual({ kind: 'fences', entries: [B, a, b], next: 'b', floor: 0n });
    const rest = [entry('c', T, 'open', 'one')];
    expect(await node().fences('b', 3)).toEqual({ kind: 'fences', entries: rest, next: '', floor: 0n });
    expect(await node().admin({ kind: 'fences', runId: 'another', after: '', limit: 9 })).toEqual(lost());
  });

  describe('takeover', () => {
    describeRaising(node);
    describeBinding(node);
  });

  describeAdoption(node);
}

function describeRaising(node: () => Taker): void {
  test('raises fences and the floor under exactly this quarantine', async () => {
    await node().enter();
    expect(await node().takeover([entry('a', T)], 7n, { quarantineId: 'other' })).toEqual(lost());
    expect(await node().takeover([entry('a', T)], 7n, { runId: 'another' })).toEqual(lost());
    expect(await node().takeover([entry('a', T), entry('b', T + 1n, 'open', 'y')], 7n)).toEqual(done);
    expect(await node().takeover([], 6n)).toEqual(done);
    await node().leave();
    const entries = [entry('a', T), entry('b', T + 1n, 'open', 'y')];
    expect(await node().fences()).toEqual({ kind: 'fences', entries, next: '', floor: 7n });
    expect(await node().takeover([], 9n)).toEqual(lost());
  });

  test('lets the higher token win, and at equal tokens closed over open', async () => {
    await node().hold(attempt('one', T, 'open'));
    for (const name of ['closed', 'higher', 'lower']) await node().undo(attempt('one', T, name));
    await node().enter();
    await node().takeover([
      entry('open', T, 'forced'),
      entry('closed', T, 'open', 'x'),
      entry('higher', T + 1n, 'open', 'x'),
      entry('lower', T - 1n),
    ]);
    await node().leave();
    const entries = [
      entry('closed', T),
      entry('higher', T + 1n, 'open', 'x'),
      entry('lower', T),
      entry('open', T, 'forced'),
    ];
    expect(await node().fences()).toEqual({ kind: 'fences', entries, next: '', floor: 0n });
  });

  test('at equal tokens keeps its own closed fence, or an open one of the same opener', async () => {
    await node().hold(attempt('one', T, 'a'));
    await node().undo(attempt('one', T, 'b'));
    await node().enter();
    await node().takeover([entry('a', T, 'open', 'one'), entry('b', T, 'released')]);
    await node().leave();
    const entries = [entry('a', T, 'open', 'one'), entry('b', T)];
    expect(await node().fences()).toMatchObject({ entries });
  });

  test('at equal tokens of two openers closes: one of them was granted it, and no node knows which', async () => {
    await node().hold(attempt('one', T, 'a'));
    await node().enter();
    await node().takeover([entry('a', T, 'open', 'x'), entry('b', T, 'open', 'x')]);
    await node().takeover([entry('b', T, 'open', 'y')]);
    await node().leave();
    const entries = [entry('a', T, 'undone'), entry('b', T, 'undone')];
    expect(await node().fences()).toMatchObject({ entries });
  });
}

function describeBinding(node: () => Taker): void {
  test('brings fences that bind the next hold', async () => {
    await node().enter();
    await node().takeover([entry('a', T, 'released')], T + 5n);
    await node().leave();
    expect(await node().hold(attempt('one', T, 'a'))).toEqual({ kind: 'stale', fence: T + 5n });
    expect(await node().hold(attempt('one', T + 5n, 'b'))).toEqual({ kind: 'stale', fence: T + 5n });
  });
}

function describeAdoption(node: () => Caller): void {
  test('retire shuts out the old cluster, and its fences stay readable', async () => {
    const { runId } = node();
    const retire = (run: string, oldCluster: string, newCluster: string) =>
      node().admin({ kind: 'retire', runId: run, oldCluster, newCluster });
    await node().undo(attempt('x', T, 'a'));
    expect(await retire('another', 'c0', 'c1')).toEqual(lost());
    expect(await retire(runId, 'another', 'c1')).toEqual(lost());
    expect(await retire(runId, 'c0', 'c1')).toEqual(done);
    expect(await retire(runId, 'c0', 'c1')).toEqual(done);
    expect(await retire(runId, 'c0', 'c2')).toEqual(lost());
    expect(await node().hold(attempt('one', T + 1n, 'a'))).toMatchObject({ kind: 'silent', why: 'config' });
    node().under.node.admit(stampOf(runId, 'c1'));
    expect(await node().hold(attempt('one', T + 1n, 'a'))).toMatchObject({ kind: 'silent', why: 'config' });
    const fences = await node().admin({ kind: 'fences', runId, after: '', limit: 9 });
    expect(fences).toMatchObject({ kind: 'fences', entries: [{ resource: 'a', token: T }] });
  });

  test('adopt replaces meta and quarantine by a quarantine that owes no takeover', async () => {
    const adopt = (id: string) =>
      node().admin({ kind: 'adopt', cluster: 'c', runId: 'run-1', id, why: 'another list', longestTtlMs });
    const adopted = (id: string) => ({
      kind: 'state',
      quarantine: { id, runId: 'run-1', cluster: 'c', why: 'another list', adopted: true, longestTtlMs },
    });
    expect(await adopt('q1')).toEqual(done);
    expect(await node().state()).toEqual(adopted('q1'));
    expect(await adopt('q2')).toEqual(done);
    expect(await node().state()).toEqual(adopted('q2'));
  });

  test('adopt keeps the floor, even one that a takeover brought a moment ago', async () => {
    const { runId } = node();
    const adopt = (id: string) =>
      node().admin({ kind: 'adopt', cluster: 'c', runId, id, why: 'test', longestTtlMs });
    await adopt('q1');
    await node().admin({ kind: 'takeover', runId, quarantineId: 'q1', entries: [], floor: T });
    await adopt('q2');
    await node().admin({ kind: 'create', quarantineId: 'q2', meta: metaOf(runId) });
    expect((await node().state()).meta?.floor).toBe(T);
  });
}
