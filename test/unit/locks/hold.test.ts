/** A lease that a stream keeps lives as long as the stream, ends as the stream ends, and is never told to be alive when it is not. */
import { describe, expect, test } from 'vitest';
import { callerWho } from '../../harness/asking.ts';
import { hold, resume } from './keeping.ts';
import { leaseOf, nameOf, quiet, TTL_MS, Wait, World } from './world.ts';

const NOBODY = ['', '', ''];

describe('while the stream lives', () => {
  test('the lease outlives its ttl many times, under the same id and token', async () => {
    const world = await World.of();
    const { kept, heard } = await hold(world.replica('a'));
    const { lease } = kept;
    for (let ttl = 0; ttl < 20; ttl += 1) {
      await world.pass(TTL_MS, 100);
      expect(world.holders()).toEqual([lease.leaseRef, lease.leaseRef, lease.leaseRef]);
    }
    expect(heard.losses).toEqual([]);
    const { leaseId, token } = lease;
    for (const renewal of heard.renewals) expect(renewal).toMatchObject({ leaseId, token });
    // Within each ttl it was renewed three times or four.
    expect(heard.renewals.length).toBeGreaterThanOrEqual(60);
    expect(heard.renewals.length).toBeLessThanOrEqual(80);
  });

  test('what it is told lags behind what the nodes keep, and its times do not follow the wall clock', async () => {
    const world = await World.of();
    const replica = world.replica('a');
    const { kept, heard } = await hold(replica);
    const { expireTimeMs } = kept.lease;
    replica.clock.stepWall(3_600_000_000);
    await world.pass(TTL_MS, 100);
    const [renewal] = heard.renewals;
    const apartMs = renewal!.expireTimeMs - expireTimeMs;
    expect(apartMs).toBeGreaterThan(0);
    expect(apartMs).toBeLessThan(TTL_MS);
  });

  test.each([500_000, -500_000])('nor when it steps by %d µs in the middle of the vote', async (micros) => {
    const world = await World.of();
    const replica = world.replica('a');
    let asked = 0;
    const stepping = callerWho(() => {
      asked += 1;
      if (asked === 1) replica.clock.stepWall(micros);
      return false;
    });
    const { kept, heard } = await hold(replica, {}, stepping);
    const { expireTimeMs } = kept.lease;
    await world.pass(4000, 100);
    const goesOnMs = heard.renewals.at(-1)!.expireTimeMs - expireTimeMs;
    // By the rule of lock.proto, for a client that asked as the world began.
    const leftMs = TTL_MS + goesOnMs - 4000;
    expect(leftMs).toBeLessThanOrEqual(world.view(0)!.holder!.remainingMs);
    expect(leftMs).toBeGreaterThan(TTL_MS / 2);
  });

  test('one node that forgets it is repaired by the next renewal', async () => {
    const world = await World.of();
    const { kept } = await hold(world.replica('a'));
    world.fate = (_, node, op) => (node === 2 && op.kind === 'renew' ? 'lost' : 'now');
    await world.pass(TTL_MS + 1000, 100);
    expect(world.holders()[2]).toBe('');
    world.fate = () => 'now';
    await world.pass(TTL_MS, 100);
    expect(world.holders()[2]).toBe(kept.lease.leaseRef);
  });

  test('a quorum that is gone for less than the ttl costs nothing', async () => {
    const world = await World.of();
    const { heard } = await hold(world.replica('a'));
    await world.pass(1000, 100);
    world.fate = (_, __, op) => (op.kind === 'renew' ? 'lost' : 'now');
    await world.pass(TTL_MS / 2, 50);
    world.fate = () => 'now';
    await world.pass(TTL_MS, 100);
    expect(heard.losses).toEqual([]);
    expect(world.holders()).not.toEqual(NOBODY);
  });
});

describe('the loss of a lease is told once, with its reason', () => {
  test('expired: the quorum was gone for longer than the ttl; nothing is left on the nodes', async () => {
    const world = await World.of();
    const { kept, heard } = await hold(world.replica('a'));
    world.fate = (_, __, op) => (op.kind === 'renew' ? 'lost' : 'now');
    await world.pass(2 * TTL_MS, 50);
    expect(heard.losses).toMatchObject([{ reason: 'expired', leaseRef: kept.lease.leaseRef }]);
    expect(world.holders()).toEqual(NOBODY);
  });

  test('it is told lost before anybody else can have it', async () => {
    const world = await World.of();
    const { heard } = await hold(world.replica('a'));
    world.fate = (replica, __, op) => (replica === 'a' && op.kind !== 'look' ? 'lost' : 'now');
    const next = new Wait(world.replica('b'));
    while (next.kind === 'waits') {
      await world.advance(10);
      if (next.kind !== 'waits') expect(heard.losses).toHaveLength(1);
    }
  });

  test.each(['a', 'b'])('forced, at once, though replica %s forces it', async (who) => {
    const world = await World.of();
    const { heard } = await hold(world.replica('a'));
    await world.replica(who).locks.forceRelease({ resource: 'r', leaseRef: '', reason: 'test' });
    await world.pass(40, 10);
    expect(heard.losses).toMatchObject([{ reason: 'forced' }]);
    await world.pass(2 * TTL_MS, 100);
    expect(heard.losses).toHaveLength(1);
    expect(heard.renewals).toEqual([]);
  });

  test('released through this replica: at once; through another: at the next renewal', async () => {
    const world = await World.of();
    const here = await hold(world.replica('a'));
    await world.replica('a').release(here.kept.lease);
    expect(here.heard.losses).toMatchObject([{ reason: 'released' }]);
    const there = await hold(world.replica('a'));
    await world.replica('b').release(there.kept.lease);
    await world.pass(TTL_MS / 2, 100);
    expect(there.heard.losses).toMatchObject([{ reason: 'released' }]);
  });
});

describe('the stream ends', () => {
  test('closed: the lock is free in the same moment, and the next waiter has it', async () => {
    const world = await World.of();
    const { kept, heard } = await hold(world.replica('a'));
    const next = new Wait(world.replica('a'), { owner: 'next' });
    await quiet();
    kept.end('closed', 0);
    await quiet();
    expect(next.kind).toBe('lease');
    expect(heard.losses).toEqual([]);
  });

  test('closed with a grace: it stays for the grace, although that is longer than what was left of the ttl', async () => {
    const world = await World.of();
    const { kept } = await hold(world.replica('a'), { ttlMs: 2000 });
    kept.end('closed', 5000);
    await world.pass(4900, 50);
    expect(world.holders()).toEqual([kept.lease.leaseRef, kept.lease.leaseRef, kept.lease.leaseRef]);
    await world.pass(200, 50);
    expect(world.holders()).toEqual(NOBODY);
  });

  test.each(['silent', 'drained'] as const)(
    '%s: it stands until it expires, and nobody renews it',
    async (how) => {
      const world = await World.of();
      const { kept, heard } = await hold(world.replica('a'));
      kept.end(how, 5000);
      const before = heard.renewals.length;
      await world.pass(TTL_MS - 100, 50);
      expect(world.holders()).toEqual([kept.lease.leaseRef, kept.lease.leaseRef, kept.lease.leaseRef]);
      await world.pass(200, 50);
      expect(world.holders()).toEqual(NOBODY);
      expect(heard.renewals).toHaveLength(before);
      expect(heard.losses).toEqual([]);
    },
  );

  test('while a renewal is out: the release that leaves behind it wins', async () => {
    const world = await World.of();
    const { kept, heard } = await hold(world.replica('a'));
    world.fate = (_, __, op) => (op.kind === 'renew' || op.kind === 'release' ? 'later' : 'now');
    while (world.inFlight.length === 0) await world.advance(100);
    kept.end('closed', 0);
    await world.deliverAll();
    expect(world.holders()).toEqual(NOBODY);
    expect(heard.renewals).toEqual([]);
    await world.pass(TTL_MS, 100);
    expect(world.holders()).toEqual(NOBODY);
  });

  test('nothing is kept or counted afterwards', async () => {
    const world = await World.of();
    const replica = world.replica('a');
    const { kept } = await hold(replica);
    expect(replica.locks.keptCount).toBe(1);
    kept.end('closed', 0);
    kept.end('silent', 0);
    await quiet();
    const before = replica.sent.length;
    await world.pass(3 * TTL_MS, 100);
    expect(replica.locks.keptCount).toBe(0);
    expect(replica.sent.slice(before).map(({ op }) => op.kind)).toEqual([]);
  });
});

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
