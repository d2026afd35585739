/** The one overlap that G1 excepts: a voter's clock jumped ahead, and until that was noticed it had let go too early. */
import { driftRate } from '../../src/domain/limits.ts';
import type { Held, Violation } from '../harness/history/history.ts';
import type { Plan } from './plan.ts';
import { longestOf } from './stable.ts';

/**
 * True of an overlap between a lease from before the jump and one that came while it was still promised: one longest
 * ttl, for what is granted or renewed afterwards is counted by the clock as it then is. Tokens are never excused.
 */
export function excused(plan: Plan, { rule, entries }: Violation): boolean {
  if (rule !== 'overlap') return false;
  const held = entries.filter((entry): entry is Held => entry.kind === 'held');
  const begins = held.map(({ fromMs }) => fromMs).sort((one, other) => one - other);
  const [older, newer] = [begins[0], begins.at(-1)];
  if (older === undefined || newer === undefined) return false;
  return jumped(plan, older, newer);
}

/** A node's clock jumped ahead after `older`, and what was promised before the jump was still promised at `newer`. */
export function jumped(plan: Plan, older: number, newer: number): boolean {
  // A grant is read some time after the node has voted for it.
  const underWayMs = plan.nodeTimeoutMs + 2 * plan.delayMs[1];
  const promisedMs = longestOf(plan) * (1 + driftRate) + underWayMs;
  return plan.faults.some(
    (fault) =>
      fault.kind === 'step' &&
      fault.who === 'node' &&
      fault.ms > 0 &&
      older <= fault.atMs + underWayMs &&
      fault.atMs <= newer &&
      newer <= fault.atMs + promisedMs,
  );
}
