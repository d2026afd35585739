/** Who asks for a lock that somebody holds: a waiter of higher priority that has waited for a while. */
import { conflict, type Lease } from '../domain/lease.ts';
import { limits } from '../domain/limits.ts';
import type { Quorum } from '../quorum/quorum.ts';
import type { Asker, WaiterView } from './locks.ts';
import { waitersOf } from './views.ts';

/** What a holder says of itself: whoever has no higher priority, or was named before, does not ask it. */
export interface Asked {
  readonly priority: number;
  readonly afterMs: number;
  /** Owners. */
  readonly named?: ReadonlySet<string> | undefined;
}

/** Reads only; undefined where nobody asks, or where it cannot be told. */
export async function askerFor(
  quorum: Quorum,
  { resources, mode }: Pick<Lease, 'resources' | 'mode'>,
  asked: Asked,
): Promise<Asker | undefined> {
  if (asked.priority >= limits.priorityMax) return undefined;
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
  const conflicting = waiters.filter((waiter) => conflict(waiter.mode, mode));
  return mostUrgent(conflicting, asked, nowMs);
}

export function mostUrgent(
  waiters: readonly WaiterView[],
  { priority, afterMs, named }: Asked,
  nowMs: number,
): Asker | undefined {
  let best: WaiterView | undefined;
  for (const waiter of waiters) {
    if (named?.has(waiter.owner) === true) continue;
    if (waiter.priority <= priority || nowMs - waiter.sinceMs < afterMs) continue;
    const more = best === undefined || waiter.priority > best.priority;
    if (more || (waiter.priority === best?.priority && waiter.sinceMs < best.sinceMs)) best = waiter;
  }
  if (best === undefined) return undefined;
  return { owner: best.owner, priority: best.priority, waitedMs: nowMs - best.sinceMs };
}
