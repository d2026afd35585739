/** What becomes of a command when its lease runs short: decided from numbers, so by enumeration. */
import { describe, expect, test } from 'vitest';
import {
  judge,
  killAfterMaxMs,
  nextLookMs,
  type OnLoss,
  type Terms,
  termsOf,
} from '../../../src/cli/run/judge.ts';

function terms(ttlMs = 30_000, killAfterMs?: number, onLoss: OnLoss = 'terminate'): Terms {
  const found = termsOf(ttlMs, killAfterMs, onLoss);
  if (typeof found === 'string') throw new Error(found);
  return found;
}

const healthy = { lost: undefined, toldMs: undefined };

describe('the terms', () => {
  test('are 10 s from TERM to KILL, or a third of a short ttl', () => {
    expect(terms().killAfterMs).toBe(10_000);
    expect(terms(3000).killAfterMs).toBe(1000);
  });

  test.each([1000, 2000, 5000, 30_000, 60_000])('with a ttl of %i ms hold what they promise', (ttlMs) => {
    for (const killAfterMs of [0, undefined, killAfterMaxMs(ttlMs)]) {
      const { killAfterMs: chosen, marginMs, graceMs } = terms(ttlMs, killAfterMs);
      // A lease that is renewed when a third of its ttl has gone is left alone.
      expect(judge({ ...healthy, remainingMs: ttlMs * (2 / 3) * 0.99 - 2 }, terms(ttlMs, killAfterMs))).toBe(
        'go on',
      );
      expect(chosen + marginMs).toBeLessThanOrEqual(ttlMs / 2);
      // An unannounced end of the stream leaves time to be told and killed in, and never asks for more than the ttl.
      expect(graceMs).toBeGreaterThan(chosen + marginMs);
      expect(graceMs).toBeLessThanOrEqual(ttlMs);
    }
  });

  test('that the ttl cannot hold are refused', () => {
    expect(termsOf(30_000, killAfterMaxMs(30_000) + 1, 'terminate')).toContain('--kill-after');
    expect(termsOf(999, 0, 'kill')).toContain('--ttl must be at least 1s');
  });
});

describe('a lease that runs short', () => {
  const { killAfterMs, marginMs } = terms();

  test('ends the command in time to kill it while the lease is its own', () => {
    expect(judge({ ...healthy, remainingMs: killAfterMs + marginMs + 1 }, terms())).toBe('go on');
    expect(judge({ ...healthy, remainingMs: killAfterMs + marginMs }, terms())).toBe('terminate');
    expect(judge({ ...healthy, remainingMs: marginMs }, terms())).toBe('kill');
    expect(judge({ ...healthy, remainingMs: 0 }, terms())).toBe('kill');
  });

  test('that is renewed after all does not spare a command that was told to end', () => {
    expect(judge({ ...healthy, remainingMs: 29_000, toldMs: killAfterMs - 1 }, terms())).toBe('go on');
    expect(judge({ ...healthy, remainingMs: 29_000, toldMs: killAfterMs }, terms())).toBe('kill');
  });

  test('with on-loss kill leaves the command alone until it must die', () => {
    const kill = terms(30_000, undefined, 'kill');
    expect(judge({ ...healthy, remainingMs: marginMs + 1 }, kill)).toBe('go on');
    expect(judge({ ...healthy, remainingMs: marginMs }, kill)).toBe('kill');
  });

  test('with on-loss warn never ends the command', () => {
    const warn = terms(30_000, undefined, 'warn');
    expect(judge({ ...healthy, remainingMs: 1 }, warn)).toBe('go on');
    expect(judge({ ...healthy, remainingMs: 0 }, warn)).toBe('warn');
    for (const lost of ['expired', 'forced'])
      expect(judge({ remainingMs: 0, lost, toldMs: undefined }, warn)).toBe('warn');
  });
});

describe('a lease that is lost', () => {
  test.each(['forced', 'released', 'unknown'])('%s: the command gets its time', (lost) => {
    const look = { remainingMs: 0, lost };
    expect(judge({ ...look, toldMs: undefined }, terms())).toBe('terminate');
    expect(judge({ ...look, toldMs: 9999 }, terms())).toBe('terminate');
    expect(judge({ ...look, toldMs: 10_000 }, terms())).toBe('kill');
    expect(judge({ ...look, toldMs: undefined }, terms(30_000, undefined, 'kill'))).toBe('kill');
  });

  test('by its own count: the command had its time', () => {
    expect(judge({ remainingMs: 0, lost: 'expired', toldMs: undefined }, terms())).toBe('kill');
  });
});

describe('the next look', () => {
  test('is never later than what has to be done next', () => {
    const { killAfterMs, marginMs } = terms();
    expect(nextLookMs({ ...healthy, remainingMs: 29_000 }, terms())).toBe(1000);
    expect(nextLookMs({ ...healthy, remainingMs: killAfterMs + marginMs + 400 }, terms())).toBe(400);
    expect(nextLookMs({ ...healthy, remainingMs: marginMs + 300, toldMs: 0 }, terms())).toBe(300);
    expect(nextLookMs({ ...healthy, remainingMs: 29_000, toldMs: killAfterMs - 70 }, terms())).toBe(70);
    expect(nextLookMs({ ...healthy, remainingMs: 0, toldMs: killAfterMs }, terms())).toBeGreaterThan(0);
  });
});
