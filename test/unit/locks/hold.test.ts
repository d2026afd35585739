/** A lease that a stream keeps lives as long as the stream, ends as the stream ends, and is never told to be alive when it is not. */
import { describe, expect, test } from 'vitest';
import { callerWho } from '../../harness/asking.ts';
import { hold } from './keeping.ts';
import { quiet, TTL_MS, Wait, World } from './world.ts';

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

  test('a renewal tells what the grant has told, and when it now expires', async () => {
    const world = await World.of();
    const replica = world.replica('a');
    // A grant counts microseconds, a card on a node milliseconds.
    replica.clock.stepWall(123);
    const several = {
      resources: ['two', 'one', 'three'],
      any: 2,
      mode: 'shared',
      labels: { job: 'é' },
    } as const;
    for (const changes of [{}, several]) {
      const ask = { ...changes, requestId: `of ${Object.keys(changes).length}` };
      const { kept, heard } = await hold(replica, ask);
      await world.pass(TTL_MS, 100);
      expect(heard.renewals[0]).toEqual({ ...kept.lease, expireTimeMs: expect.any(Number) });
      const again = await hold(replica, ask);
      await world.pass(TTL_MS, 100);
      expect(again.heard.renewals[0]).toMatchObject({ leaseId: kept.lease.leaseId, replayed: true });
    }
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

test('it is known when the releases of closed streams have been answered', async () => {
  const world = await World.of();
  const replica = world.replica('a');
  const { kept } = await hold(replica);
  world.fate = (_, __, op) => (op.kind === 'release' ? 'later' : 'now');
  kept.end('closed', 0);
  let settled = false;
  void replica.locks.settled().then(() => {
    settled = true;
  });
  await quiet();
  expect(settled).toBe(false);
  await world.deliverAll();
  expect(settled).toBe(true);
});
