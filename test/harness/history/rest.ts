/** G4 in a history: at rest no node bears a lease or a waiter that nobody has. */
import type { History, Violation } from './history.ts';

export function orphans(history: History): Violation[] {
  return history.flatMap((entry): Violation[] => {
    if (entry.kind !== 'rest') return [];
    const { resource, atMs, leaseRefs, waiters } = entry;
    const left = [
      ...leaseRefs.map((leaseRef) => `lease ${leaseRef}`),
      ...waiters.map((waiter) => `waiter ${waiter}`),
    ];
    if (left.length === 0) return [];
    // Who had it, so that a reader need not look.
    const whose = history.filter(
      (one) => one.kind === 'acquire' && leaseRefs.includes(one.grant?.leaseRef ?? ''),
    );
    return [
      {
        rule: 'orphan',
        resource,
        atMs,
        detail: `left behind: ${left.join(', ')}`,
        entries: [...whose, entry],
      },
    ];
  });
}
