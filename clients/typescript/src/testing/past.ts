/** What the fake remembers beyond the moment: answered request_ids, ended leases, and places in line that may be taken again. */
import type { AcquireAsk, Lease } from './model.ts';
import { type LostWhy, leaseLost, type Refusal } from './refusals.ts';

/** A waiter that lost its stream finds its place again for so long (HOLDFAST_WAITER_LIVENESS). */
const PLACE_KEPT_MS = 6000;

export interface Ticket {
  readonly ticketMs: number;
  readonly number: number;
}

/** Undefined for a request that is a new one each time. */
export function keyOf({ owner, requestId }: AcquireAsk): string | undefined {
  return requestId === '' ? undefined : JSON.stringify([owner, requestId]);
}

/** All that was asked but for the wait, which may differ from one repeat to the next. */
function digestOf({ resources, ttlMs, mode, any, priority, labels }: AcquireAsk): string {
  const sorted = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([resources, ttlMs, mode, any, priority, sorted]);
}

export class Past {
  readonly #answers = new Map<string, { readonly digest: string; readonly leaseId: string }>();
  readonly #places = new Map<string, { readonly ticket: Ticket; readonly untilMs: number }>();
  readonly #leases = new Map<string, { readonly facts: Pick<Lease, 'resources' | 'owner'>; why?: LostWhy }>();

  /** The lease that it was answered with, 'other' if it asked for something else then, undefined if it is new. */
  answered(ask: AcquireAsk): { readonly leaseId: string } | 'other' | undefined {
    const key = keyOf(ask);
    const answer = key === undefined ? undefined : this.#answers.get(key);
    if (answer === undefined) return undefined;
    return answer.digest === digestOf(ask) ? { leaseId: answer.leaseId } : 'other';
  }

  granted(
    ask: AcquireAsk,
    { leaseId, resources, owner }: Pick<Lease, 'leaseId' | 'resources' | 'owner'>,
  ): void {
    const key = keyOf(ask);
    if (key !== undefined) this.#answers.set(key, { digest: digestOf(ask), leaseId });
    this.#leases.set(leaseId, { facts: { resources, owner } });
  }

  ended(leaseId: string, why: LostWhy): void {
    const lease = this.#leases.get(leaseId);
    if (lease !== undefined) lease.why = why;
  }

  /** Why a lease that nobody holds is gone. */
  refusalOf(leaseId: string): Refusal {
    return leaseLost(this.#leases.get(leaseId)?.why ?? 'unknown');
  }

  /** Whose lease that is or was, and on what; nothing if there never was one. */
  factsOf(leaseId: string): Partial<Pick<Lease, 'resources' | 'owner'>> {
    return this.#leases.get(leaseId)?.facts ?? {};
  }

  keepPlace(ask: AcquireAsk, { ticketMs, number }: Ticket, nowMs: number): void {
    const key = keyOf(ask);
    if (key === undefined) return;
    this.#places.set(key, { ticket: { ticketMs, number }, untilMs: nowMs + PLACE_KEPT_MS });
  }

  /** The place that was kept for it, once. */
  takePlace(ask: AcquireAsk, nowMs: number): Ticket | undefined {
    const key = keyOf(ask);
    const place = key === undefined ? undefined : this.#places.get(key);
    if (key !== undefined) this.#places.delete(key);
    return place !== undefined && nowMs < place.untilMs ? place.ticket : undefined;
  }
}
