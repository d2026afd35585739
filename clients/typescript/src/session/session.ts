/**
 * The one Session of a client: what is asked in one turn of the event loop travels in one message, on the one stream
 * that is current; leases and questions move on when that stream ends.
 *
 * A stream is CURRENT until it drains, ends, or has been idle for a while. DRAINING it serves all but new claims; its
 * leases are resumed on the next one, and when nothing is left it is closed. When it ENDS its unanswered operations are
 * asked again on the next one; its leases are resumed there, and unless it had announced its end their counts are cut.
 */
import type { StatusObject } from '@grpc/grpc-js';
import type { Clock } from '../clock.ts';
import { ClosedError, type HoldfastError } from '../errors.ts';
import type { LeaseRead, SessionEventRead } from '../gen/messages.ts';
import { Lease } from '../lease.ts';
import { AcquireOp, type Acquirer } from './acquire-op.ts';
import { Agenda, Appointment } from './agenda.ts';
import { AwaitingLink } from './awaiting-link.ts';
import { type Connected, Connector } from './connector.ts';
import { bidFarewell, endingOf } from './ending.ts';
import { Idle } from './idle.ts';
import { Keep } from './keep.ts';
import { type Home, Keeping } from './keeping.ts';
import { CancelOp, ReleaseOp, ResumeOp } from './lease-ops.ts';
import type { Link, LinkOptions } from './link.ts';
import { type Op, UNSENT_MS } from './op.ts';
import { Stream, type StreamOwner } from './stream.ts';
import { Unsent } from './unsent.ts';

export interface SessionOptions extends LinkOptions {
  readonly addresses: readonly string[];
  readonly graceMs: number;
  readonly clock: Clock;
}

/** `close` waits so long for the service to confirm. */
const CLOSING_MS = 5000;
export class Session implements StreamOwner, Acquirer, Connected, Home {
  readonly clock: Clock;
  readonly connector: Connector;
  readonly #graceMs: number;
  readonly #agenda: Agenda;
  readonly #keeping: Keeping;
  readonly #streams = new Set<Stream>();
  readonly #awaiting: AwaitingLink;
  readonly #unsent: Unsent;
  readonly #idle: Idle;
  #current: Stream | undefined;
  #scheduled = false;
  #closed = false;
  #closing: Promise<void> | undefined;
  #onEmpty: (() => void) | undefined;

  constructor(options: SessionOptions) {
    this.clock = options.clock;
    this.#graceMs = options.graceMs;
    this.#agenda = new Agenda(options.clock);
    this.connector = new Connector(options.addresses, options, options.clock, this.#agenda, this);
    this.#keeping = new Keeping(this, options.clock, this.#agenda);
    this.#awaiting = new AwaitingLink(this.#agenda);
    this.#unsent = new Unsent(options.clock, this.#agenda, () => this.connector.unreachable());
    this.#idle = new Idle(options.clock, this.#agenda, (stream) => this.#onIdle(stream));
  }

  nowMs(): number {
    return this.clock.nowMs();
  }

  secret(): string {
    return this.clock.secret();
  }

  urgent(): boolean {
    return this.#keeping.size > 0;
  }

  submit(op: Op): void {
    if (this.#closed) {
      op.onFailed(new ClosedError());
      return;
    }
    if (op.untilMs === Number.POSITIVE_INFINITY && !op.claims) op.untilMs = this.nowMs() + UNSENT_MS;
    this.#unsent.add(op);
    this.#schedule();
  }

  /** Nothing that is told of it matters any more. */
  letGo(keep: Keep): void {
    keep.letGo();
    this.#keeping.forget(keep);
  }

  again(op: AcquireOp): void {
    this.submit(op);
  }

  onAborted(op: AcquireOp): void {
    const stream = [...this.#streams].find(({ pending }) => pending.get(op.seq) === op);
    op.dropped = stream === undefined;
    if (stream === undefined && this.#current === undefined) this.#unsent.expire();
    stream?.send([new CancelOp(op.seq)], 0, this.nowMs());
  }

  onGranted(op: AcquireOp, lease: LeaseRead, stream: Stream): void {
    const keep = new Keep(this.#keeping, lease, op.ask.onYieldRequest);
    // Nobody waits for it any more.
    if (op.settled) {
      this.giveBack(stream, op.seq);
      return;
    }
    keep.anchor(op.sentMs, lease);
    this.#keeping.take(keep, op.seq, stream);
    if (!lease.replayed && !keep.count.isStale(this.nowMs())) op.resolve(new Lease(this, keep));
    else this.#keeping.confirm(keep, op, () => op.resolve(new Lease(this, keep)));
  }

  onDraining(op: Op, stream: Stream): void {
    this.onStreamDraining(stream);
    this.submit(op);
  }

  giveBack(stream: Stream | undefined, seq: number): void {
    // Of what an ended stream kept nobody renews anything: it ends by the grace, or by its ttl.
    if (this.#closed || stream === undefined || stream.leaving || stream.ended) return;
    stream.send([new CancelOp(seq)], 0, this.nowMs());
  }

  streams(): Iterable<Stream> {
    return this.#streams;
  }

  /** It serves all but new claims; the next stream is sought at another address. */
  onStreamDraining(stream: Stream): void {
    if (stream.draining) return;
    stream.draining = true;
    this.connector.leave(stream.link);
    if (stream === this.#current) this.#current = undefined;
    if (stream.idle) stream.leave();
    if (this.#needed()) this.#schedule();
  }

  onLinkFailed(link: Link, why: string, draining: boolean): void {
    // Its stream tells by itself.
    if (this.#current?.link !== link) this.connector.fail(link, why, draining);
  }

  onServing(stream: Stream): void {
    if (stream === this.#current) this.connector.onServing();
  }

  onEvent(stream: Stream, event: SessionEventRead): void {
    if (event.draining !== null) this.onStreamDraining(stream);
    else this.#keeping.onEvent(stream, event);
  }

  onRead(stream: Stream): void {
    if (!stream.idle) return;
    if (stream !== this.#current) stream.leave();
    else if (this.#unsent.length === 0) this.#idle.onIdle(stream);
  }

  #onIdle(stream: Stream): void {
    if (stream !== this.#current || this.#unsent.length > 0) return;
    this.#current = undefined;
    stream.leave();
  }

  onRoom(stream: Stream): void {
    if (stream === this.#current) this.#flush();
  }

  onLink(link: Link): void {
    this.#awaiting.onLink(link);
    if (this.#unsent.length > 0 || this.#keeping.size > 0) this.#open(link);
  }

  onFailure(): void {
    if (this.#needed()) this.connector.need();
  }

  /** A connection for a unary call, within its time. */
  link(untilMs: number): Promise<Link> {
    if (this.#closed) return Promise.reject(new ClosedError());
    if (this.connector.link !== undefined) return Promise.resolve(this.connector.link);
    const link = this.#awaiting.wait(untilMs, () => this.connector.unreachable());
    this.connector.need();
    return link;
  }

  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #end(): Promise<void> {
    this.#closed = true;
    this.#awaiting.fail(new ClosedError());
    const held = this.#keeping.end().map((leaseId) => new ReleaseOp(leaseId, ''));
    // Who has closed the client hears of nothing any more.
    for (const { promise } of held) promise.catch(() => {});
    const last = this.#current ?? [...this.#streams].find(({ open }) => open);
    bidFarewell(this.#streams, last, [...this.#unsent.take(() => true), ...held], this.nowMs());
    await this.#allEnded();
    for (const stream of this.#streams) stream.cancel();
    this.#agenda.clear();
    this.connector.close();
  }

  onEnded(stream: Stream, status: StatusObject): void {
    this.#streams.delete(stream);
    if (stream === this.#current) this.#current = undefined;
    if (stream.link !== this.connector.link) stream.link.close();
    if (this.#closed) {
      for (const op of stream.pending.values()) op.onFailed(new ClosedError());
      if (this.#streams.size === 0) this.#onEmpty?.();
      return;
    }
    const { draining, hopeless, why } = endingOf(status);
    if (!(stream.leaving && stream.idle)) this.connector.fail(stream.link, why, draining);
    this.#keeping.onStreamEnded(stream, stream.draining || draining ? undefined : this.#graceMs);
    for (const op of stream.pending.values()) this.#afterEnd(op, stream.served, hopeless);
    stream.pending.clear();
    if (this.#needed()) this.#schedule();
  }

  #afterEnd(op: Op, served: boolean, hopeless: HoldfastError | undefined): void {
    // Cancels have lost their meaning, and resumes are made anew for the next stream.
    if (op instanceof CancelOp || op instanceof ResumeOp || op.dropped) return;
    if (op instanceof AcquireOp && op.settled) return;
    if (hopeless !== undefined) op.onFailed(hopeless);
    else {
      // A stream that was refused as a whole has carried nothing.
      if (served) op.untilMs = Math.max(op.untilMs, this.nowMs() + UNSENT_MS);
      this.#unsent.add(op);
    }
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#closed || (this.#unsent.length === 0 && this.#keeping.size === 0)) return;
    const stream = this.#current;
    if (stream === undefined || stream.leaving || stream.ended) {
      this.#current = undefined;
      this.#beginStream();
    } else if (stream.open) this.#unsent.sendTo(stream);
  }

  #beginStream(): void {
    this.#unsent.expire();
    if (!this.#needed()) return;
    const { link } = this.connector;
    if (link !== undefined) this.#open(link);
    else {
      this.#askOld();
      this.connector.need();
    }
  }

  /** A stream that drains serves what takes nothing new. */
  #askOld(): void {
    const old = [...this.#streams].find(({ draining, open }) => draining && open);
    if (old === undefined) return;
    const plain = this.#unsent.take((op) => !op.claims);
    const nowMs = this.nowMs();
    for (let at = 0; at < plain.length; ) at = old.send(plain, at, nowMs);
  }

  #open(link: Link): void {
    if (this.#current !== undefined || this.#closed) return;
    const stream = new Stream(link, this.#graceMs, this);
    this.#streams.add(stream);
    this.#current = stream;
    this.#unsent.take((op) => op instanceof ResumeOp);
    this.#unsent.addFirst(this.#keeping.resumes(stream));
    this.#flush();
    if (stream.idle) this.onRead(stream);
  }

  #needed(): boolean {
    return !this.#closed && (this.#unsent.length > 0 || this.#awaiting.size > 0 || this.#keeping.size > 0);
  }

  #allEnded(): Promise<void> {
    if (this.#streams.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onEmpty = resolve;
      this.#agenda.put(new Appointment(resolve, true), this.nowMs() + CLOSING_MS);
    });
  }
}
