/** Judges pairs of histories: one that breaks a guarantee, and the nearest one that breaks none. */
import { expect, test } from 'vitest';
import { check } from '../../harness/history/check.ts';
import type { Entry, Rule } from '../../harness/history/history.ts';
import type { OrderOptions } from '../../harness/history/order.ts';

export interface Pair {
  readonly name: string;
  readonly rules: readonly Rule[];
  readonly wrong: readonly Entry[];
  readonly right: readonly Entry[];
  /** Of rule `order`, besides a step of 5000, a liveness of 1000 and a slack of 100. */
  readonly order?: Partial<OrderOptions>;
}

export const ORDER: OrderOptions = { priorityStepMs: 5000, livenessMs: 1000, slackMs: 100 };

export function judges(pairs: readonly Pair[]): void {
  test.each(pairs)('$name', ({ rules, wrong, right, order }) => {
    const options = { order: { ...ORDER, ...order } };
    const rulesOf = (history: readonly Entry[]): Rule[] => [
      ...new Set(check(history, options).map(({ rule }) => rule)),
    ];
    expect(rulesOf(right), 'the right one').toEqual([]);
    expect(rulesOf(wrong), 'the wrong one').toEqual(rules);
    expect(rulesOf([...wrong].reverse()), 'in another order of the entries').toEqual(rules);
    for (const { entries, detail } of check(wrong, options)) {
      expect(entries.length, detail).toBeGreaterThan(0);
      expect(wrong).toEqual(expect.arrayContaining([...entries]));
    }
  });
}
