/** Tells the probe what becomes of leases, each end once, whoever hears of it first. */
import { type Lease, type LeaseName, leaseValueIn } from '../domain/lease.ts';
import type { Named, Probe } from '../domain/probe.ts';
import type { LostWhy } from '../domain/refusals.ts';
import type { Token } from '../domain/token.ts';
import type { Quorum } from '../quorum/quorum.ts';
import type { HolderView } from './locks.ts';
import { TracedGrants } from './traced.ts';

/** A holder that was told that it has lost its lease may ask again, and a stream and a Heartbeat may both be told. */
const LOSSES_REMEMBERED = 1024;
/** The reason of a release that nobody asked for: a grant was given back. */
export const UNHEARD = 'its caller was gone';

/** What others may know of a lease: the name is a secret, and the digest is made when somebody wants it. */
class Reference implements Named {
  readonly #name: LeaseName;
  #leaseRef: string | undefined;

  constructor(name: LeaseName) {
    this.#name = name;
  }

  get token(): Token {
    return this.#name.token;
  }

  get leaseRef(): string {
    this.#leaseRef ??= this.#name.leaseRef;
    return this.#leaseRef;
  }
}

export class Chronicle {
  readonly traced = new TracedGrants();
  readonly #quorum: Quorum;
  readonly #probe: Probe;
  readonly #lost = new Set<string>();

  constructor(quorum: Quorum, probe: Probe) {
    this.#quorum = quorum;
    this.#probe = probe;
  }

  /** `seal`: of whom it was granted to; the nodes know the lease by it. */
  granted({ leaseId, resources, owner, leaseRef, token, replayed }: Lease, seal = ''): void {
    if (replayed) return;
    const traceparent = this.#probe.traces?.current();
    if (traceparent !== undefined) this.traced.note(leaseValueIn(leaseId, seal), traceparent);
    const lease = { leaseRef, token };
    this.#probe.happened({ type: 'granted', timeMs: this.#nowMs, resources, owner, lease, reason: '' });
  }

  released(name: LeaseName, owner: string, reason: string): void {
    const { resources, value } = name;
    // A stream that has lost its lease tells the nodes to let go of what is left of it.
    if (this.#lost.has(value)) return;
    const lease = new Reference(name);
    this.#probe.happened({ type: 'released', timeMs: this.#nowMs, resources, owner, lease, reason });
  }

  lost(name: LeaseName, owner: string, reason: LostWhy): void {
    const { resources, value } = name;
    // Whoever released it has told so.
    if (reason === 'released' || this.#lost.has(value)) return;
    this.#lost.add(value);
    if (this.#lost.size > LOSSES_REMEMBERED) {
      const [oldest] = this.#lost;
      this.#lost.delete(oldest as string);
    }
    this.traced.take(value);
    const lease = new Reference(name);
    this.#probe.happened({ type: 'lost', timeMs: this.#nowMs, resources, owner, lease, reason });
  }

  /** `freed` has a view for each resource of each lease. */
  forced(freed: readonly HolderView[], reason: string): void {
    const timeMs = this.#nowMs;
    for (const [leaseRef, views] of Map.groupBy(freed, (view) => view.leaseRef)) {
      const { owner, token } = views[0]!;
      const resources = views.map(({ resource }) => resource);
      this.#probe.happened({ type: 'forced', timeMs, resources, owner, lease: { leaseRef, token }, reason });
    }
  }

  get #nowMs(): number {
    return this.#quorum.clock.wallMicros() / 1000;
  }
}
