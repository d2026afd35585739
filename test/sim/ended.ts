/** What menders ended: how much, and whether somebody still relied on it, which is wrong however little it lasts. */
import { force } from '../harness/history/force.ts';
import type { Entry, Held } from '../harness/history/history.ts';
import { jumped } from './excused.ts';
import type { Broken } from './judge.ts';
import type { Plan } from './plan.ts';
import type { Mended } from './world/mender.ts';

/**
 * Of a value that was ended nobody is promised anything: no holder counts on it then, or later. Excepted is what G1
 * excepts, a lease that somebody took away by force and one whose voter's clock has jumped ahead.
 */
export function endedAlive(plan: Plan, history: readonly Entry[], mended: readonly Mended[]): Broken[] {
  const endedMs = new Map<string, number>();
  for (const { leaseRef, atMs } of mended)
    if (leaseRef !== '') endedMs.set(leaseRef, Math.min(atMs, endedMs.get(leaseRef) ?? atMs));
  if (endedMs.size === 0) return [];
  const forced = force(history);
  const held = history.filter((entry): entry is Held => entry.kind === 'held');
  return held.flatMap(({ leaseRef, resources, fromMs, untilMs, client }): Broken[] => {
    const atMs = endedMs.get(leaseRef) ?? Number.POSITIVE_INFINITY;
    const taken = forced.fromMs(leaseRef, resources) <= untilMs;
    if (untilMs <= atMs || taken || jumped(plan, fromMs, atMs)) return [];
    const detail = `${client} relied on lease ${leaseRef} from ${fromMs} to ${untilMs} ms, and it was ended at ${atMs} ms`;
    return [{ rule: 'ended', resource: resources[0] ?? '', atMs, detail }];
  });
}

/** By kind of finding. */
export function mendedOf(mended: readonly Mended[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { finding } of mended) counts[finding] = (counts[finding] ?? 0) + 1;
  return counts;
}
