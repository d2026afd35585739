/** What a session has to say: packed into one message a turn of the event loop, and held back while its reader is slow. */
import type { Lease } from '../domain/lease.ts';
import { limits } from '../domain/limits.ts';
import type { Refusal } from '../domain/refusals.ts';
import type { Asker, Loss, Queued } from '../locks/locks.ts';
import { duration, encodeLease, encodeLost, encodeQueued, encodeYield } from './encode.ts';
import { bytesOfBusy, bytesOfLease } from './fit.ts';
import type { Error as ErrorMessage } from './gen/holdfast/v1/Error.ts';
import type { SessionEvent } from './gen/holdfast/v1/SessionEvent.ts';
import type { SessionResponse } from './gen/holdfast/v1/SessionResponse.ts';
import type { SessionResult } from './gen/holdfast/v1/SessionResult.ts';
import { type Seq, wireSeq } from './seq-set.ts';
import { toError } from './status.ts';
import type { Writes } from './writes.ts';

/** Sizes are estimates from above for usual answers; the other half of a message is room for what they miss. */
export const MESSAGE_BYTES = limits.messageBytes / 2;
/** Of the holders in one Busy; and where so much waits for a slow reader already. */
const BUSY_BYTES = 32 * 1024;
const HEAVY_BYTES = limits.messageBytes;
const BUSY_BYTES_HEAVY = 1024;
/** Waits whose holders are kept for a slow reader. */
const QUEUED_WHOLE = 256;
/** Messages that grpc-js may hold for a reader that is slow. */
export const UNDER_WAY = 8;
/** Numbers, times, tags and lengths of one result or event. */
const FIXED_BYTES = 160;
/** UTF-8 takes at most three bytes for a UTF-16 code unit. */
const UTF8_BYTES = 3;

/** The request that an event belongs to, and the lease it got; empty before the grant. */
export interface Subject {
  readonly seq: Seq;
  readonly leaseId: string;
  /** What the nodes know the lease by: its id may be written with another ttl. */
  readonly value: string;
}

interface News {
  readonly queued: Map<Subject, Queued>;
  readonly renewed: Map<Subject, Lease>;
  readonly yields: Map<Subject, Asker>;
  /** By lease value: a lease is lost once. */
  readonly lost: Map<string, { readonly subject: Subject; readonly loss: Loss }>;
}

export interface OutboxOwner {
  /** Something was handed to the stream. */
  onWritten(): void;
  onDefect(cause: unknown): void;
}

export class Outbox {
  readonly #writes: Writes<SessionResponse>;
  readonly #owner: OutboxOwner;
  #results: SessionResult[] = [];
  #bytes = 0;
  /** Results of whole messages, before `#results`. */
  readonly #full: SessionResult[][] = [];
  #unwritten = 0;
  #unwrittenBytes = 0;
  readonly #news: News = { queued: new Map(), renewed: new Map(), yields: new Map(), lost: new Map() };
  #drainLeftMs: (() => number) | undefined;
  #due = false;
  #closed = false;

  constructor(writes: Writes<SessionResponse>, owner: OutboxOwner) {
    this.#writes = writes;
    this.#owner = owner;
  }

  /** How much of who holds what the next Busy may tell. */
  get busyBytes(): number {
    return this.#unwrittenBytes < HEAVY_BYTES ? BUSY_BYTES : BUSY_BYTES_HEAVY;
  }

  /** So much is unread that nothing more should be asked. */
  get isFull(): boolean {
    return this.#unwrittenBytes > 4 * HEAVY_BYTES;
  }

  /** Results that were not handed to the stream. */
  get unwritten(): number {
    return this.#unwritten;
  }

  get empty(): boolean {
    return this.#unwritten === 0 && !this.#hasEvents();
  }

  /** `bytes` beyond what every result takes. */
  result(result: SessionResult, bytes: number): void {
    if (this.#closed) return;
    const size = FIXED_BYTES + bytes;
    if (this.#bytes + size > MESSAGE_BYTES && this.#results.length > 0) {
      this.#full.push(this.#results);
      this.#results = [];
      this.#bytes = 0;
    }
    this.#results.push(result);
    this.#bytes += size;
    this.#unwrittenBytes += size;
    this.#unwritten += 1;
    this.#schedule();
  }

  refuse(seq: Seq, refusal: Refusal): void {
    this.fail(seq, toError(refusal));
  }

  fail(seq: Seq, error: ErrorMessage): void {
    let characters = error.message?.length ?? 0;
    for (const [key, value] of Object.entries(error.metadata ?? {})) characters += key.length + value.length;
    for (const { field = '', description = '' } of error.field_violations ?? []) {
      characters += field.length + description.length + 4;
    }
    this.result({ seq: wireSeq(seq), error }, UTF8_BYTES * characters);
  }

  queued(subject: Subject, queued: Queued): void {
    if (this.#closed) return;
    const whole = this.#news.queued.size < QUEUED_WHOLE;
    this.#news.queued.set(subject, whole ? queued : { ...queued, holders: [] });
    this.#schedule();
  }

  /** Its wait is over: events come after results, and this one would be stale by then. */
  answered(subject: Subject): void {
    if (this.#news.queued.size > 0) this.#news.queued.delete(subject);
  }

  renewed(subject: Subject, lease: Lease): void {
    if (this.#closed) return;
    this.#news.renewed.set(subject, lease);
    this.#schedule();
  }

  yieldRequested(subject: Subject, asker: Asker): void {
    if (this.#closed) return;
    this.#news.yields.set(subject, asker);
    this.#schedule();
  }

  lost(subject: Subject, loss: Loss): void {
    if (this.#closed) return;
    this.forget(subject);
    this.#news.lost.set(subject.value, { subject, loss });
    this.#schedule();
  }

  /** The session has the lease again, through another operation. */
  found(value: string): void {
    if (this.#news.lost.size > 0) this.#news.lost.delete(value);
  }

  /** The lease has left the session: nothing more is to be said of its life. */
  forget(subject: Subject): void {
    const { renewed, yields } = this.#news;
    if (renewed.size > 0) renewed.delete(subject);
    if (yields.size > 0) yields.delete(subject);
  }

  draining(leftMs: () => number): void {
    if (this.#closed) return;
    this.#drainLeftMs = leftMs;
    this.#schedule();
  }

  /** Something has left: there is room for more. */
  onRoom(): void {
    if (!this.#due && !this.#closed && !this.empty) this.#write(UNDER_WAY);
  }

  /** The stream ends: what is known is said first. */
  close(): void {
    if (!this.#closed) this.#write(Infinity);
    this.drop();
  }

  /** The stream is over: nothing is said any more. */
  drop(): void {
    this.#closed = true;
    this.#results = [];
    this.#full.length = 0;
    this.#unwritten = 0;
    this.#unwrittenBytes = 0;
    for (const events of Object.values(this.#news)) events.clear();
    this.#drainLeftMs = undefined;
  }

  #written(results: number): void {
    this.#unwritten -= results;
    // Of several messages the sizes are not kept apart: what is left is taken to be like what has gone.
    this.#unwrittenBytes = this.#unwritten === 0 ? 0 : this.#bytes + this.#full.length * MESSAGE_BYTES;
  }

  #hasEvents(): boolean {
    const { queued, renewed, yields, lost } = this.#news;
    return queued.size + renewed.size + yields.size + lost.size > 0 || this.#drainLeftMs !== undefined;
  }

  /** setImmediate, not a microtask: all that this turn of the loop brought shall travel together. */
  #schedule(): void {
    if (this.#due || this.#writes.underWay >= UNDER_WAY) return;
    this.#due = true;
    setImmediate(() => {
      this.#due = false;
      if (!this.#closed) this.#write(UNDER_WAY);
    });
  }

  #write(underWay: number): void {
    let wrote = false;
    try {
      while (this.#writes.underWay < underWay && !this.empty) {
        this.#writes.write(this.#message());
        wrote = true;
      }
      if (wrote) this.#owner.onWritten();
    } catch (cause) {
      this.drop();
      this.#owner.onDefect(cause);
    }
  }

  #message(): SessionResponse {
    const full = this.#full.shift();
    if (full !== undefined) {
      this.#written(full.length);
      return { results: full };
    }
    const results = this.#results;
    const roomBytes = MESSAGE_BYTES - this.#bytes;
    this.#results = [];
    this.#bytes = 0;
    this.#written(results.length);
    return this.#hasEvents()
      ? { results, events: this.#events(roomBytes, results.length === 0) }
      : { results };
  }

  /** As many as fit; at least one where nothing else is in the message. */
  #events(roomBytes: number, atLeastOne: boolean): SessionEvent[] {
    const { queued, renewed, yields, lost } = this.#news;
    const events: SessionEvent[] = [];
    let left = roomBytes;
    const fits = (bytes: number): boolean => {
      left -= FIXED_BYTES + bytes;
      return left >= 0 || (atLeastOne && events.length === 0);
    };
    const head = ({ seq, leaseId }: Subject) => ({ seq: wireSeq(seq), lease_id: leaseId });
    for (const [subject, what] of queued) {
      if (!fits(bytesOfBusy(what))) return events;
      queued.delete(subject);
      events.push({ ...head(subject), queued: encodeQueued(what) });
    }
    for (const [subject, lease] of renewed) {
      if (!fits(subject.leaseId.length + bytesOfLease(lease))) return events;
      renewed.delete(subject);
      events.push({ ...head(subject), renewed: encodeLease(lease) });
    }
    for (const [subject, asker] of yields) {
      if (!fits(subject.leaseId.length + UTF8_BYTES * asker.owner.length)) return events;
      yields.delete(subject);
      events.push({ ...head(subject), yield_request: encodeYield(asker) });
    }
    for (const [value, { subject, loss }] of lost) {
      if (!fits(subject.leaseId.length + UTF8_BYTES * loss.detail.length)) return events;
      lost.delete(value);
      events.push({ ...head(subject), lost: encodeLost(loss) });
    }
    if (this.#drainLeftMs !== undefined && fits(0)) {
      events.push({ seq: 0, lease_id: '', draining: { remaining: duration(this.#drainLeftMs()) } });
      this.#drainLeftMs = undefined;
    }
    return events;
  }
}
