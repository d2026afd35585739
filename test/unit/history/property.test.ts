/** Random histories of a right service never break a rule, and almost anything that is put wrong in them does. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { check, tally } from '../../harness/history/check.ts';
import { formatViolation } from '../../harness/history/format.ts';
import type { Entry } from '../../harness/history/history.ts';
import { unexplained } from '../../harness/history/linear.ts';
import { operationsOf } from '../../harness/history/lock-object.ts';
import { granted, released, renewed } from './entries.ts';
import { mutations } from './mutations.ts';
import { hasOrder } from './search.ts';
import { JITTER_MS, SoundRun, type Step } from './sound.ts';

const step: fc.Arbitrary<Step> = fc.record({
  what: fc.nat({ max: 99 }),
  who: fc.nat({ max: 9 }),
  where: fc.nat({ max: 39 }),
  beforeMs: fc.nat({ max: JITTER_MS }),
  afterMs: fc.nat({ max: JITTER_MS }),
  more: fc.nat({ max: 99 }),
});
const runs = fc.array(step, { minLength: 1, maxLength: 150, size: 'max' });

function broken(history: readonly Entry[], priorityStepMs: number): string[] {
  // An answer may come that much later than what it tells of, and be known only when the queue's word was read.
  const order = { priorityStepMs, livenessMs: 1000, slackMs: 3 * JITTER_MS };
  return check(history, { order }).map(formatViolation);
}

test('a service that keeps its promises breaks no rule', () => {
  const sums = { granted: 0, unknown: 0, twinLost: 0, busy: 0 };
  fc.assert(
    fc.property(runs, (steps) => {
      const run = new SoundRun();
      const history = run.play(steps);
      expect(broken(history, run.priorityStepMs)).toEqual([]);
      const { granted, unknown, twinLost, refused } = tally(history);
      sums.granted += granted;
      sums.unknown += unknown;
      sums.twinLost += twinLost;
      sums.busy += refused.BUSY ?? 0;
    }),
    { numRuns: 300 },
  );
  for (const [what, count] of Object.entries(sums)) expect(count, what).toBeGreaterThan(20);
});

/** Grants, renewals and releases as chance has it, seldom right. */
const operation = fc.record({
  kind: fc.constantFrom('renew' as const, 'release' as const, 'repeat' as const),
  lease: fc.nat({ max: 2 }),
  calledMs: fc.nat({ max: 12 }),
  lastsMs: fc.nat({ max: 6 }),
});
const grant = fc.record({ calledMs: fc.nat({ max: 9 }), lastsMs: fc.nat({ max: 9 }), shares: fc.boolean() });
const anyHistory = fc
  .tuple(fc.array(grant, { minLength: 3, maxLength: 3 }), fc.array(operation, { maxLength: 5 }))
  .map(([grants, operations]): Entry[] => [
    ...grants.map(({ calledMs, lastsMs, shares }, lease) =>
      granted(`L${lease}`, lease + 1, calledMs, calledMs + lastsMs, modeOf(shares, lease)),
    ),
    ...operations.map(({ kind, lease, calledMs, lastsMs }) => {
      if (kind === 'renew') return renewed(`L${lease}`, calledMs, calledMs + lastsMs);
      if (kind === 'release') return released(`L${lease}`, calledMs, calledMs + lastsMs);
      return granted(
        `L${lease}`,
        lease + 1,
        calledMs,
        calledMs + lastsMs,
        modeOf(grants[lease]!.shares, lease),
      );
    }),
  ]);

function modeOf(shares: boolean, lease: number): { requestId: string; mode: 'shared' | 'exclusive' } {
  return { requestId: `q${lease}`, mode: shares ? 'shared' : 'exclusive' };
}

test('an order is found exactly where a search of all orders finds one', () => {
  const found = { right: 0, wrong: 0 };
  fc.assert(
    fc.property(anyHistory, (history) => {
      const wrong = unexplained(history).length > 0;
      expect(wrong).toBe(![...operationsOf(history).values()].every(hasOrder));
      found[wrong ? 'wrong' : 'right'] += 1;
    }),
    { numRuns: 2000 },
  );
  expect(Math.min(found.right, found.wrong)).toBeGreaterThan(200);
});

test.each(mutations)('found where it is put in: $name', ({ rule, put }) => {
  let times = 0;
  fc.assert(
    fc.property(runs, fc.nat({ max: 999 }), (steps, at) => {
      const run = new SoundRun();
      const history = run.play(steps);
      const wrong = put(history, at);
      if (wrong === undefined) return;
      times += 1;
      const order = { priorityStepMs: run.priorityStepMs, livenessMs: 1000, slackMs: 3 * JITTER_MS };
      const rules = check(wrong, { order }).map((violation) => violation.rule);
      expect(rules).toContain(rule);
    }),
    { numRuns: 150 },
  );
  expect(times, 'how often it could be put in').toBeGreaterThan(2);
});
