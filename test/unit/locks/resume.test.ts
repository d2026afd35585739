/** A lease that another stream takes over goes on under the same token, and the end of the older stream frees nothing. */
import { describe, expect, test } from 'vitest';
import { hold, resume } from './keeping.ts';
import { leaseOf, nameOf, quiet, TTL_MS, World } from './world.ts';

const NOBODY = ['', '', ''];

describe('another stream takes the lease over', () => {
  test('same id, same token; the end of the older stream frees nothing', async () => {
    const world = await World.of();
    const old = await hold(world.replica('a'));
    const young = await resume(world.replica('b'), old.kept.lease);
    const { leaseId, token, leaseRef } = old.kept.lease;
    expect(young.kept.lease).toMatchObject({ leaseId, token, leaseRef });
    old.kept.end('closed', 0);
    await quiet();
    expect(world.holders()).toEqual([leaseRef, leaseRef, leaseRef]);
    young.kept.end('closed', 0);
    await quiet();
    expect(world.holders()).toEqual(NOBODY);
  });

  test('with the rule of bindings off, it does', async () => {
    const world = await World.of(3, { bindings: false });
    const old = await hold(world.replica('a'));
    await resume(world.replica('b'), old.kept.lease);
    old.kept.end('closed', 0);
    await quiet();
    expect(world.holders()).toEqual(NOBODY);
  });

  test('a node that missed the take-over hears of it by the next renewal', async () => {
    const world = await World.of();
    const old = await hold(world.replica('a'));
    world.fate = (replica, node) => (replica === 'b' && node === 0 ? 'lost' : 'now');
    const young = await resume(world.replica('b'), old.kept.lease);
    world.fate = (replica) => (replica === 'a' ? 'lost' : 'now');
    await world.pass(TTL_MS / 2, 100);
    world.fate = () => 'now';
    old.kept.end('closed', 0);
    await quiet();
    const { leaseRef } = young.kept.lease;
    expect(world.holders()).toEqual([leaseRef, leaseRef, leaseRef]);
  });

  test('the older stream is told, at the same replica at once, at another at its next renewal', async () => {
    const world = await World.of();
    const first = await hold(world.replica('a'));
    const second = await resume(world.replica('a'), first.kept.lease);
    expect(first.heard.losses).toMatchObject([{ reason: 'unknown', detail: /another stream/ }]);
    const third = await resume(world.replica('b'), first.kept.lease);
    await world.pass(TTL_MS / 2, 100);
    expect(second.heard.losses).toMatchObject([{ reason: 'unknown', detail: /another stream/ }]);
    await world.pass(TTL_MS, 100);
    expect(third.heard.losses).toEqual([]);
    expect(world.holders()[0]).toBe(first.kept.lease.leaseRef);
  });

  test('of two that do so at once, in every order of arrival, exactly one keeps it', async () => {
    for (let order = 0; order < 64; order += 1) {
      const world = await World.of();
      const old = await hold(world.replica('a'));
      world.fate = (replica, _, op) => (replica !== 'a' && op.kind === 'renew' ? 'later' : 'now');
      const both = [resume(world.replica('b'), old.kept.lease), resume(world.replica('c'), old.kept.lease)];
      let bits = order;
      for (let step = 0; step < 12; step += 1) {
        const some = world.inFlight.filter(({ replica }) => replica === ((bits & 1) === 1 ? 'b' : 'c'));
        bits >>= 1;
        const next = some[0] ?? world.inFlight[0];
        if (next !== undefined) await world.deliver(next);
      }
      const [b, c] = await world.finish(Promise.all(both));
      world.fate = () => 'now';
      await world.pass(TTL_MS, 100);
      const losses = [b!, c!].map(({ heard }) => heard.losses.length);
      expect(losses.toSorted(), `order ${order}`).toEqual([0, 1]);
      const keeper = losses[0] === 0 ? b! : c!;
      (keeper === b ? c! : b!).kept.end('closed', 0);
      old.kept.end('closed', 0);
      await quiet();
      expect(world.holders(), `order ${order}`).toEqual(Array(3).fill(old.kept.lease.leaseRef));
    }
  });

  test('a lease that is gone cannot be resumed', async () => {
    const world = await World.of();
    const { kept } = await hold(world.replica('a'));
    kept.end('closed', 0);
    await quiet();
    const news = { renewed() {}, lost() {}, yieldRequested() {} };
    const answer = await world.replica('b').locks.resume(nameOf(kept.lease.leaseId), news);
    expect(answer).toMatchObject({ reason: 'LEASE_LOST', metadata: { why: 'released' } });
  });

  test('a lease that a plain Acquire was granted, too', async () => {
    const world = await World.of();
    const lease = leaseOf(await world.replica('a').acquire());
    const { kept } = await resume(world.replica('b'), lease);
    await world.pass(3 * TTL_MS, 100);
    expect(world.holders()[0]).toBe(lease.leaseRef);
    kept.end('closed', 0);
    await quiet();
    expect(world.holders()).toEqual(NOBODY);
  });

  test('and a hold that repeats its request meets its own lease: the older stream frees nothing', async () => {
    const world = await World.of();
    const first = await hold(world.replica('a'), { owner: 'w', requestId: 'x' });
    const again = await hold(world.replica('b'), { owner: 'w', requestId: 'x' });
    expect(again.kept.lease).toMatchObject({ leaseId: first.kept.lease.leaseId, replayed: true });
    first.kept.end('closed', 0);
    await quiet();
    expect(world.holders()[0]).toBe(first.kept.lease.leaseRef);
    again.kept.end('closed', 0);
    await quiet();
    expect(world.holders()).toEqual(NOBODY);
  });
});
