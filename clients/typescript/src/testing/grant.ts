/** One lease while it stands: how long it is good for, which stream keeps it, and when it is renewed. */
import type { Timer } from '../clock.ts';
import type { Keeper, Lease, LockEvent, Time } from './model.ts';

/** The service renews after a quarter to a third of the ttl; the fake always at the same point between them. */
const RENEW_AT = 0.3;

export type LeaseFacts = Omit<Lease, 'expireTimeMs' | 'progress'>;

export interface GrantHost {
  readonly time: Time;
  /** False while a test keeps the service from renewing. */
  renews(): boolean;
  onRenewed(grant: Grant): void;
  /** Its time is up: that of the lease, or that of the grace of the stream that kept it. */
  onDue(grant: Grant, what: 'expired' | 'released'): void;
}

export class Grant {
  readonly facts: LeaseFacts;
  keeper: Keeper | undefined;
  progress = '';
  readonly #host: GrantHost;
  #untilMs: number;
  #expiry: Timer | undefined;
  #other: Timer | undefined;

  constructor(host: GrantHost, facts: LeaseFacts) {
    this.#host = host;
    this.facts = facts;
    this.#untilMs = host.time.nowMs();
    this.extend(facts.ttlMs);
  }

  get leftMs(): number {
    return this.#untilMs - this.#host.time.nowMs();
  }

  /** As it stands now; `ttlMs` is what the answer promises. */
  lease(ttlMs = this.facts.ttlMs): Lease {
    const expireTimeMs = this.#host.time.wallMs() + this.leftMs;
    return { ...this.facts, ttlMs, expireTimeMs, progress: this.progress };
  }

  /** Never shortens it. */
  extend(ttlMs: number): void {
    this.#untilMs = Math.max(this.#untilMs, this.#host.time.nowMs() + ttlMs);
    this.#expiry?.cancel();
    this.#expiry = this.#host.time.after(this.leftMs, () => this.#host.onDue(this, 'expired'), false);
  }

  /** `keeper` has it from now on; whoever had it before is no longer told of it. */
  keep(keeper: Keeper): void {
    this.keeper = keeper;
    this.#renewLater();
  }

  /** Its stream has ended: it goes when the grace is over, unless another stream takes it up. */
  linger(graceMs: number): void {
    this.leave();
    this.extend(graceMs);
    this.#other = this.#host.time.after(graceMs, () => this.#host.onDue(this, 'released'), false);
  }

  /** Nobody keeps it: it stands until its time is up. */
  leave(): void {
    this.keeper = undefined;
    this.#other?.cancel();
    this.#other = undefined;
  }

  stop(): void {
    this.leave();
    this.#expiry?.cancel();
  }

  #renewLater(): void {
    this.#other?.cancel();
    this.#other = this.#host.time.after(this.facts.ttlMs * RENEW_AT, () => this.#renew(), false);
  }

  #renew(): void {
    this.#renewLater();
    if (!this.#host.renews()) return;
    this.extend(this.facts.ttlMs);
    this.#host.onRenewed(this);
  }

  /** What is told of a step of this lease. */
  step(type: LockEvent['type'], reason = ''): Omit<LockEvent, 'resource'> & { resources: readonly string[] } {
    const { owner, leaseRef, token, resources } = this.facts;
    return { type, timeMs: this.#host.time.wallMs(), resources, owner, leaseRef, token, reason };
  }
}
