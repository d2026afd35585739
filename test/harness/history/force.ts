/** From when on a lease may have been taken away by force, so that its holder's belief proves nothing any more. */
import type { History, Ms } from './history.ts';

export interface Touched {
  /** Infinity: never. */
  fromMs(leaseRef: string, resources: readonly string[]): Ms;
}

/**
 * A force that was not answered and names no lease may have met whoever held the resource then or later: each lease of
 * it counts as touched from the call on. So a run had better name the lease that it forces.
 */
export function force(history: History): Touched {
  const leases = new Map<string, Ms>();
  const resources = new Map<string, Ms>();
  for (const entry of history) {
    if (entry.kind !== 'force') continue;
    for (const leaseRef of entry.leaseRefs) earlier(leases, leaseRef, entry.calledMs);
    if (entry.answeredMs === undefined && entry.leaseRefs.length === 0) {
      earlier(resources, entry.resource, entry.calledMs);
    }
  }
  const never = Number.POSITIVE_INFINITY;
  return {
    fromMs: (leaseRef, names) =>
      Math.min(leases.get(leaseRef) ?? never, ...names.map((name) => resources.get(name) ?? never)),
  };
}

function earlier(times: Map<string, Ms>, key: string, ms: Ms): void {
  times.set(key, Math.min(times.get(key) ?? Number.POSITIVE_INFINITY, ms));
}
