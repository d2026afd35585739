/** An acquire or a resume of a session, and the lease that it becomes. */
import { type Lease, type LeaseName, leaseValueIn } from '../domain/lease.ts';
import type { Asker, Caller, Granted, Kept, KeptNews, Loss, Queued, StreamEnd } from '../locks/locks.ts';
import type { Clock } from '../std/clock.ts';
import type { Subject } from './outbox.ts';
import type { Seq } from './seq-set.ts';

/** What a claim asks of its session, and tells it. */
export interface Claimant {
  readonly clock: Clock;
  readonly principal: string;
  readonly seal: string;
  /** The session is over. */
  gone(): boolean;
  onQueued(claim: Claim, queued: Queued): void;
  onRenewed(claim: Claim, lease: Lease): void;
  onYieldRequested(claim: Claim, asker: Asker): void;
  onLost(claim: Claim, loss: Loss): void;
}

export class Claim implements Caller, KeptNews, Subject {
  readonly seq: Seq;
  /** It may stand in line: as long as it does, it counts among the leases, not among what has to be answered. */
  readonly waits: boolean;
  leaseId = '';
  value = '';
  readonly #session: Claimant;
  #kept: Kept | undefined;
  /** Lost before we heard that it was granted. */
  #lostEarly: Loss | undefined;
  #acts: Set<() => void> | undefined;
  #cancelled = false;
  #state: 'asking' | 'kept' | 'over' = 'asking';

  constructor(session: Claimant, seq: Seq, waits: boolean) {
    this.#session = session;
    this.seq = seq;
    this.waits = waits;
  }

  get principal(): string {
    return this.#session.principal;
  }

  get seal(): string {
    return this.#session.seal;
  }

  get cancelled(): boolean {
    return this.#cancelled;
  }

  gone(): boolean {
    return this.#cancelled || this.#session.gone();
  }

  whenGone(act: () => void): () => void {
    if (this.gone()) {
      // By a timer: the asker does not have the way back yet.
      const timer = this.#session.clock.after(0, act);
      return () => timer.cancel();
    }
    this.#acts ??= new Set();
    this.#acts.add(act);
    return () => this.#acts?.delete(act);
  }

  cancel(): void {
    this.#cancelled = true;
    this.leave();
  }

  /** Nobody waits any more for its answer. */
  leave(): void {
    const acts = this.#acts;
    this.#acts = undefined;
    for (const act of acts ?? []) act();
  }

  /** Of the lease that it has. */
  get name(): LeaseName | undefined {
    return this.#kept?.name;
  }

  keep({ lease, kept }: Granted): void {
    this.#state = 'kept';
    this.#kept = kept;
    this.leaseId = lease.leaseId;
    this.value = leaseValueIn(this.leaseId);
    this.#acts = undefined;
  }

  /** The session has it from now on, and hears what becomes of it. */
  begin(): void {
    if (this.#lostEarly !== undefined) this.#session.onLost(this, this.#lostEarly);
  }

  /** What becomes of its lease, if it has one, now that the session no longer keeps it. */
  end(how: StreamEnd, graceMs: number): void {
    const kept = this.#kept;
    this.drop();
    kept?.end(how, graceMs);
  }

  /** There is nothing to keep, or the locks know: what they may still tell is no news. */
  drop(): void {
    this.#state = 'over';
    this.#kept = undefined;
    this.#acts = undefined;
  }

  queued(queued: Queued): void {
    if (this.#state === 'asking' && !this.gone()) this.#session.onQueued(this, queued);
  }

  renewed(lease: Lease): void {
    if (this.#state === 'kept') this.#session.onRenewed(this, lease);
  }

  yieldRequested(asker: Asker): void {
    if (this.#state === 'kept') this.#session.onYieldRequested(this, asker);
  }

  lost(loss: Loss): void {
    if (this.#state === 'asking') this.#lostEarly = loss;
    else if (this.#state === 'kept') this.#session.onLost(this, loss);
  }
}
