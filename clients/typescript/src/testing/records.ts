/** What the fake knows of each resource: who holds it, the last token, and what happened. */
import type { Grant } from './grant.ts';
import { conflict } from './line.ts';
import type { AcquireAsk, EventType, Holder, Inspection, Lease, LockEvent, Waiter } from './model.ts';
import { type Refusal, unknownResource } from './refusals.ts';

/** As many as a node of the service keeps for each resource. */
const HISTORY_KEPT = 64;

interface Entry {
  readonly grants: Set<Grant>;
  lastToken: bigint;
  history: LockEvent[];
}

export interface Happening {
  readonly type: EventType;
  readonly timeMs: number;
  readonly resources: readonly string[];
  readonly owner: string;
  readonly leaseRef?: string;
  readonly token?: bigint;
  readonly reason?: string;
}

export class Records {
  readonly #entries = new Map<string, Entry>();

  knows(resource: string): boolean {
    return this.#entries.has(resource);
  }

  /** In byte order: names are ASCII. */
  names(): string[] {
    return [...this.#entries.keys()].sort();
  }

  /** In the order in which they were granted. */
  on(resource: string): Grant[] {
    return [...(this.#entries.get(resource)?.grants ?? [])];
  }

  holders(resource: string): Holder[] {
    return this.on(resource).map((grant) => holderOf(grant.lease(), resource));
  }

  /** Who keeps `ask` from what it wants. */
  inTheWay({ resources, mode }: AcquireAsk): Holder[] {
    const holders = resources.flatMap((resource) => this.holders(resource));
    return holders.filter((holder) => conflict(holder.mode, mode));
  }

  inspect(resource: string, waiters: readonly Waiter[], historyMost: number): Inspection | Refusal {
    const entry = this.#entries.get(resource);
    if (entry === undefined) return unknownResource(resource);
    const history = entry.history.slice(0, historyMost);
    return { resource, holders: this.holders(resource), waiters, lastToken: entry.lastToken, history };
  }

  checkToken(resource: string, token: bigint): { current: boolean; lastToken: bigint } | Refusal {
    const entry = this.#entries.get(resource);
    if (entry === undefined) return unknownResource(resource);
    const current = this.on(resource).some(({ facts }) => facts.token === token);
    return { current, lastToken: entry.lastToken };
  }

  take(grant: Grant): void {
    const { resources, token } = grant.facts;
    for (const resource of resources) {
      const entry = this.#entry(resource);
      entry.grants.add(grant);
      entry.lastToken = token;
    }
    this.note(grant.step('granted'));
  }

  give(grant: Grant): void {
    for (const resource of grant.facts.resources) this.#entry(resource).grants.delete(grant);
  }

  note({ resources, leaseRef = '', token = 0n, reason = '', ...rest }: Happening): void {
    for (const resource of resources) {
      const entry = this.#entry(resource);
      const event: LockEvent = { ...rest, resource, leaseRef, token, reason };
      // A renewal takes the place of the one before it: a lease is renewed without end.
      const old = event.type === 'renewed' ? entry.history.findIndex((one) => sameStep(one, event)) : -1;
      if (old >= 0) entry.history.splice(old, 1);
      entry.history = [event, ...entry.history].slice(0, HISTORY_KEPT);
    }
  }

  #entry(resource: string): Entry {
    let entry = this.#entries.get(resource);
    if (entry === undefined) {
      entry = { grants: new Set(), lastToken: 0n, history: [] };
      this.#entries.set(resource, entry);
    }
    return entry;
  }
}

function sameStep(one: LockEvent, other: LockEvent): boolean {
  return one.type === other.type && one.token === other.token;
}

/** A lease as views show it: without its id. */
function holderOf(lease: Lease, resource: string): Holder {
  const { owner, leaseRef, token, mode, acquireTimeMs, expireTimeMs, labels, progress } = lease;
  return { resource, owner, leaseRef, token, mode, acquireTimeMs, expireTimeMs, labels, progress };
}

/** One entry for each of its resources. */
export function holdersIn(lease: Lease): readonly Holder[] {
  return lease.resources.map((resource) => holderOf(lease, resource));
}
