/** One acquire, from the call to the lease or the error, over as many streams, waits and askings as that takes. */

import { duration, durationMs } from '../durations.ts';
import { BusyError, type HoldfastError } from '../errors.ts';
import type { AcquireRequest, LeaseRead, SessionOp, SessionResultRead } from '../gen/messages.ts';
import type { Lease } from '../lease.ts';
import { holderOf, type Queued, type YieldRequest } from '../views.ts';
import { offAbort, onAbort } from './aborts.ts';
import { Op, thrown, UNSENT_MS } from './op.ts';
import type { Stream } from './stream.ts';

/** An acquire as it was checked. */
export interface Ask {
  /** Without `wait` and `request_id`. */
  readonly request: AcquireRequest;
  /** 0: do not wait. Infinity: for as long as it takes. */
  readonly waitMs: number;
  /** Empty: none was given. */
  readonly requestId: string;
  readonly bytes: number;
  readonly signal: AbortSignal | undefined;
  readonly onQueued: ((queued: Queued) => void) | undefined;
  readonly onYieldRequest: ((request: YieldRequest) => void) | undefined;
}

export interface Acquirer {
  nowMs(): number;
  secret(): string;
  again(op: AcquireOp): void;
  onAborted(op: AcquireOp): void;
  onGranted(op: AcquireOp, lease: LeaseRead, stream: Stream): void;
  /** The replica refused because it is shutting down. */
  onDraining(op: Op, stream: Stream): void;
}

/** As long as one question may wait: timers end at 24 days. Whoever waits without limit asks again. */
const LONGEST_WAIT_MS = 20 * 86_400_000;
const FIXED_BYTES = 64;

export class AcquireOp extends Op {
  readonly claims = true;
  readonly ask: Ask;
  readonly promise: Promise<Lease>;
  readonly #acquirer: Acquirer;
  readonly #waitUntilMs: number;
  #requestId: string;
  #settle!: { readonly resolve: (lease: Lease) => void; readonly reject: (error: unknown) => void };
  #settled = false;

  constructor(acquirer: Acquirer, ask: Ask) {
    super();
    this.#acquirer = acquirer;
    this.ask = ask;
    const nowMs = acquirer.nowMs();
    this.#waitUntilMs = nowMs + ask.waitMs;
    this.untilMs = nowMs + Math.max(UNSENT_MS, ask.waitMs);
    this.#requestId = ask.requestId === '' && ask.waitMs > 0 ? acquirer.secret() : ask.requestId;
    this.promise = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    if (ask.signal !== undefined) onAbort(ask.signal, this.#onAbort);
  }

  get bytes(): number {
    return this.ask.bytes + this.#requestId.length + FIXED_BYTES;
  }

  /** Nobody waits for its promise any more: what is granted goes back. */
  get settled(): boolean {
    return this.#settled;
  }

  message(seq: number, nowMs: number): SessionOp {
    const { request, waitMs } = this.ask;
    if (waitMs === 0 && this.#requestId === '') return { seq, acquire: request };
    const leftMs = waitMs === 0 ? 0 : Math.min(LONGEST_WAIT_MS, Math.max(0, this.#waitUntilMs - nowMs));
    return { seq, acquire: { ...request, wait: duration(leftMs), request_id: this.#requestId } };
  }

  onResult({ acquire, error }: SessionResultRead, stream: Stream): void {
    if (acquire?.lease) this.#acquirer.onGranted(this, acquire.lease, stream);
    else if (this.#settled) return;
    else if (acquire?.busy) {
      const { holders, queue_length, position, wait_elapsed, retry_after } = acquire.busy;
      const nowMs = this.#acquirer.nowMs();
      if (wait_elapsed && this.ask.waitMs > LONGEST_WAIT_MS && nowMs < this.#waitUntilMs) this.#askAnew();
      else {
        this.reject(
          new BusyError({
            holders: holders.map(holderOf),
            queueLength: queue_length,
            position,
            waitElapsed: wait_elapsed || this.ask.waitMs > 0,
            retryAfterMs: durationMs(retry_after),
          }),
        );
      }
    } else if (error) {
      if (error.reason === 'DRAINING') this.#acquirer.onDraining(this, stream);
      // The lease that its request got on an older stream was given back before anybody heard of it.
      else if (error.reason === 'LEASE_LOST' && this.sent > 1) this.onLeaseGone(thrown(error));
      else this.reject(thrown(error));
    }
  }

  onFailed(error: HoldfastError): void {
    this.reject(error);
  }

  /** The lease was gone before its caller had it. */
  onLeaseGone(error: HoldfastError): void {
    if (this.#settled) return;
    if (this.ask.requestId === '' && this.ask.waitMs > 0) this.#askAnew();
    else this.reject(error);
  }

  onQueued(queued: Queued): void {
    const { onQueued } = this.ask;
    if (onQueued !== undefined && !this.#settled) queueMicrotask(() => onQueued(queued));
  }

  resolve(lease: Lease): void {
    this.#end();
    this.#settle.resolve(lease);
  }

  reject(error: unknown): void {
    this.#end();
    this.#settle.reject(error);
  }

  #askAnew(): void {
    this.#requestId = this.#acquirer.secret();
    this.#acquirer.again(this);
  }

  #end(): void {
    this.#settled = true;
    if (this.ask.signal !== undefined) offAbort(this.ask.signal, this.#onAbort);
  }

  readonly #onAbort = (): void => {
    this.reject(this.ask.signal!.reason);
    this.#acquirer.onAborted(this);
  };
}
