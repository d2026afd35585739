/** Who asks for a lock that somebody holds: a waiter of higher priority that has waited for a while. */
import { conflict, type Lease } from '../domain/lease.ts';
import { limits } from '../domain/limits.ts';
import type { Quorum } from '../quorum/quorum.ts';
import type { Asker, WaiterView } from './locks.ts';
import { waitersOf } from './views.ts';

/** Reads only; undefined where nobody asks, or where it cannot be told. */
export async function askerFor(
  quorum: Quorum,
  { resources, mode }: Pick<Lease, 'resources' | 'mode'>,
  priority: number,
  afterMs: number,
): Promise<Asker | undefined> {
  if (priority >= limits.priorityMax) return undefined;
  const looks = await Promise.all(
    resources.map((resource) =>
      quorum.votes.all({ kind: 'look', resource, history: 0, line: limits.askersSought }),
    ),
  );
  const waiters = looks.flatMap((answers) =>
    waitersOf(
      answers.map((answer) => (answer.kind === 'seen' ? answer.view : undefined)),
      quorum.majority,
    ),
  );
  const nowMs = quorum.tickets.nowMicros() / 1000;
  return mostUrgent(
    waiters.filter((waiter) => conflict(waiter.mode, mode)),
    { priority, afterMs, nowMs },
  );
}

export function mostUrgent(
  waiters: readonly WaiterView[],
  {
    priority,
    afterMs,
    nowMs,
  }: { readonly priority: number; readonly afterMs: number; readonly nowMs: number },
): Asker | undefined {
  let best: WaiterView | undefined;
  for (const waiter of waiters) {
    if (waiter.priority <= priority || nowMs - waiter.sinceMs < afterMs) continue;
    const more = best === undefined || waiter.priority > best.priority;
    if (more || (waiter.priority === best?.priority && waiter.sinceMs < best.sinceMs)) best = waiter;
  }
  if (best === undefined) return undefined;
  return { owner: best.owner, priority: best.priority, waitedMs: nowMs - best.sinceMs };
}
