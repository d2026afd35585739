/** A session: many operations and many kept leases on one stream; how it is read, held back, drained and ended. */
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { limits } from '../domain/limits.ts';
import { invalidField, type Refusal } from '../domain/refusals.ts';
import type { StreamEnd } from '../locks/locks.ts';
import type { Visit } from './access/visit.ts';
import { malformed } from './calls.ts';
import { Claims } from './claims.ts';
import { Fields, within } from './fields.ts';
import type { SessionOp__Output } from './gen/holdfast/v1/SessionOp.ts';
import type { SessionRequest__Output } from './gen/holdfast/v1/SessionRequest.ts';
import type { SessionResponse } from './gen/holdfast/v1/SessionResponse.ts';
import { Lifeline, type Living } from './lifeline.ts';
import { refused, turnedAway } from './lock-calls.ts';
import { Outbox } from './outbox.ts';
import type { UnreadRequest } from './protos.ts';
import { type Seq, SeqSet, seqOf, wireSeq } from './seq-set.ts';
import { CHECK_TOKEN, HEARTBEAT, type PlainOp, RELEASE } from './session-ops.ts';
import { internal, isRefusal, tooLarge, toStatus } from './status.ts';
import type { Standing, StreamContext } from './streams.ts';
import type { OperationSpans } from './tracing.ts';
import { Unanswered } from './unanswered.ts';
import { type Writer, Writes } from './writes.ts';

export type SessionCall = ServerDuplexStream<UnreadRequest, SessionResponse>;

const unreadable = (request: UnreadRequest): Refusal => (request.tooLarge ? tooLarge : malformed);

export class Session implements Standing, Living, Writer {
  readonly kind = 'session';
  readonly #context: StreamContext;
  readonly #call: SessionCall;
  readonly #visit: Visit;
  readonly #lifeline: Lifeline;
  readonly #outbox: Outbox;
  readonly #claims: Claims;
  readonly #unanswered = new Unanswered();
  readonly #seqs = new SeqSet();
  readonly #spans: OperationSpans | undefined;
  #graceMs = 0;
  #halfClosed = false;
  #paused = false;
  #closing = false;

  constructor(context: StreamContext, call: SessionCall, visit: Visit) {
    this.#context = context;
    this.#call = call;
    this.#visit = visit;
    const writes = new Writes<SessionResponse>(call, this);
    this.#outbox = new Outbox(writes, {
      onWritten: () => this.#onWritten(),
      onDefect: (cause) => this.#break(cause),
    });
    this.#lifeline = new Lifeline(call, context, this);
    this.#claims = new Claims({
      context,
      visit,
      lifeline: this.#lifeline,
      writes,
      outbox: this.#outbox,
      unanswered: this.#unanswered,
      onDefect: (seq, cause) => this.#break(cause, seq),
      onUnheard: () => this.#settle(),
      onStalled: () => this.#stall(),
    });
    this.#spans = context.tracing?.session(call.metadata);
    context.streams.add(this);
  }

  onLeft(): void {
    this.#outbox.onRoom();
  }

  onEnded(how: StreamEnd): void {
    this.#over(how);
  }

  onDeleted(): void {
    this.#visit.leaveStream();
  }

  begin(): void {
    this.#call.on('data', this.#onData);
    this.#call.on('end', this.#onHalfClose);
  }

  drain(remainingMs: number): void {
    const { clock } = this.#context;
    const endMs = clock.monotonicMs() + remainingMs;
    this.#lifeline.drained();
    this.#claims.drain();
    if (!this.#lifeline.over) this.#outbox.draining(() => Math.max(0, endMs - clock.monotonicMs()));
  }

  end(refusal: Refusal): void {
    this.#close('drained', refusal);
  }

  readonly #onData = (unread: UnreadRequest): void => {
    if (this.#lifeline.over) return;
    try {
      const request = unread.read();
      const refusal = request === undefined ? unreadable(unread) : this.#read(request);
      if (refusal !== undefined) {
        this.#visit.turnedAway('session', refusal);
        this.#close('closed', refusal);
      } else this.#holdBack();
    } catch (cause) {
      this.#break(cause);
    }
  };

  /** The client asks nothing more; what it asked is answered. A reset says so, too, and only then that it is one. */
  readonly #onHalfClose = (): void => {
    setImmediate(() => {
      this.#halfClosed = true;
      this.#endWhenDone();
    });
  };

  /** First the rules of the stream, so that a message that breaks them has no effect; then what it asks. */
  #read(request: SessionRequest__Output): Refusal | undefined {
    const { ops } = request;
    if (ops.length > limits.operationsPerMessage) {
      return invalidField('ops', `must be at most ${limits.operationsPerMessage}, not ${ops.length}`);
    }
    const fields = new Fields();
    const graceMs = fields.grace('grace', request.grace, this.#visit.settings.maxTtlMs);
    if (fields.refusal !== undefined) return fields.refusal;
    const seqs: Seq[] = [];
    for (const { seq: text } of ops) {
      const seq = seqOf(text);
      if (seq === 0) return invalidField(`ops[${seqs.length}].seq`, 'must not be 0');
      if (this.#unanswered.has(seq) || !this.#seqs.add(seq)) {
        return invalidField(`ops[${seqs.length}].seq`, `was used before: ${seq}`);
      }
      seqs.push(seq);
    }
    if (request.grace !== null) this.#graceMs = graceMs;
    for (let at = 0; at < ops.length; at += 1) this.#begin(seqs[at]!, ops[at]!);
    return undefined;
  }

  #begin(seq: Seq, op: SessionOp__Output): void {
    if (op.cancel) this.#cancel(seq, seqOf(op.cancel.seq));
    else if (this.#spans === undefined) void this.#ask(seq, op);
    else this.#spans.run(op.op ?? 'nothing', () => this.#ask(seq, op));
  }

  #ask(seq: Seq, op: SessionOp__Output): Promise<void> {
    const over = this.#visit.pace(this.#call);
    if (over !== undefined) {
      this.#outbox.refuse(seq, refused(this.#context, op.op ?? 'session', over));
      return Promise.resolve();
    }
    if (op.acquire) return this.#claims.acquire(seq, op.acquire);
    if (op.release) return this.#serve(seq, RELEASE, op.release);
    if (op.heartbeat) return this.#serve(seq, HEARTBEAT, op.heartbeat);
    if (op.check_token) return this.#serve(seq, CHECK_TOKEN, op.check_token);
    if (op.resume) return this.#claims.resume(seq, op.resume);
    const unset = invalidField('op', 'must be set');
    this.#outbox.refuse(seq, turnedAway(this.#context, this.#visit, 'session', unset));
    return Promise.resolve();
  }

  async #serve<Request, Ask extends object, Answer extends object>(
    seq: Seq,
    op: PlainOp<Request, Ask, Answer>,
    request: Request,
  ): Promise<void> {
    const { locks, settings } = this.#visit;
    try {
      const ask = op.decode(request, settings, this.#claims);
      if (isRefusal(ask)) {
        this.#outbox.refuse(seq, within(op.name, turnedAway(this.#context, this.#visit, op.name, ask)));
        return;
      }
      op.before?.(this.#claims, ask);
      this.#unanswered.add(seq);
      const answer = await op.ask(locks, ask);
      this.#unanswered.remove(seq);
      if (this.#lifeline.over) this.#settle();
      else if (isRefusal(answer)) this.#outbox.refuse(seq, within(op.name, answer));
      else op.tell(this.#outbox, wireSeq(seq), answer);
    } catch (cause) {
      this.#break(cause, seq);
    }
  }

  #cancel(seq: Seq, target: Seq): void {
    if (target === 0) {
      this.#outbox.refuse(seq, invalidField('cancel.seq', 'must not be 0'));
      return;
    }
    const claim = this.#unanswered.claim(target);
    if (claim === undefined) this.#claims.giveUp(target);
    else claim.cancel();
    this.#outbox.result({ seq: wireSeq(seq), cancel: { cancelled: claim !== undefined } }, 0);
  }

  /** What has to be answered and what was answered, but not read by the client, is bounded: the client has to wait. */
  #holdBack(): void {
    if (this.#paused || (this.#load() < limits.operationsPerSession && !this.#outbox.isFull)) return;
    this.#paused = true;
    this.#call.pause();
  }

  #load(): number {
    return this.#unanswered.pressing + this.#outbox.unwritten;
  }

  #onWritten(): void {
    if (this.#paused && this.#load() < limits.operationsPerSession / 2 && !this.#outbox.isFull) {
      this.#paused = false;
      this.#call.resume();
    }
    this.#endWhenDone();
  }

  #endWhenDone(): void {
    if (this.#halfClosed && this.#unanswered.size === 0 && this.#outbox.empty) this.#close('closed');
  }

  /** Says what it knows, and how it ends. `emit` because destroying a call would send no status. */
  #close(how: StreamEnd, refusal?: Refusal): void {
    if (this.#closing || this.#lifeline.over) return;
    this.#closing = true;
    this.#outbox.close();
    const decided = this.#lifeline.finish(how);
    if (refusal === undefined) this.#call.end();
    else this.#call.emit('error', toStatus(refusal));
    this.#over(decided);
  }

  /** For a whole interval nothing has left. */
  #stall(): void {
    this.#over(this.#lifeline.giveUp());
  }

  /** A defect in one operation is its answer; one in the session ends it. */
  #break(cause: unknown, seq?: Seq): void {
    this.#context.onDefect(this.#call.getPath(), cause);
    const asked = seq !== undefined && this.#unanswered.remove(seq);
    if (this.#lifeline.over) this.#settle();
    else if (asked) this.#outbox.refuse(seq, internal);
    else this.#close('closed', internal);
  }

  #over(how: StreamEnd): void {
    this.#call.off('data', this.#onData);
    this.#call.off('end', this.#onHalfClose);
    this.#outbox.drop();
    this.#unanswered.leave();
    this.#claims.end(how, this.#graceMs);
    this.#settle();
  }

  /** It stands until nothing is under way any more that it asked of the locks. */
  #settle(): void {
    if (this.#unanswered.size === 0) this.#context.streams.delete(this);
  }
}
