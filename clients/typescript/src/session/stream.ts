/** One Session stream at one replica: what was asked on it and is not answered, and the leases it keeps. */
import { type ClientDuplexStream, Metadata, type StatusObject } from '@grpc/grpc-js';
import { duration } from '../durations.ts';
import type {
  SessionEventRead,
  SessionOp,
  SessionRequest,
  SessionResponseRead,
  SessionResultRead,
} from '../gen/messages.ts';
import { type Method, method } from '../wire/codec.ts';
import { wideToNumber } from '../wire/wide.ts';
import type { Keep } from './keep.ts';
import type { Link } from './link.ts';
import type { Op } from './op.ts';
import { SeqTable } from './seq-table.ts';

export const SESSION: Method<SessionRequest, SessionResponseRead> = method('LockService', 'Session');
/** lock.proto takes no more in one message. */
const MOST_OPS = 1024;
/** The service takes 1 MiB in one message; sizes are estimates. */
const MOST_BYTES = 256 * 1024;

export interface StreamOwner {
  /** The first answer has come: this replica serves. */
  onServing(stream: Stream): void;
  onEvent(stream: Stream, event: SessionEventRead): void;
  /** A message was read to its end. */
  onRead(stream: Stream): void;
  /** It takes more again. */
  onRoom(stream: Stream): void;
  onEnded(stream: Stream, status: StatusObject): void;
}

export class Stream {
  readonly link: Link;
  readonly pending = new SeqTable<Op>();
  readonly keeps = new SeqTable<Keep>();
  /** Told to go elsewhere: its end releases nothing. */
  draining = false;
  /** Half-closed by us: it takes nothing more. */
  leaving = false;
  ended = false;
  /** When something was asked last. */
  usedMs = Number.NEGATIVE_INFINITY;
  readonly #call: ClientDuplexStream<SessionRequest, SessionResponseRead>;
  readonly #owner: StreamOwner;
  #graceMs: number | undefined;
  #seq = 0;
  #room = true;
  #served = false;

  constructor(link: Link, graceMs: number, owner: StreamOwner) {
    this.link = link;
    this.#graceMs = graceMs;
    this.#owner = owner;
    const { path, write, read } = SESSION;
    this.#call = link.client.makeBidiStreamRequest(path, write, read, new Metadata(), {});
    this.#call.on('data', (response: SessionResponseRead) => this.#read(response));
    this.#call.on('drain', () => {
      this.#room = true;
      this.#owner.onRoom(this);
    });
    // Its status tells.
    this.#call.on('error', () => {});
    this.#call.on('status', (status) => this.#end(status));
  }

  /** It has answered something: the replica behind it took what it was asked. */
  get served(): boolean {
    return this.#served;
  }

  /** May be asked now. */
  get open(): boolean {
    return this.#room && !this.leaving && !this.ended;
  }

  get idle(): boolean {
    return this.pending.size === 0 && this.keeps.size === 0;
  }

  /** Sends what fits into one message, from `at` on; where to go on. */
  send(ops: readonly Op[], at: number, nowMs: number): number {
    this.usedMs = nowMs;
    const messages: SessionOp[] = [];
    let bytes = 0;
    let next = at;
    for (; next < ops.length && messages.length < MOST_OPS && bytes < MOST_BYTES; next += 1) {
      const op = ops[next]!;
      if (op.dropped) continue;
      this.#seq += 1;
      op.seq = this.#seq;
      op.sentMs = nowMs;
      op.sent += 1;
      bytes += op.bytes;
      messages.push(op.message(this.#seq, nowMs));
      this.pending.set(this.#seq, op);
    }
    if (messages.length > 0) this.#write(messages);
    return next;
  }

  /** The last words: everything else that is kept here ends at once. */
  bid(ops: readonly Op[], nowMs: number): void {
    this.#graceMs = 0;
    for (let at = 0; at < ops.length; ) at = this.send(ops, at, nowMs);
    if (this.#graceMs !== undefined) this.#write([]);
    this.leave();
  }

  /** Asks nothing more. */
  leave(): void {
    if (this.leaving || this.ended) return;
    this.leaving = true;
    this.#call.end();
  }

  cancel(): void {
    if (!this.ended) this.#call.cancel();
  }

  #write(ops: SessionOp[]): void {
    const graceMs = this.#graceMs;
    this.#graceMs = undefined;
    this.#room = this.#call.write(graceMs === undefined ? { ops } : { ops, grace: duration(graceMs) });
  }

  #read(response: SessionResponseRead): void {
    if (!this.#served) {
      this.#served = true;
      this.#owner.onServing(this);
    }
    for (const result of response.results) this.#answer(result);
    for (const event of response.events) this.#owner.onEvent(this, event);
    this.#owner.onRead(this);
  }

  #answer(result: SessionResultRead): void {
    const seq = wideToNumber(result.seq);
    const op = this.pending.get(seq);
    if (op === undefined) return;
    this.pending.delete(seq);
    op.onResult(result, this);
  }

  #end(status: StatusObject): void {
    if (this.ended) return;
    this.ended = true;
    this.#owner.onEnded(this, status);
  }
}
