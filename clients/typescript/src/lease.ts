/** A lease as its holder sees it: the right to its resources until it ends, and every way to learn that it has. */
import { durationMs } from './durations.ts';
import { InvalidFieldError, LeaseLostError } from './errors.ts';
import { textFault } from './rules.ts';
import type { Keep, Loss } from './session/keep.ts';
import { HeartbeatOp, ReleaseOp } from './session/lease-ops.ts';
import type { Session } from './session/session.ts';
import { type Mode, modeOf, yieldOf } from './views.ts';
import { wideToBigint } from './wire/wide.ts';

/** Of HeartbeatRequest.progress and ReleaseRequest.reason. */
const PROGRESS_MAX = 1024;
const REASON_MAX = 512;

export class Lease {
  readonly #keep: Keep;
  readonly #session: Session;
  #releasing: Promise<boolean> | undefined;
  /** A release was asked for, and nobody knows whether it was done. */
  #failed = false;
  /** Streams that carried the release. */
  #sent = 0;
  #token: bigint | undefined;
  /** `check` has thrown: a scope that ends by that need not throw again. */
  #told = false;

  /** @internal */
  constructor(session: Session, keep: Keep) {
    this.#session = session;
    this.#keep = keep;
  }

  /** What is leased: all that was asked for, or with `any` those that were picked. */
  get resources(): readonly string[] {
    return this.#keep.lease.resources;
  }

  /** The fencing token: larger than those of all leases granted before on its resources. Send it with every effect. */
  get token(): bigint {
    this.#token ??= wideToBigint(this.#keep.lease.fencing_token);
    return this.#token;
  }

  get owner(): string {
    return this.#keep.lease.owner;
  }

  get mode(): Mode {
    return modeOf(this.#keep.lease.mode);
  }

  get labels(): Readonly<Record<string, string>> {
    return { ...this.#keep.lease.labels };
  }

  /** Names the lease in views, logs and `forceRelease`; no secret. */
  get leaseRef(): string {
    return this.#keep.lease.lease_ref;
  }

  /** The secret by which the lease is renewed and released, by whoever has it. Never log it. */
  get leaseId(): string {
    return this.#keep.lease.lease_id;
  }

  /** For how many milliseconds it was granted, and is renewed. */
  get ttlMs(): number {
    return durationMs(this.#keep.lease.ttl);
  }

  /** How long it is certainly valid yet, by this process's own clock; 0 once it was released or lost. */
  get remainingMs(): number {
    return this.#keep.remainingMs;
  }

  /** Why it has ended under its holder; undefined while it has not. */
  get lost(): Loss | undefined {
    return this.#keep.loss;
  }

  /** Aborted, with a LeaseLostError as its reason, when the lease has ended under its holder; never by `release`. */
  get signal(): AbortSignal {
    return this.#keep.signal;
  }

  /** Throws LeaseLostError if it is lost, or was released. Reads the clock: it needs no event to know. */
  check(): void {
    const { loss } = this.#keep;
    if (loss !== undefined) {
      this.#told = true;
      throw LeaseLostError.of(loss.reason, loss.detail);
    }
    if (this.#keep.released) throw LeaseLostError.of('released', 'its holder has released it');
  }

  /**
   * Tells others of the work (`Holder.progress`): at most 1024 characters. Also extends the lease. Throws
   * LeaseLostError if it is lost; InvalidFieldError; NoQuorumError, and the lease stands until its count ends.
   */
  async progress(text: string): Promise<void> {
    const fault = textFault(text, 0, PROGRESS_MAX);
    if (fault !== undefined) throw InvalidFieldError.of('progress', fault);
    this.check();
    const op = new HeartbeatOp(this.leaseId, text);
    this.#session.submit(op);
    try {
      const { lease, yield_request } = await op.promise;
      if (lease !== null) this.#keep.count.proof(op.sentMs, durationMs(lease.ttl));
      if (yield_request !== null) this.#keep.onYieldRequest?.(yieldOf(yield_request));
    } catch (error) {
      if (error instanceof LeaseLostError) this.#keep.lose(error.why, error.message, false);
      throw error;
    }
  }

  /**
   * Ends it; resolves when a majority has confirmed, to true if this call ended it, to false if it was over before.
   * `reason`, for the history: at most 512 characters. Rejects with NoQuorumError where too few nodes confirmed: the
   * service goes on trying, and the lease ends by its ttl at the latest.
   */
  async release(reason = ''): Promise<boolean> {
    const fault = textFault(reason, 0, REASON_MAX);
    if (fault !== undefined) throw InvalidFieldError.of('reason', fault);
    if (this.#releasing !== undefined) {
      await this.#releasing;
      return false;
    }
    if (!this.#keep.held && !(this.#failed && this.#keep.counts)) return false;
    this.#session.letGo(this.#keep);
    return this.#end(reason);
  }

  /** Releases; throws LeaseLostError if it was lost meanwhile, unless `check` has already said so. */
  async [Symbol.asyncDispose](): Promise<void> {
    const before = this.#releasing;
    const released = await this.release();
    const { loss } = this.#keep;
    if (loss !== undefined && !this.#told) throw LeaseLostError.of(loss.reason, loss.detail);
    // Of a release that was repeated nobody knows which one ended it.
    const gone = before === undefined && loss === undefined && !released && this.#sent === 1;
    if (gone) throw LeaseLostError.of('unknown', 'the service had ended it before it was released');
  }

  #end(reason: string): Promise<boolean> {
    const op = new ReleaseOp(this.leaseId, reason);
    this.#releasing = op.promise.then(
      (released) => {
        this.#sent = op.sent;
        return released;
      },
      (error) => {
        // It may be asked again.
        this.#releasing = undefined;
        this.#failed = true;
        throw error;
      },
    );
    this.#session.submit(op);
    return this.#releasing;
  }

  /** Without the secret. */
  toJSON(): object {
    const { resources, owner, mode, leaseRef, labels } = this;
    return { resources, token: this.token.toString(), owner, mode, leaseRef, labels };
  }
}
