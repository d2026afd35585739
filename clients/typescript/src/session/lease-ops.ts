/** The operations on a lease that is held: release, heartbeat, resume; and giving an operation up. */
import type { HoldfastError } from '../errors.ts';
import type { HeartbeatResponseRead, LeaseRead, SessionOp, SessionResultRead } from '../gen/messages.ts';
import type { Keep } from './keep.ts';
import { Op, thrown } from './op.ts';
import type { Stream } from './stream.ts';

const FIXED_BYTES = 32;
/** UTF-8 takes at most so many for a code unit. */
const UTF8_BYTES = 3;

/** Repeated as it is on the next stream. */
export class ReleaseOp extends Op {
  readonly claims = false;
  readonly promise: Promise<boolean>;
  readonly #leaseId: string;
  readonly #reason: string;
  #resolve!: (released: boolean) => void;
  #reject!: (error: HoldfastError) => void;

  constructor(leaseId: string, reason: string) {
    super();
    this.#leaseId = leaseId;
    this.#reason = reason;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  get bytes(): number {
    return this.#leaseId.length + UTF8_BYTES * this.#reason.length + FIXED_BYTES;
  }

  message(seq: number): SessionOp {
    if (this.#reason === '') return { seq, release: { lease_id: this.#leaseId } };
    return { seq, release: { lease_id: this.#leaseId, reason: this.#reason } };
  }

  onResult({ release, error }: SessionResultRead): void {
    if (error) this.#reject(thrown(error));
    else this.#resolve(release?.released === true);
  }

  onFailed(error: HoldfastError): void {
    this.#reject(error);
  }
}

export class HeartbeatOp extends Op {
  readonly claims = false;
  readonly promise: Promise<HeartbeatResponseRead>;
  readonly #leaseId: string;
  readonly #progress: string;
  #resolve!: (response: HeartbeatResponseRead) => void;
  #reject!: (error: HoldfastError) => void;

  constructor(leaseId: string, progress: string) {
    super();
    this.#leaseId = leaseId;
    this.#progress = progress;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  get bytes(): number {
    return this.#leaseId.length + UTF8_BYTES * this.#progress.length + FIXED_BYTES;
  }

  message(seq: number): SessionOp {
    return { seq, heartbeat: { lease_id: this.#leaseId, progress: this.#progress } };
  }

  onResult({ heartbeat, error }: SessionResultRead): void {
    if (heartbeat) this.#resolve(heartbeat);
    else if (error) this.#reject(thrown(error));
  }

  onFailed(error: HoldfastError): void {
    this.#reject(error);
  }
}

export interface Resumer {
  onResumed(op: ResumeOp, lease: LeaseRead, stream: Stream): void;
  onNotResumed(op: ResumeOp, error: HoldfastError, stream: Stream | undefined): void;
}

/** Takes a lease over into a stream, and begins its count anew. */
export class ResumeOp extends Op {
  readonly claims = true;
  readonly keep: Keep;
  readonly #resumer: Resumer;

  constructor(resumer: Resumer, keep: Keep) {
    super();
    this.#resumer = resumer;
    this.keep = keep;
  }

  get bytes(): number {
    return this.keep.lease.lease_id.length + FIXED_BYTES;
  }

  message(seq: number): SessionOp {
    return { seq, resume: { lease_id: this.keep.lease.lease_id } };
  }

  onResult({ resume, error }: SessionResultRead, stream: Stream): void {
    if (resume) this.#resumer.onResumed(this, resume, stream);
    else if (error) this.#resumer.onNotResumed(this, thrown(error), stream);
  }

  onFailed(error: HoldfastError): void {
    this.#resumer.onNotResumed(this, error, undefined);
  }
}

/** Its own answer is no news: the operation that it gives up is answered. */
export class CancelOp extends Op {
  readonly claims = false;
  readonly bytes = FIXED_BYTES;
  readonly #target: number;

  constructor(target: number) {
    super();
    this.#target = target;
  }

  message(seq: number): SessionOp {
    return { seq, cancel: { seq: this.#target } };
  }

  onResult(): void {}

  onFailed(): void {}
}
