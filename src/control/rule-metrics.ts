/** How often rules and quotas have refused callers, in numbers. */
import { QUOTAS, VERBS } from '../domain/access.ts';
import type { Probe } from '../domain/probe.ts';
import { type Family, Numbers } from './families.ts';

export interface RuleMetrics {
  readonly probe: Pick<Probe, 'denied' | 'overQuota'>;
  readonly families: readonly Family[];
}

export function createRuleMetrics(): RuleMetrics {
  const denied = new Numbers(
    'counter',
    'holdfast_denied_total',
    'Calls that the rules of the access file refused, by the verb they needed.',
    ['verb'],
  );
  const over = new Numbers(
    'counter',
    'holdfast_quota_refusals_total',
    'Calls and operations that a quota of the access file refused.',
    ['quota'],
  );
  // Every series exists from the start, so that the first refusal is an increase.
  for (const verb of VERBS) denied.of(verb);
  for (const quota of QUOTAS) over.of(quota);
  return {
    probe: {
      denied: (verb) => {
        denied.of(verb).value += 1;
      },
      overQuota: (quota) => {
        over.of(quota).value += 1;
      },
    },
    families: [denied, over],
  };
}
