/** A Session at the fake: operations in, answers and events out, and what becomes of its leases when it ends. */
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { duration } from '../durations.ts';
import type {
  AcquireRequestRead,
  SessionEvent,
  SessionOpRead,
  SessionRequestRead,
  SessionResponse,
  SessionResult,
} from '../gen/messages.ts';
import { wideToNumber } from '../wire/wide.ts';
import { checkToken, heartbeat, isRefusal, release } from './calls.ts';
import { Claim } from './claim.ts';
import { decodeAcquire, decodeGrace, decodeLeaseId } from './decode.ts';
import { type Desk, ECHO, type Standing } from './desk.ts';
import {
  encodeBusy,
  encodeError,
  encodeLease,
  encodeLost,
  encodeQueued,
  encodeYield,
  statusOf,
} from './encode.ts';
import { type StreamEnd, TAKEN_OVER } from './locks.ts';
import { cancelled, draining, invalid, type Refusal, within } from './refusals.ts';
import { bounds } from './rules.ts';

type Call = ServerDuplexStream<SessionRequestRead, SessionResponse>;
type Result = Omit<SessionResult, 'seq'>;
type Event = Omit<SessionEvent, 'seq'>;

export class Session implements Standing {
  client = 0;
  readonly #desk: Desk;
  readonly #call: Call;
  readonly #claims = new Map<number, Claim>();
  readonly #seqs = new Set<number>();
  #graceMs = 0;
  #drained = false;
  #halfClosed = false;
  #over = false;

  constructor(desk: Desk, call: Call) {
    this.#desk = desk;
    this.#call = call;
    desk.streams.add(this);
    call.on('data', (request: SessionRequestRead) => desk.pass(() => this.#read(request)));
    call.on('end', () => desk.pass(() => this.#halfClose()));
    // The end of the connection is told by the transport: it comes also while the service is stalled.
    call.on('cancelled', () => this.#end(this.#graceMs));
    call.on('close', () => this.#end(this.#graceMs));
    call.on('error', () => this.#end(this.#graceMs));
  }

  get busy(): boolean {
    return this.#claims.size > 0;
  }

  drain(remainingMs: number): void {
    this.#drained = true;
    this.#event(0, { draining: { remaining: duration(remainingMs) } });
  }

  /** The time of a drain is up. */
  endDrained(): void {
    if (!this.#drained) return;
    this.#fail(draining);
  }

  #read(request: SessionRequestRead): void {
    if (this.#over) return;
    const grace = decodeGrace('grace', request.grace, this.#desk.range);
    const seqs = request.ops.map(({ seq }) => wideToNumber(seq));
    const refusal = grace.ok ? this.#fault(seqs) : grace.refusal;
    if (refusal !== undefined) {
      this.#fail(refusal);
      return;
    }
    if (request.grace !== null && grace.ok) this.#graceMs = grace.value;
    request.ops.forEach((op, at) => {
      if (!this.#over) this.#begin(seqs[at]!, op);
    });
  }

  /** What breaks the rules of the stream itself; nothing of such a message is begun. */
  #fault(seqs: readonly number[]): Refusal | undefined {
    if (seqs.length > bounds.opsPerMessage) {
      return invalid([
        { field: 'ops', description: `must be at most ${bounds.opsPerMessage}, not ${seqs.length}` },
      ]);
    }
    for (const [at, seq] of seqs.entries()) {
      if (seq === 0) return invalid([{ field: `ops[${at}].seq`, description: 'must not be 0' }]);
      if (this.#seqs.has(seq)) {
        return invalid([{ field: `ops[${at}].seq`, description: `was used before: ${seq}` }]);
      }
      this.#seqs.add(seq);
    }
    return undefined;
  }

  #begin(seq: number, op: SessionOpRead): void {
    const desk = this.#desk;
    if (op.acquire) this.#acquire(seq, op.acquire);
    else if (op.heartbeat) {
      const answer = heartbeat(desk, op.heartbeat);
      this.#result(seq, isRefusal(answer) ? failed('heartbeat', answer) : { heartbeat: answer });
    } else if (op.release) {
      const claim = this.#claimOf(op.release.lease_id);
      const answer = release(desk, op.release, claim?.[1]);
      if (!isRefusal(answer)) this.#forget(op.release.lease_id);
      this.#result(seq, isRefusal(answer) ? failed('release', answer) : { release: answer });
    } else if (op.check_token) {
      const answer = checkToken(desk, op.check_token);
      this.#result(seq, isRefusal(answer) ? failed('check_token', answer) : { check_token: answer });
    } else if (op.resume) this.#resume(seq, op.resume.lease_id);
    else if (op.cancel) this.#cancel(seq, wideToNumber(op.cancel.seq));
    else this.#result(seq, failed('', invalid([{ field: 'op', description: 'must be set' }])));
  }

  #acquire(seq: number, request: AcquireRequestRead): void {
    const { locks, range } = this.#desk;
    if (request.owner === ECHO) {
      this.client = Number(request.resources[0]?.slice(ECHO.length));
      this.#result(seq, { acquire: { busy: {} } });
      return;
    }
    const decoded = decodeAcquire(request, range);
    this.#desk.log('acquire', decoded.ok ? decoded.value : { resources: request.resources });
    const refusal = decoded.ok ? this.#refusal('acquire') : decoded.refusal;
    if (refusal !== undefined || !decoded.ok) {
      this.#result(seq, failed('acquire', refusal as Refusal));
      return;
    }
    const claim = this.#claim(seq);
    claim.asked = locks.acquire(decoded.value, {
      granted: (lease, replayed) => {
        this.#forget(lease.leaseId);
        claim.leaseId = lease.leaseId;
        locks.keep(lease.leaseId, claim);
        this.#result(seq, { acquire: { lease: encodeLease(lease, replayed) } });
      },
      busy: (busy) => this.#answered(seq, { acquire: { busy: encodeBusy(busy) } }),
      refused: (refused) => this.#answered(seq, failed('acquire', refused)),
      queued: (queued) => this.#event(seq, { queued: encodeQueued(queued) }),
    });
  }

  #resume(seq: number, leaseId: string): void {
    const { locks } = this.#desk;
    const decoded = decodeLeaseId('lease_id', leaseId);
    this.#desk.log('resume', locks.known(leaseId));
    const refusal = decoded.ok ? this.#refusal('resume') : decoded.refusal;
    if (refusal !== undefined) {
      this.#result(seq, failed('resume', refusal));
      return;
    }
    this.#forget(leaseId);
    const claim = this.#claim(seq, leaseId);
    const lease = locks.resume(leaseId, claim);
    if (isRefusal(lease)) this.#answered(seq, failed('resume', lease));
    else this.#result(seq, { resume: encodeLease(lease) });
  }

  #refusal(name: 'acquire' | 'resume'): Refusal | undefined {
    return this.#drained ? draining : this.#desk.refusal(name);
  }

  #cancel(seq: number, target: number): void {
    if (target === 0) {
      this.#result(seq, failed('cancel', invalid([{ field: 'seq', description: 'must not be 0' }])));
      return;
    }
    const claim = this.#claims.get(target);
    const gaveUp = claim?.asked?.giveUp() ?? false;
    if (gaveUp) this.#answered(target, { error: encodeError(cancelled) });
    else if (claim !== undefined) {
      this.#claims.delete(target);
      claim.end(this.#desk.locks, 0);
    }
    this.#result(seq, { cancel: { cancelled: gaveUp } });
  }

  #claim(seq: number, leaseId = ''): Claim {
    const claim = new Claim(leaseId, {
      renewed: (lease) => this.#event(seq, { renewed: encodeLease(lease) }, lease.leaseId),
      lost: (loss) => {
        // Not told of a lease that goes on under a newer operation here, or went where it was told to go.
        const told = this.#claims.get(seq) === claim && !(this.#drained && loss.detail === TAKEN_OVER);
        this.#claims.delete(seq);
        if (told) this.#event(seq, { lost: encodeLost(loss) }, claim.leaseId);
      },
      yieldRequested: (asker) => this.#event(seq, { yield_request: encodeYield(asker) }, claim.leaseId),
    });
    this.#claims.set(seq, claim);
    return claim;
  }

  #claimOf(leaseId: string): [number, Claim] | undefined {
    return [...this.#claims].find(([, claim]) => leaseId !== '' && claim.leaseId === leaseId);
  }

  #forget(leaseId: string): void {
    const claim = this.#claimOf(leaseId);
    if (claim !== undefined) this.#claims.delete(claim[0]);
  }

  /** Nothing is left of the operation but its answer. */
  #answered(seq: number, result: Result): void {
    this.#claims.delete(seq);
    this.#result(seq, result);
  }

  #result(seq: number, result: Result): void {
    this.#write({ results: [{ seq, ...result }] });
    if (this.#halfClosed) this.#endWhenAnswered();
  }

  #event(seq: number, event: Event, leaseId = ''): void {
    this.#write({ events: [{ seq, lease_id: leaseId, ...event }] });
  }

  #write(response: SessionResponse): void {
    this.#desk.pass(() => {
      if (this.#over) return;
      this.#call.write(response);
      if (response.events !== undefined) this.#desk.beat();
    });
  }

  #halfClose(): void {
    this.#halfClosed = true;
    this.#endWhenAnswered();
  }

  #endWhenAnswered(): void {
    if (this.#over || [...this.#claims.values()].some(({ leaseId }) => leaseId === '')) return;
    this.#end(this.#graceMs);
    this.#call.end();
  }

  #fail(refusal: Refusal): void {
    if (this.#over) return;
    this.#end(this.#graceMs);
    this.#call.emit('error', statusOf(refusal));
  }

  #end(graceMs: number): void {
    if (this.#over) return;
    this.#over = true;
    const end: StreamEnd = this.#drained ? 'stands' : graceMs;
    this.#desk.leave(this);
    for (const claim of this.#claims.values()) claim.end(this.#desk.locks, end);
    this.#claims.clear();
  }
}

function failed(op: string, refusal: Refusal): Result {
  return { error: encodeError(op === '' ? refusal : within(op, refusal)) };
}
