/**
 * The leases of one client: taken, resumed, confirmed, lost.
 *
 * A lease is RESUMED, which begins its count anew, at every new stream; on its own stream when so many renewals were
 * added that the count has worn down; and, as CONFIRMATION before its caller gets it, when it was waited for so long
 * that little is left of the count, or was replayed. While a resume is out, `lost` of the older claim is no news: the
 * answer tells. A resume that fails for want of a majority is asked again for as long as the count lasts.
 */
import type { Clock } from '../clock.ts';
import { durationMs, timestampMs } from '../durations.ts';
import { DrainingError, type HoldfastError, LeaseLostError, type LostWhy } from '../errors.ts';
import type { LeaseRead, LostRead, SessionEventRead } from '../gen/messages.ts';
import { queuedOf, yieldOf } from '../views.ts';
import { wideToNumber } from '../wire/wide.ts';
import { AcquireOp } from './acquire-op.ts';
import { type Agenda, Appointment } from './agenda.ts';
import type { Keep, Keeper } from './keep.ts';
import { ResumeOp, type Resumer } from './lease-ops.ts';
import type { Op } from './op.ts';
import type { Stream } from './stream.ts';

/** What the leases ask of their session. */
export interface Home {
  submit(op: Op): void;
  /**
   * Ends a lease that its holder no longer relies on, by the operation that keeps it and not by its id: a repeat of its
   * request may have it by now, and what names no binding would take it from there.
   */
  giveBack(stream: Stream | undefined, seq: number): void;
  onStreamDraining(stream: Stream): void;
  streams(): Iterable<Stream>;
}

/** A lease that its caller does not have yet. */
interface Confirmation {
  readonly op: AcquireOp;
  readonly untilMs: number;
  readonly done: () => void;
}

const RETRY_MS = 250;
const LOST_REASONS: readonly LostWhy[] = ['unknown', 'expired', 'released', 'forced', 'unknown'];

export class Keeping implements Keeper, Resumer {
  readonly #home: Home;
  readonly #clock: Clock;
  readonly #agenda: Agenda;
  /** Whose stream has ended. */
  readonly #homeless = new Set<Keep>();
  readonly #confirmations = new Map<Keep, Confirmation>();
  readonly #watched = new Set<Keep>();
  readonly #again = new Set<Keep>();
  readonly #alarm: Appointment;
  readonly #retry: Appointment;
  #size = 0;

  constructor(home: Home, clock: Clock, agenda: Agenda) {
    this.#home = home;
    this.#clock = clock;
    this.#agenda = agenda;
    this.#alarm = new Appointment(() => this.#ring(), false);
    this.#retry = new Appointment(() => this.#tryAgain(), true);
  }

  get size(): number {
    return this.#size;
  }

  nowMs(): number {
    return this.#clock.nowMs();
  }

  watch(keep: Keep): void {
    this.#watched.add(keep);
    this.#wakeAt(keep.count.untilMs);
  }

  onLost(keep: Keep, tell: boolean): void {
    this.forget(keep);
    if (tell) this.#home.giveBack(keep.stream, keep.seq);
  }

  take(keep: Keep, seq: number, stream: Stream): void {
    keep.stream = stream;
    keep.seq = seq;
    stream.keeps.set(seq, keep);
    if (this.#homeless.size > 0) this.#homeless.delete(keep);
    if (!keep.kept) this.#size += 1;
    keep.kept = true;
  }

  forget(keep: Keep): void {
    if (!keep.kept) return;
    keep.kept = false;
    this.#size -= 1;
    if (keep.stream?.keeps.get(keep.seq) === keep) keep.stream.keeps.delete(keep.seq);
    if (this.#homeless.size > 0) this.#homeless.delete(keep);
    if (this.#watched.size > 0) this.#watched.delete(keep);
    if (this.#confirmations.size > 0) this.#confirmations.delete(keep);
  }

  /** `done` once the lease is certainly valid for long enough. */
  confirm(keep: Keep, op: AcquireOp, done: () => void): void {
    this.#confirmations.set(keep, { op, done, untilMs: this.nowMs() + durationMs(keep.lease.ttl) });
    this.#resume(keep);
  }

  /** For all leases that are not on this stream. */
  resumes(stream: Stream): ResumeOp[] {
    const ops: ResumeOp[] = [];
    for (const keep of this.#all()) {
      if (keep.stream === stream || !this.#isWanted(keep)) continue;
      keep.resuming = true;
      ops.push(new ResumeOp(this, keep));
    }
    return ops;
  }

  onEvent(stream: Stream, { seq: wide, queued, renewed, lost, yield_request }: SessionEventRead): void {
    const seq = wideToNumber(wide);
    if (queued !== null) {
      const op = stream.pending.get(seq);
      if (op instanceof AcquireOp) op.onQueued(queuedOf(queued));
      return;
    }
    const keep = stream.keeps.get(seq);
    if (keep === undefined) return;
    if (renewed !== null) this.#onRenewed(keep, renewed);
    else if (lost !== null && !keep.resuming) this.#onLostEvent(keep, lost);
    else if (yield_request !== null) {
      const { onYieldRequest } = keep;
      if (onYieldRequest !== undefined) queueMicrotask(() => onYieldRequest(yieldOf(yield_request)));
    }
  }

  /** Without `graceMs`: it had announced its end, which releases nothing. */
  onStreamEnded(stream: Stream, graceMs: number | undefined): void {
    const nowMs = this.nowMs();
    for (const keep of stream.keeps.values()) {
      this.#homeless.add(keep);
      if (graceMs !== undefined) keep.count.cut(nowMs, graceMs);
      if (!this.#confirmations.has(keep)) keep.look();
      if (keep.kept) this.#wakeAt(keep.count.untilMs);
    }
    for (const op of stream.pending.values()) if (op instanceof ResumeOp) op.keep.resuming = false;
    stream.keeps.clear();
  }

  onResumed(op: ResumeOp, lease: LeaseRead, stream: Stream): void {
    const { keep } = op;
    keep.resuming = false;
    const confirmation = this.#confirmations.get(keep);
    if (confirmation === undefined) keep.look();
    if (!keep.kept) {
      // What its holder gave up meanwhile was the older claim.
      this.#home.giveBack(stream, op.seq);
      return;
    }
    const old = keep.stream;
    old?.keeps.delete(keep.seq);
    if (old?.draining && old.idle) old.leave();
    this.take(keep, op.seq, stream);
    keep.anchor(op.sentMs, lease);
    if (confirmation === undefined) keep.look();
    else this.#confirmed(keep, confirmation);
  }

  onNotResumed({ keep }: ResumeOp, error: HoldfastError, stream: Stream | undefined): void {
    keep.resuming = false;
    if (!keep.kept) return;
    const confirmation = this.#confirmations.get(keep);
    if (error instanceof LeaseLostError) {
      if (confirmation === undefined) keep.lose(error.why, error.message, false);
      else {
        this.forget(keep);
        confirmation.op.onLeaseGone(error);
      }
    } else if (error instanceof DrainingError && stream !== undefined) this.#home.onStreamDraining(stream);
    else if (confirmation !== undefined && this.nowMs() > confirmation.untilMs) {
      this.forget(keep);
      this.#home.giveBack(keep.stream, keep.seq);
      confirmation.op.reject(error);
    } else if (confirmation !== undefined || this.#homeless.has(keep)) {
      this.#again.add(keep);
      const delayMs = Math.min(RETRY_MS, error.retryAfterMs ?? RETRY_MS);
      this.#agenda.put(this.#retry, Math.min(this.#retry.dueMs, this.nowMs() + delayMs));
    }
    // On its own stream it is asked again at the next renewal.
  }

  /** Everything that was held; it is lost by being released. Of the rest the ends of the streams tell. */
  end(): string[] {
    const ids: string[] = [];
    for (const keep of this.#all()) {
      if (keep.counts) ids.push(keep.lease.lease_id);
      if (this.#confirmations.has(keep)) this.forget(keep);
      else keep.lose('released', 'the client was closed', false);
    }
    return ids;
  }

  #all(): Keep[] {
    return [...this.#homeless, ...[...this.#home.streams()].flatMap(({ keeps }) => keeps.values())];
  }

  #isWanted(keep: Keep): boolean {
    return this.#confirmations.has(keep) || keep.held;
  }

  #resume(keep: Keep): void {
    keep.resuming = true;
    this.#home.submit(new ResumeOp(this, keep));
  }

  #confirmed(keep: Keep, { op, done }: Confirmation): void {
    this.#confirmations.delete(keep);
    if (op.settled) {
      this.forget(keep);
      this.#home.giveBack(keep.stream, keep.seq);
    } else done();
  }

  #onRenewed(keep: Keep, { expire_time }: LeaseRead): void {
    // What ended while this process was stopped has ended.
    if (!this.#confirmations.has(keep)) keep.look();
    if (!keep.kept) return;
    keep.count.credit(timestampMs(expire_time));
    if (keep.count.isWorn && !keep.resuming) this.#resume(keep);
  }

  #onLostEvent(keep: Keep, { reason, detail }: LostRead): void {
    const why = LOST_REASONS[reason] ?? 'unknown';
    const confirmation = this.#confirmations.get(keep);
    if (confirmation === undefined) keep.lose(why, detail, false);
    else {
      this.forget(keep);
      confirmation.op.onLeaseGone(LeaseLostError.of(why, detail));
    }
  }

  #tryAgain(): void {
    const again = [...this.#again];
    this.#again.clear();
    for (const keep of again) {
      if (keep.kept && !keep.resuming && this.#isWanted(keep)) this.#resume(keep);
    }
  }

  #wakeAt(untilMs: number): void {
    if (untilMs < this.#alarm.dueMs) this.#agenda.put(this.#alarm, untilMs);
  }

  /** Somebody wants to hear of these at once; or they have no stream, and nothing else would ever end them. */
  #ring(): void {
    for (const keep of new Set([...this.#watched, ...this.#homeless])) {
      if (this.#confirmations.has(keep)) continue;
      keep.look();
      if (keep.kept) this.#wakeAt(keep.count.untilMs);
    }
  }
}
