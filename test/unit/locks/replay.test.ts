/** The same request_id gives the same lease, from whichever replica it comes, and never a second one. */

import { expect, test } from 'vitest';
import type { Lease } from '../../../src/domain/lease.ts';
import type { NodeOp } from '../../../src/nodes/node.ts';
import { callerWho } from '../../harness/asking.ts';
import { type Fate, leaseOf, quiet, TTL_MS, World } from './world.ts';

const request = { owner: 'w1', requestId: 'job 7' };
const holdsAre =
  (...fates: readonly Fate[]) =>
  (_replica: string, node: number, op: NodeOp): Fate =>
    op.kind === 'hold' ? fates[node]! : 'now';

test('a repeat at another replica is the same lease, told as replayed, with the time that is left of it', async () => {
  const world = await World.of();
  const first = leaseOf(await world.replica('a').acquire({ ...request, labels: { job: '7' } }));
  await world.advance(4000);
  const again = leaseOf(await world.replica('b').acquire({ ...request, labels: { job: '7' } }));
  const { leaseId, leaseRef, token, resources, labels } = first;
  expect(again).toMatchObject({ leaseId, leaseRef, token, resources, labels, replayed: true });
  expect(again.expireTimeMs).toBeLessThanOrEqual(first.expireTimeMs + 100);
  expect(world.holders()).toEqual([leaseRef, leaseRef, leaseRef]);
});

test('the repeat works with one node silent, and its own late request changes nothing', async () => {
  const world = await World.of();
  const first = leaseOf(await world.replica('a').acquire(request));
  world.fate = holdsAre('now', 'late', 'now');
  const again = leaseOf(await world.replica('b').acquire(request));
  expect(again.leaseId).toBe(first.leaseId);
  await world.deliverAll();
  expect(world.holders()).toEqual([first.leaseRef, first.leaseRef, first.leaseRef]);
});

test('with other arguments it is refused by name, and the lease stays', async () => {
  const world = await World.of();
  const first = leaseOf(await world.replica('a').acquire(request));
  for (const changes of [
    { ttlMs: TTL_MS + 1 },
    { resources: ['r', 'q'] },
    { labels: { a: 'b' } },
    { priority: 1 },
  ]) {
    const answer = await world.replica('b').acquire({ ...request, ...changes });
    expect(answer).toMatchObject({ reason: 'INVALID_FIELD', fields: [{ field: 'request_id' }] });
  }
  expect(world.holders()).toEqual([first.leaseRef, first.leaseRef, first.leaseRef]);
  expect(world.holders('q')).toEqual(['', '', '']);
});

test('the order of labels is no other argument', async () => {
  const world = await World.of();
  const first = leaseOf(await world.replica('a').acquire({ ...request, labels: { a: '1', b: '2' } }));
  const again = leaseOf(await world.replica('a').acquire({ ...request, labels: { b: '2', a: '1' } }));
  expect(again.leaseId).toBe(first.leaseId);
});

test('another owner or identity may use the same id for itself', async () => {
  const world = await World.of();
  leaseOf(await world.replica('a').acquire(request));
  expect((await world.replica('a').acquire({ ...request, owner: 'w2' })).kind).toBe('busy');
  const other = callerWho(() => false, 'somebody');
  expect((await world.replica('a').acquire(request, other)).kind).toBe('busy');
});

type End = (world: World, lease: Lease) => Promise<unknown>;
const endings: readonly (readonly [why: string, end: End])[] = [
  ['released', (world, lease) => world.replica('z').release(lease)],
  ['expired', (world) => world.advance(TTL_MS + 1)],
];

test.each(endings)('after the lease was %s a repeat does not lock again', async (why, end) => {
  const world = await World.of();
  await end(world, leaseOf(await world.replica('y').acquire(request)));
  for (const id of ['a', 'b']) {
    expect(await world.replica(id).acquire(request)).toMatchObject({
      reason: 'LEASE_LOST',
      metadata: { why },
    });
    expect(world.holders()).toEqual(['', '', '']);
  }
});

test('a request that was refused and undone may be repeated', async () => {
  const world = await World.of();
  world.fate = (_, node, op) => (op.kind === 'hold' && node > 0 ? 'unheard' : 'now');
  expect(await world.replica('a').acquire(request)).toMatchObject({ reason: 'NO_QUORUM' });
  world.fate = () => 'now';
  expect(leaseOf(await world.replica('b').acquire(request)).replayed).toBe(false);
});

test('remains of an earlier attempt at a minority are neither its lease nor a reason for another', async () => {
  const world = await World.of();
  world.fate = (_, node, op) => (op.kind === 'hold' ? (node === 0 ? 'unheard' : 'lost') : 'lost');
  await world.replica('a').acquire(request);
  world.fate = (id) => (id === 'b' ? 'now' : 'lost');
  expect(await world.replica('b').acquire(request)).toMatchObject({ reason: 'NO_QUORUM' });
  expect(world.holders().slice(1)).toEqual(['', '']);
});

test('one node that let the lease go alone does not hide the majority that still holds it, in any order of answers', async () => {
  for (const order of [
    [0, 1, 2],
    [1, 0, 2],
    [1, 2, 0],
  ]) {
    const world = await World.of();
    const first = leaseOf(await world.replica('a').acquire(request));
    // Node 0's clock runs ahead of the others by more than the ttl: the lease is over there and only there.
    world.nodeClocks[0]!.stepWall((TTL_MS + 1) * 1000);
    world.fate = holdsAre('later', 'later', 'later');
    const asked = world.replica('b').acquire(request);
    await quiet();
    const requests = [...world.inFlight];
    for (const node of order) {
      for (const _ of ['executed', 'answered'])
        await world.deliver(requests.find((message) => message.node === node)!);
    }
    expect(await asked, `answers in order ${order}`).toMatchObject({ kind: 'lease', leaseId: first.leaseId });
  }
});

test('two repeats at once are one lease', async () => {
  const world = await World.of();
  const answers = await Promise.all(['a', 'b'].map((id) => world.finish(world.replica(id).acquire(request))));
  const ids = answers.flatMap((answer) => (answer.kind === 'lease' ? [answer.leaseId] : []));
  expect(new Set(ids).size).toBe(1);
});

test('the first attempt, whose caller went away, does not take the lease from the one who repeated it', async () => {
  const world = await World.of();
  let gone = false;
  world.fate = (id, _, op) => (id === 'a' && op.kind === 'hold' ? 'later' : 'now');
  const first = world.replica('a').acquire(
    request,
    callerWho(() => gone),
  );
  await quiet();
  for (const message of [...world.inFlight]) await world.deliver(message);
  const again = leaseOf(await world.replica('b').acquire(request));
  gone = true;
  await world.deliverAll();
  expect((await first).kind).toBe('refusal');
  expect(world.holders()).toEqual([again.leaseRef, again.leaseRef, again.leaseRef]);
});
