/** Acquire over three memory nodes: what it grants, how it tries again, and that a refusal leaves nothing behind. */

import { describe, expect, test } from 'vitest';
import { parseLeaseId } from '../../../src/domain/lease.ts';
import type { NodeOp } from '../../../src/nodes/node.ts';
import { leftMs } from '../../../src/quorum/validity.ts';
import { callerWho } from '../../harness/asking.ts';
import { type Fate, leaseOf, quiet, START, TTL_MS, World } from './world.ts';

const YEAR = 31_536_000_000_000;
const NOBODY = ['', '', ''];

/** One fate for each node, by a digit string of node indices. */
const holdsAre =
  (...fates: readonly Fate[]) =>
  (_replica: string, node: number, op: NodeOp): Fate =>
    op.kind === 'hold' ? fates[node]! : 'now';

describe('a grant', () => {
  test('stands on every node, and promises no more than ttl less drift from before it asked', async () => {
    const world = await World.of();
    const lease = leaseOf(await world.replica('a').acquire({ labels: { job: '7' } }));
    expect(world.holders()).toEqual([lease.leaseRef, lease.leaseRef, lease.leaseRef]);
    expect(lease).toMatchObject({ token: BigInt(START), owner: 'a', replayed: false, labels: { job: '7' } });
    expect(lease.expireTimeMs).toBeCloseTo(START / 1000 + leftMs(TTL_MS, 0), 3);
    expect(parseLeaseId(lease.leaseId)).toMatchObject({
      token: lease.token,
      ttlMs: TTL_MS,
      resources: ['r'],
    });
  });

  test('needs only a majority, and does not wait for the slowest node', async () => {
    const world = await World.of();
    world.fate = holdsAre('now', 'later', 'now');
    const lease = leaseOf(await world.replica('a').acquire());
    expect(world.holders()).toEqual([lease.leaseRef, '', lease.leaseRef]);
  });

  test('of several resources is all or nothing under one token', async () => {
    const world = await World.of();
    const [a, b] = [world.replica('a'), world.replica('b')];
    const single = leaseOf(await a.acquire({ resources: ['q'] }));
    expect(await b.acquire({ resources: ['r', 'q'] })).toMatchObject({
      kind: 'busy',
      holders: [{ resource: 'q' }],
    });
    expect(world.holders('r')).toEqual(NOBODY);
    await a.release(single);
    const gang = leaseOf(await b.acquire({ resources: ['r', 'q'] }));
    expect([...world.holders('r'), ...world.holders('q')]).toEqual(new Array(6).fill(gang.leaseRef));
  });
});

describe('a refusal leaves nothing behind', () => {
  test('busy: whoever holds a majority is named, with its remaining time as advice', async () => {
    for (const fates of [
      ['now', 'now', 'now'],
      ['now', 'lost', 'now'],
      ['unheard', 'now', 'now'],
    ] as Fate[][]) {
      const world = await World.of();
      const lease = leaseOf(await world.replica('a').acquire());
      await world.advance(4000);
      world.fate = holdsAre(...fates);
      const answer = await world.replica('b').acquire();
      expect(answer).toMatchObject({
        kind: 'busy',
        holders: [{ owner: 'a', leaseRef: lease.leaseRef }],
        retryAfterMs: 6000,
      });
      expect(world.holders()).toEqual([lease.leaseRef, lease.leaseRef, lease.leaseRef]);
    }
  });

  test('busy with a majority elsewhere: the vote of the free node is taken back before the answer', async () => {
    const world = await World.of();
    world.fate = holdsAre('now', 'lost', 'now');
    const lease = leaseOf(await world.replica('a').acquire());
    expect(await world.replica('b').acquire()).toMatchObject({ kind: 'busy' });
    expect(world.holders()).toEqual([lease.leaseRef, '', lease.leaseRef]);
  });

  test('the answer waits until those that voted for have let go', async () => {
    const world = await World.of();
    world.fate = holdsAre('now', 'now', 'lost');
    leaseOf(await world.replica('a').acquire());
    world.fate = (_, __, op) => (op.kind === 'release' ? 'later' : 'now');
    let answered = false;
    const asked = world.replica('b').acquire();
    void asked.then(() => {
      answered = true;
    });
    await quiet();
    expect([answered, world.holders()[2] === '']).toEqual([false, false]);
    await world.deliverAll();
    expect((await asked).kind).toBe('busy');
    expect(world.holders()[2]).toBe('');
  });

  test.each(['lost', 'unheard', 'late'] as const)('no quorum: two requests that were %s', async (fate) => {
    const world = await World.of();
    world.fate = (_, node, op) => (node === 0 || op.kind !== 'hold' ? 'now' : fate);
    const answer = await world.replica('a').acquire();
    expect(answer).toMatchObject({ reason: 'NO_QUORUM', metadata: { answered: '1', nodes: '3' } });
    await world.deliverAll();
    expect(world.holders()).toEqual(NOBODY);
    expect(world.view(1)?.fence?.state).toBe('undone');
  });

  test('no quorum and no undo either: the undo is repeated until the nodes can be reached again', async () => {
    const world = await World.of();
    const replica = world.replica('a');
    world.fate = (_, node, op) => (node === 0 ? 'now' : op.kind === 'hold' ? 'unheard' : 'lost');
    expect(await replica.acquire()).toMatchObject({ reason: 'NO_QUORUM' });
    expect(world.holders()[0]).toBe('');
    expect(world.holders()[1]).not.toBe('');
    await world.advance(3000);
    expect([1, 2].map((node) => replica.quorum.undo.count(node))).toEqual([1, 1]);
    world.fate = () => 'now';
    await world.advance(4000);
    expect(world.holders()).toEqual(NOBODY);
    expect([1, 2].map((node) => replica.quorum.undo.count(node))).toEqual([0, 0]);
  });

  test('before a majority of the nodes was ready nothing is asked at all', async () => {
    const world = await World.of();
    const replica = world.replica('a');
    replica.mayPropose = false;
    expect(await replica.acquire()).toMatchObject({ reason: 'NO_QUORUM', metadata: { answered: '0' } });
    expect(replica.sent).toEqual([]);
  });

  test('votes that came when the ttl was over grant nothing', async () => {
    const world = await World.of();
    world.fate = holdsAre('later', 'later', 'later');
    const asked = world.replica('a').acquire({ ttlMs: 200 });
    await quiet();
    for (const message of [...world.inFlight]) await world.deliver(message);
    await world.advance(196);
    for (const message of [...world.inFlight]) await world.deliver(message);
    expect(await asked).toMatchObject({ reason: 'NO_QUORUM', message: expect.stringContaining('too late') });
    expect(world.holders()).toEqual(NOBODY);
  });

  test('the last moment at which votes count is before ttl less drift', async () => {
    for (const [afterMs, kind] of [
      [195.9, 'lease'],
      [196, 'refusal'],
    ] as const) {
      const world = await World.of();
      world.fate = holdsAre('later', 'later', 'later');
      const asked = world.replica('a').acquire({ ttlMs: 200 });
      await quiet();
      for (const message of [...world.inFlight]) await world.deliver(message);
      await world.advance(afterMs);
      for (const message of [...world.inFlight]) await world.deliver(message);
      expect((await asked).kind, `after ${afterMs} ms`).toBe(kind);
    }
  });

  test('a caller that went away while the nodes voted', async () => {
    const world = await World.of();
    let gone = false;
    world.fate = holdsAre('later', 'later', 'later');
    const asked = world.replica('a').acquire(
      {},
      callerWho(() => gone),
    );
    await quiet();
    gone = true;
    await world.deliverAll();
    expect((await asked).kind).toBe('refusal');
    expect(world.holders()).toEqual(NOBODY);
  });

  test('a caller that went away between two attempts is not voted for again', async () => {
    const world = await World.of();
    const replica = world.replica('a');
    const tooFar = world.replica('fast', 900_000);
    await tooFar.release(leaseOf(await tooFar.acquire()));
    expect(
      (
        await replica.acquire(
          {},
          callerWho(() => true),
        )
      ).kind,
    ).toBe('refusal');
    expect(replica.count('hold')).toEqual([1, 1, 1]);
  });

  test('a request that arrives after its own undo finds its token closed', async () => {
    const world = await World.of();
    world.fate = holdsAre('now', 'late', 'late');
    expect(await world.replica('a').acquire()).toMatchObject({ reason: 'NO_QUORUM' });
    expect(world.inFlight.length).toBe(2);
    for (const message of [...world.inFlight]) {
      await world.deliver(message);
      expect(message.answer).toMatchObject({ kind: 'stale' });
    }
    expect(world.holders()).toEqual(NOBODY);
  });

  test('a node that has not answered when others are found to hold is told once it has', async () => {
    const world = await World.of();
    world.fate = holdsAre('now', 'now', 'lost');
    leaseOf(await world.replica('a').acquire());
    world.fate = holdsAre('now', 'now', 'later');
    expect(await world.replica('b').acquire()).toMatchObject({ kind: 'busy' });
    await world.deliverAll();
    expect(world.holders()[2]).toBe('');
  });
});

describe('tries again', () => {
  test('above the fence that refused it, without moving the clock for other resources', async () => {
    const world = await World.of();
    const ahead = world.replica('fast', 900_000);
    const first = leaseOf(await ahead.acquire());
    await ahead.release(first);
    const replica = world.replica('a');
    const second = leaseOf(await replica.acquire());
    expect(second.token).toBe(first.token + 1n);
    expect(replica.count('hold')).toEqual([2, 2, 2]);
    expect(leaseOf(await replica.acquire({ resources: ['other'] })).token).toBeLessThan(first.token);
    expect(world.holders()).toEqual([second.leaseRef, second.leaseRef, second.leaseRef]);
  });

  test('with the time of the nodes when its own clock is years ahead, and grants near their time', async () => {
    const world = await World.of();
    const replica = world.replica('a', 5 * YEAR);
    const lease = leaseOf(await replica.acquire());
    expect(lease.token).toBe(BigInt(START));
    expect(replica.count('hold')).toEqual([2, 2, 2]);
    // Corrected once: the next request needs one round.
    await world.advance(1000);
    const next = leaseOf(await replica.acquire({ resources: ['other'] }));
    expect(next.token).toBe(BigInt(START + 1_000_000));
    expect(replica.count('hold')).toEqual([3, 3, 3]);
  });

  test('with the fence when its clock is years behind', async () => {
    const world = await World.of();
    const right = world.replica('a');
    const first = leaseOf(await right.acquire());
    await right.release(first);
    const second = leaseOf(await world.replica('slow', -5 * YEAR).acquire());
    expect(second.token).toBe(first.token + 1n);
  });

  test('one node whose clock is far behind does not correct a replica that is right', async () => {
    const world = await World.of();
    world.nodeClocks[0]!.stepWall(-YEAR);
    const replica = world.replica('a');
    leaseOf(await replica.acquire());
    expect(replica.quorum.tokens.correctionMicros()).toBe(0);
  });

  test('not even while it asks the nodes one after the other', async () => {
    const world = await World.of();
    world.nodeClocks[0]!.stepWall(-YEAR);
    const [left, right, replica] = [world.replica('left'), world.replica('right'), world.replica('a')];
    world.fate = (_, node, op) =>
      op.kind === 'hold' && node !== 1 ? 'lost' : op.kind === 'hold' ? 'unheard' : 'lost';
    await left.acquire({ ttlMs: 1000 });
    world.fate = (_, node, op) =>
      op.kind === 'hold' && node !== 2 ? 'lost' : op.kind === 'hold' ? 'unheard' : 'lost';
    await right.acquire({ ttlMs: 1000 });
    world.fate = (id) => (id === 'a' ? 'now' : 'lost');
    await world.finish(replica.acquire());
    expect(replica.quorum.tokens.correctionMicros()).toBe(0);
  });
});
