/** Each attempt of a call has a value of its own, also where every token that the clock gives would be the same. */
import { expect, test } from 'vitest';
import { leaseOf, TTL_MS, Wait, World } from './world.ts';

const HOUR_MICROS = 3_600_000_000;

test('a waiter whose clock is behind never asks twice with one value, so no late undo frees what it was granted', async () => {
  const world = await World.of();
  const holder = world.replica('holder');
  const lease = await holder.acquire({ ttlMs: TTL_MS });
  const behind = world.replica('behind', -HOUR_MICROS);
  const wait = new Wait(behind, { ttlMs: TTL_MS });
  await world.pass(100);
  // Its votes reach one node, and what takes them back again arrives nowhere in time.
  world.fate = (replica, node, op) => {
    if (replica !== 'behind') return 'now';
    if (op.kind === 'release') return 'late';
    return op.kind === 'hold' && node > 0 ? 'lost' : 'now';
  };
  await holder.release(lease as { leaseId: string });
  await world.pass(4000);
  world.fate = (_, __, op) => (op.kind === 'release' ? 'late' : 'now');
  await world.pass(3000);
  expect(wait.kind).toBe('lease');
  const tokens = behind.sent.flatMap(({ node, op }) => (node === 2 && op.kind === 'hold' ? [op.token] : []));
  expect(tokens.length, 'invalid: it hardly asked').toBeGreaterThan(3);
  expect(new Set(tokens).size).toBe(tokens.length);
  const { leaseRef } = leaseOf(wait.answer!);
  const nodesThatHold = () => world.holders().filter((ref) => ref === leaseRef).length;
  expect(nodesThatHold()).toBeGreaterThanOrEqual(2);
  await world.deliverAll();
  expect(nodesThatHold()).toBeGreaterThanOrEqual(2);
});
