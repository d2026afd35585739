/** The leases of a session: asked for, kept, lost and given up; and whether its reader still takes what they tell. */
import { status } from '@grpc/grpc-js';
import { type Lease, type LeaseName, leaseValueIn } from '../domain/lease.ts';
import { limits } from '../domain/limits.ts';
import { type Refusal, refuse } from '../domain/refusals.ts';
import type { Asker, Busy, Granted, Loss, Queued, StreamEnd } from '../locks/locks.ts';
import type { Clock } from '../std/clock.ts';
import type { Visit } from './access/visit.ts';
import { Claim, type Claimant } from './claim.ts';
import { decodeAcquire, decodeResume } from './decode.ts';
import { encodeBusy, encodeLease } from './encode.ts';
import { within } from './fields.ts';
import { bytesOfBusy, bytesOfHolder, bytesOfLease, fitting } from './fit.ts';
import type { AcquireRequest__Output } from './gen/holdfast/v1/AcquireRequest.ts';
import type { ResumeOp__Output } from './gen/holdfast/v1/ResumeOp.ts';
import type { SessionResponse } from './gen/holdfast/v1/SessionResponse.ts';
import type { Lifeline } from './lifeline.ts';
import { type CallContext, refused, turnedAway } from './lock-calls.ts';
import type { Outbox } from './outbox.ts';
import { type Seq, wireSeq } from './seq-set.ts';
import { draining, isRefusal } from './status.ts';
import type { Unanswered } from './unanswered.ts';
import type { Writes } from './writes.ts';

const tooMany: Refusal = refuse(
  'QUOTA',
  `this session has ${limits.leasesPerSession} leases and acquires that wait; use another`,
  { retryAfterMs: 1000 },
);

/** What gRPC says of a call that its client gave up; no reason of ours. */
const GIVEN_UP = { code: status.CANCELLED, reason: '', message: 'given up by cancel' };

/** What the claims share with their session. */
export interface Claiming {
  readonly context: Pick<CallContext, 'clock' | 'probe'>;
  readonly visit: Visit;
  readonly lifeline: Lifeline;
  readonly writes: Writes<SessionResponse>;
  readonly outbox: Outbox;
  readonly unanswered: Unanswered;
  onDefect(seq: Seq, cause: unknown): void;
  /** An operation was answered that nobody listens for any more. */
  onUnheard(): void;
  onStalled(): void;
}

export class Claims implements Claimant {
  readonly clock: Clock;
  readonly #session: Claiming;
  /** By lease value: whoever knows it may release it through any operation. */
  readonly #kept = new Map<string, Claim>();
  /** The same claims by their operation, for whoever gives one up. */
  readonly #bySeq = new Map<Seq, Claim>();
  #draining = false;
  /** How the session ended. */
  #ended: { readonly how: StreamEnd; readonly graceMs: number } | undefined;
  /** Whose renewals pace the look at what has left; one at a time, so that it costs each of them nothing. */
  #pacer: Claim | undefined;
  #mark = 0;

  constructor(session: Claiming) {
    this.clock = session.context.clock;
    this.#session = session;
  }

  get principal(): string {
    return this.#session.visit.principal;
  }

  get seal(): string {
    return this.#session.visit.seal;
  }

  get kept(): number {
    return this.#kept.size;
  }

  /** Nothing new is begun. */
  drain(): void {
    this.#draining = true;
  }

  async acquire(seq: Seq, request: AcquireRequest__Output): Promise<void> {
    const { visit, lifeline } = this.#session;
    try {
      const ask = this.#draining ? draining : decodeAcquire(request, visit.settings);
      const claim = this.#claim(seq, 'acquire', ask, !isRefusal(ask) && ask.waitMs > 0);
      if (claim === undefined || isRefusal(ask)) return;
      const answer = await visit.locks.hold(lifeline.deadline.cut(ask), claim, claim);
      this.#answer(claim, 'acquire', answer);
    } catch (cause) {
      this.#session.onDefect(seq, cause);
    }
  }

  async resume(seq: Seq, request: ResumeOp__Output): Promise<void> {
    const { visit } = this.#session;
    try {
      const lease = this.#draining ? draining : decodeResume(request, visit.settings);
      const claim = this.#claim(seq, 'resume', lease, false);
      if (claim === undefined || isRefusal(lease)) return;
      this.#answer(claim, 'resume', await visit.locks.resume(lease, claim));
    } catch (cause) {
      this.#session.onDefect(seq, cause);
    }
  }

  /** Whoever knows the lease releases it: the locks tell of that, and this session knows already. */
  letGo(value: string): void {
    const claim = this.#kept.get(value);
    if (claim === undefined) return;
    this.#remove(claim);
    claim.drop();
  }

  /** As the end of the stream would, without grace: its release names the binding, and frees nothing of a newer claim. */
  giveUp(seq: Seq): void {
    const claim = this.#bySeq.get(seq);
    if (claim === undefined) return;
    this.#remove(claim);
    claim.end('closed', 0);
  }

  /** Of a lease that it has by this very id: no need to take the id apart. */
  nameOf(leaseId: string): LeaseName | undefined {
    const claim = this.#kept.get(leaseValueIn(leaseId));
    return claim?.leaseId === leaseId ? claim.name : undefined;
  }

  /** The session is over, and with it what it kept. What is granted from now on ends in the same way. */
  end(how: StreamEnd, graceMs: number): void {
    this.#ended = { how, graceMs };
    const kept = [...this.#kept.values()];
    this.#kept.clear();
    this.#bySeq.clear();
    this.#pacer = undefined;
    for (const claim of kept) {
      try {
        claim.end(how, graceMs);
      } catch (cause) {
        this.#session.onDefect(claim.seq, cause);
      }
    }
  }

  gone(): boolean {
    return this.#session.lifeline.gone();
  }

  onQueued(claim: Claim, queued: Queued): void {
    this.#session.outbox.queued(claim, queued);
  }

  onRenewed(claim: Claim, lease: Lease): void {
    const { writes, outbox, onStalled } = this.#session;
    if (this.#pacer === claim && writes.stuck(this.#mark)) {
      onStalled();
      return;
    }
    if (this.#pacer === undefined || this.#pacer === claim || !writes.awaits(this.#mark)) {
      this.#pacer = claim;
      this.#mark = writes.mark();
    }
    outbox.renewed(claim, lease);
  }

  onYieldRequested(claim: Claim, asker: Asker): void {
    this.#session.outbox.yieldRequested(claim, asker);
  }

  onLost(claim: Claim, loss: Loss): void {
    this.#remove(claim);
    claim.drop();
    // While draining it has gone where it was told to go.
    if (!this.#draining || loss.takenOver !== true) this.#session.outbox.lost(claim, loss);
  }

  #claim(seq: Seq, name: 'acquire' | 'resume', ask: object, waits: boolean): Claim | undefined {
    const { context, visit, outbox, unanswered } = this.#session;
    const full = this.#kept.size + unanswered.claims >= limits.leasesPerSession;
    const refusal = isRefusal(ask) ? ask : full ? tooMany : undefined;
    if (refusal !== undefined) {
      if (refusal === draining) refused(context, name, refusal);
      else turnedAway(context, visit, name, refusal);
      outbox.refuse(seq, within(name, refusal));
      return undefined;
    }
    const claim = new Claim(this, seq, waits);
    unanswered.add(seq, claim);
    return claim;
  }

  #answer(claim: Claim, name: 'acquire' | 'resume', answer: Granted | Busy | Refusal): void {
    const { outbox, unanswered, onUnheard } = this.#session;
    const { seq } = claim;
    unanswered.remove(seq);
    outbox.answered(claim);
    if (answer.kind === 'granted') claim.keep(answer);
    else claim.drop();
    // What was taken for this operation, and nobody heard of, may not stay (G4).
    const isNew = answer.kind === 'granted' && name === 'acquire' && !answer.lease.replayed;
    if (this.#ended !== undefined) {
      claim.end(isNew ? 'closed' : this.#ended.how, this.#ended.graceMs);
      onUnheard();
    } else if (claim.cancelled) {
      claim.end(isNew ? 'closed' : 'silent', 0);
      outbox.fail(seq, GIVEN_UP);
    } else if (answer.kind === 'granted') this.#grant(claim, name, answer.lease);
    else if (answer.kind === 'refusal') outbox.refuse(seq, within(name, answer));
    else {
      // Of the holders that are left out Inspect can tell.
      const told = { ...answer, holders: fitting(answer.holders, bytesOfHolder, outbox.busyBytes) };
      outbox.result({ seq: wireSeq(seq), acquire: { busy: encodeBusy(told) } }, bytesOfBusy(told));
    }
  }

  #grant(claim: Claim, name: 'acquire' | 'resume', lease: Lease): void {
    const { outbox } = this.#session;
    const seq = wireSeq(claim.seq);
    const message = encodeLease(lease);
    // The same lease by another operation of this session: it goes on under the newer one.
    this.letGo(claim.value);
    outbox.found(claim.value);
    this.#kept.set(claim.value, claim);
    this.#bySeq.set(claim.seq, claim);
    outbox.result(
      name === 'acquire' ? { seq, acquire: { lease: message } } : { seq, resume: message },
      bytesOfLease(lease),
    );
    claim.begin();
  }

  #remove(claim: Claim): void {
    if (this.#kept.get(claim.value) === claim) this.#kept.delete(claim.value);
    if (this.#bySeq.get(claim.seq) === claim) this.#bySeq.delete(claim.seq);
    if (this.#pacer === claim) this.#pacer = undefined;
    this.#session.outbox.forget(claim);
  }
}
