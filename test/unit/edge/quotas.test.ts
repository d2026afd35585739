/** Quotas: what is counted, when it is given back, and that nothing is counted for whoever is refused. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Quota } from '../../../src/domain/access.ts';
import { Account, Accounts, holdRefusal, ttlRefusal } from '../../../src/edge/access/quotas.ts';
import { ManualClock } from '../../../src/std/clock.ts';

const acquire = { waits: false, request: '' };
const wait = { waits: true, request: '' };
const over = (quota: string) => ({ reason: 'QUOTA', metadata: { quota }, retryAfterMs: expect.any(Number) });

function fresh() {
  const clock = new ManualClock();
  return { clock, account: new Account(clock) };
}

describe('leases', () => {
  const quota: Quota = { leases: 2 };

  test('are refused beyond the limit, and had again when one is given back', () => {
    const { account } = fresh();
    for (const value of ['a', 'b']) {
      expect(account.enter(quota, acquire)).toBeUndefined();
      account.keep(quota, value, 1000);
      account.leave(acquire);
    }
    expect(account.enter(quota, acquire)).toMatchObject(over('leases'));
    account.drop('a');
    expect(account.enter(quota, acquire)).toBeUndefined();
  });

  test('are counted while they are asked for, so that many at once have no more than the limit', () => {
    const { account } = fresh();
    const outcomes = Array.from({ length: 50 }, () => account.enter(quota, acquire));
    expect(outcomes.filter((refusal) => refusal === undefined)).toHaveLength(2);
    account.leave(acquire);
    expect(account.enter(quota, acquire)).toBeUndefined();
  });

  test('that expired count no longer, and those that were renewed do', () => {
    const { clock, account } = fresh();
    account.keep(quota, 'a', 1000);
    account.keep(quota, 'b', 1000);
    clock.advance(900);
    account.keep(quota, 'b', 1000);
    expect(account.enter(quota, acquire)).toMatchObject(over('leases'));
    clock.advance(100);
    expect(account.enter(quota, acquire)).toBeUndefined();
    expect(account.enter(quota, acquire)).toMatchObject(over('leases'));
    expect(account.leases).toBe(1);
  });

  test('that are asked for again, by their request or to be resumed, need no more room', () => {
    const { account } = fresh();
    account.keep(quota, 'a', 1000, 'w1\nr1');
    account.keep(quota, 'b', 1000);
    expect(account.enter(quota, { waits: false, request: 'w1\nr2' })).toMatchObject(over('leases'));
    expect(account.enter(quota, { waits: false, request: 'w1\nr1' })).toBeUndefined();
    expect(account.enter(quota, acquire, 'b')).toBeUndefined();
    account.keep(quota, 'a', 1000);
    expect(account.enter(quota, { waits: false, request: 'w1\nr1' })).toBeUndefined();
  });

  test('are not remembered where there is no limit', () => {
    const { account } = fresh();
    for (let at = 0; at < 1000; at += 1) account.keep({}, String(at), 1000);
    expect(account.leases).toBe(0);
    expect(account.enter({}, acquire)).toBeUndefined();
  });

  test('never exceed the limit, whatever happens, and come down to none', () =>
    fc.assert(
      fc.property(
        fc.array(
          fc.record({ what: fc.constantFrom('ask', 'grant', 'refuse', 'drop', 'pass'), at: fc.nat(9) }),
        ),
        fc.integer({ min: 1, max: 4 }),
        (steps, leases) => {
          const { clock, account } = fresh();
          let asked = 0;
          const held = new Map<string, number>();
          steps.forEach(({ what, at }, index) => {
            if (what === 'ask' && account.enter({ leases }, acquire) === undefined) asked += 1;
            else if (what === 'grant' && asked > 0) {
              asked -= 1;
              account.keep({ leases }, `v${index}`, 100);
              account.leave(acquire);
              held.set(`v${index}`, clock.monotonicMs() + 100);
            } else if (what === 'refuse' && asked > 0) {
              asked -= 1;
              account.leave(acquire);
            } else if (what === 'drop') {
              const value = [...held.keys()][at];
              if (value !== undefined) account.drop(value);
              if (value !== undefined) held.delete(value);
            } else if (what === 'pass') clock.advance(at * 10);
            for (const [value, untilMs] of held) if (untilMs <= clock.monotonicMs()) held.delete(value);
            expect(held.size + asked).toBeLessThanOrEqual(leases);
          });
          // As many as the model says may still come, and not one more.
          for (let room = leases - held.size - asked; room > 0; room -= 1) {
            expect(account.enter({ leases }, acquire)).toBeUndefined();
          }
          expect(account.enter({ leases }, acquire)).toMatchObject(over('leases'));
        },
      ),
    ));
});

test('waiters are those who may stand in line, and a refused one takes no lease either', () => {
  const { account } = fresh();
  const quota: Quota = { waiters: 1, leases: 3 };
  expect(account.enter(quota, wait)).toBeUndefined();
  expect(account.enter(quota, wait)).toMatchObject(over('waiters'));
  expect(account.enter(quota, acquire)).toBeUndefined();
  expect(account.enter(quota, acquire)).toBeUndefined();
  expect(account.enter(quota, acquire)).toMatchObject(over('leases'));
  account.leave(wait);
  expect(account.enter(quota, wait)).toBeUndefined();
});

test('streams are given back as they end', () => {
  const { account } = fresh();
  const quota: Quota = { streams: 2 };
  expect([1, 2, 3].map(() => account.enterStream(quota)?.reason)).toEqual([undefined, undefined, 'QUOTA']);
  account.leaveStream();
  expect(account.enterStream(quota)).toBeUndefined();
});

describe('the rate', () => {
  const quota: Quota = { ratePerSecond: 10 };
  const taken = (account: Account, times: number, limit = quota) =>
    Array.from({ length: times }, () => account.rate(limit)).filter((refusal) => refusal === undefined)
      .length;

  test('lets a second’s worth through at once, and then as many as the time brings', () => {
    const { clock, account } = fresh();
    expect(taken(account, 50)).toBe(10);
    clock.advance(100);
    expect(taken(account, 50)).toBe(1);
    clock.advance(10_000);
    expect(taken(account, 50)).toBe(10);
  });

  test('says when to ask again, and whoever does is let through', () => {
    const { clock, account } = fresh();
    expect(taken(account, 10)).toBe(10);
    const refusal = account.rate(quota);
    expect(refusal).toMatchObject(over('rate'));
    clock.advance(refusal!.retryAfterMs! - 1);
    expect(account.rate(quota)).toBeDefined();
    clock.advance(1);
    expect(account.rate(quota)).toBeUndefined();
  });

  test('may be changed while it is counted, and may be less than one', () => {
    const { clock, account } = fresh();
    expect(taken(account, 50)).toBe(10);
    clock.advance(1000);
    expect(taken(account, 50, { ratePerSecond: 3 })).toBe(3);
    clock.advance(2000);
    expect(taken(account, 50, { ratePerSecond: 0.5 })).toBe(1);
    expect(taken(account, 5, {})).toBe(5);
  });
});

test('a ttl, and a hold, are refused one millisecond above the longest', () => {
  const clock = new ManualClock();
  const granted = BigInt(clock.wallMicros());
  expect(ttlRefusal({ maxTtlMs: 1000 }, 1000)).toBeUndefined();
  expect(ttlRefusal({ maxTtlMs: 1000 }, 1001)).toMatchObject(over('max_ttl'));
  expect(ttlRefusal({ maxHoldMs: 1000 }, 1001)).toMatchObject(over('max_hold'));
  expect(ttlRefusal({}, 86_400_000)).toBeUndefined();
  clock.advance(400);
  expect(holdRefusal({ maxHoldMs: 1000 }, granted, 600, clock)).toBeUndefined();
  expect(holdRefusal({ maxHoldMs: 1000 }, granted, 601, clock)).toMatchObject(over('max_hold'));
  expect(holdRefusal({}, granted, 86_400_000, clock)).toBeUndefined();
});

test('accounts of identities that use nothing are forgotten, and those in use are not', () => {
  const clock = new ManualClock();
  const accounts = new Accounts(clock);
  const kept = accounts.of('/ann');
  kept.enterStream({});
  for (let at = 0; at < 100_000; at += 1) accounts.of(`/passer-by-${at}`);
  expect(accounts.size).toBeLessThan(3000);
  expect(accounts.of('/ann')).toBe(kept);
});
