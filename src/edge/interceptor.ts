/** What every call passes through: no handler runs for a caller that has left, and each call is counted once. */
import { constants, type Http2Stream } from 'node:http2';
import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
  status,
} from '@grpc/grpc-js';
import type { Refusal } from '../domain/refusals.ts';
import type { Clock } from '../std/clock.ts';
import { malformed } from './calls.ts';
import type { HoldResponse } from './gen/holdfast/v1/HoldResponse.ts';
import { Packed, unpackLate } from './packed.ts';
import { internal, tooLarge, toStatus } from './status.ts';
import type { CallSpan, Tracing } from './tracing.ts';

// grpc-js exports neither of these by name.
type Listener = Parameters<ServerInterceptingCallInterface['start']>[0];
type Method = Parameters<ServerInterceptor>[0];
type PartialStatus = Parameters<ServerInterceptingCallInterface['sendStatus']>[0];

export interface Watch {
  readonly clock: Clock;
  readonly tracing: Tracing | undefined;
  /** `holdfast.v1.LockService/Acquire`, the name of the gRPC code, the time. Must not throw. */
  onCall(method: string, code: string, tookMs: number): void;
}

const OURS = '/holdfast.';
const HOLD = '/holdfast.v1.LockService/Hold';
const SESSION = '/holdfast.v1.LockService/Session';

/**
 * Statuses that grpc-js makes itself carry no reason. Those about our calls get one, except CANCELLED and
 * DEADLINE_EXCEEDED, which belong to gRPC (error.proto).
 */
function typed(sent: PartialStatus): PartialStatus {
  switch (sent.code) {
    case status.RESOURCE_EXHAUSTED:
      return toStatus(tooLarge);
    // No request or two of them; a bad grpc-timeout; a body that does not decompress: all the caller's doing.
    case status.UNIMPLEMENTED:
      return /^Received (no|a second) request/.test(sent.details) ? toStatus(malformed) : sent;
    case status.INTERNAL:
      return /decompress|grpc-timeout/.test(sent.details) ? toStatus(malformed) : toStatus(internal);
    case status.UNKNOWN:
      return toStatus(internal);
    default:
      return sent;
  }
}

/** One call: both the call that the handler sees and the listener that the transport sees, to save objects. */
class WatchedCall extends ServerInterceptingCall {
  readonly #inner: ServerInterceptingCallInterface;
  readonly #watch: Watch;
  readonly #path: string;
  /** Whether the handler runs at once, or only when its single request is complete. */
  readonly #readsStream: boolean;
  readonly #deserialize: Method['requestDeserialize'];
  readonly #startedMs: number;
  #handler: Listener | undefined;
  #span: CallSpan | undefined;
  #over = false;
  #gone = false;
  /** The single request, while nobody knows yet whether it is complete. */
  #packed: Packed | undefined;
  onGone: (() => void) | undefined;

  constructor(inner: ServerInterceptingCallInterface, method: Method, watch: Watch) {
    super(inner);
    const { path, requestStream, requestDeserialize } = method;
    this.#inner = inner;
    this.#watch = watch;
    this.#path = path;
    this.#readsStream = requestStream;
    this.#deserialize = requestDeserialize;
    unpackLate(inner, path.startsWith(OURS));
    this.#startedMs = watch.clock.monotonicMs();
    // The transport ends calls by itself (deadline, oversize, a write that failed), past every interceptor;
    // its own method is the one place through which all endings go.
    const send = inner.sendStatus;
    inner.sendStatus = (sent) => {
      const full = sent.metadata == null && path.startsWith(OURS) ? typed(sent) : sent;
      send.call(inner, full);
      this.#end(full.code);
    };
  }

  override start(handler: Listener): void {
    this.#handler = handler;
    this.#inner.start(this);
  }

  override sendMetadata(metadata: Metadata): void {
    this.#inner.sendMetadata(metadata);
  }

  /** Not past the status, which a deadline may have sent: a write behind the end would turn it into a reset. */
  override sendMessage(message: unknown, sent: () => void): void {
    if (this.#over) return;
    // The span of a Hold is that of its request: it ends as the wait does, not with the lease.
    if (this.#span !== undefined && this.#path === HOLD && (message as HoldResponse).queued == null) {
      this.#endSpan(status.OK);
    }
    this.#inner.sendMessage(message, sent);
  }

  override sendStatus(sent: PartialStatus): void {
    this.#inner.sendStatus(sent);
  }

  onReceiveMetadata(metadata: Metadata): void {
    if (this.#left()) return;
    const { tracing } = this.#watch;
    // A session is no piece of work that a span could show.
    if (tracing !== undefined && this.#path.startsWith(OURS) && this.#path !== SESSION) {
      this.#span = tracing.begin({
        method: this.#path.slice(1),
        metadata,
        host: this.getHost(),
        peerAddress: this.getConnectionInfo().remoteAddress,
      });
    }
    if (this.#readsStream) this.#run(() => this.#handler?.onReceiveMetadata(metadata));
    else this.#handler?.onReceiveMetadata(metadata);
  }

  onReceiveMessage(message: unknown): void {
    if (this.#gone) return;
    if (message instanceof Packed && this.#packed === undefined) {
      this.#packed = message;
      this.#inner.startRead();
    } else {
      this.#handler?.onReceiveMessage(message);
    }
  }

  /** With a single request this starts the handler; grpc-js itself would do so after the deadline, too. */
  onReceiveHalfClose(): void {
    if (this.#readsStream) {
      if (!this.#gone) this.#handler?.onReceiveHalfClose();
    } else if (!this.#left() && this.#unpack()) {
      this.#run(() => this.#handler?.onReceiveHalfClose());
    }
  }

  /** False if that cannot be done, and the call is answered. */
  #unpack(): boolean {
    if (this.#packed === undefined) return true;
    const bytes = this.#packed.unpacked();
    this.#packed = undefined;
    if (Buffer.isBuffer(bytes)) this.#handler?.onReceiveMessage(this.#deserialize(bytes));
    else this.#inner.sendStatus(bytes);
    return !this.#over;
  }

  onCancel(): void {
    this.#gone = true;
    this.onGone?.();
    this.#end(status.CANCELLED);
    this.#handler?.onCancel();
  }

  /** For a stream whose end the transport makes; one of our own handlers ends its stream itself. */
  finish(refusal: Refusal): void {
    if (!this.#over && !this.#path.startsWith(OURS)) this.sendStatus(toStatus(refusal));
  }

  /** grpc-js has no way to give up a call whose reader takes nothing: its status waits behind its messages. */
  reset(): void {
    // Before grpc-js calls the writes that this makes fail a defect.
    this.#end(status.CANCELLED);
    (this.#inner as { readonly stream?: Http2Stream }).stream?.close(constants.NGHTTP2_CANCEL);
  }

  #endSpan(code: status): void {
    this.#span?.end(code);
    this.#span = undefined;
  }

  #run(act: () => void): void {
    if (this.#span === undefined) act();
    else this.#span.run(act);
  }

  /** Nobody waits for an answer. When only the deadline's timer is late, it still ends the call. */
  #left(): boolean {
    if (this.#gone || this.#over) return true;
    const deadline = Number(this.#inner.getDeadline());
    return deadline !== Infinity && deadline <= this.#watch.clock.wallMicros() / 1000;
  }

  #end(code: status): void {
    if (this.#over) return;
    this.#over = true;
    this.#endSpan(code);
    this.#watch.onCall(this.#path.slice(1), status[code], this.#watch.clock.monotonicMs() - this.#startedMs);
  }
}

/** Ends a call at once, past all that its reader has not taken. */
export function resetCall(call: object): void {
  // grpc-js names no way from a call to what our interceptor made of it.
  const { call: watched } = call as { readonly call?: unknown };
  if (watched instanceof WatchedCall) watched.reset();
}

/** Streams that never end by themselves: health watches, reflection, and our own. */
export class IdleStreams {
  readonly #open = new Set<WatchedCall>();

  add(call: WatchedCall): void {
    this.#open.add(call);
    call.onGone = () => this.#open.delete(call);
  }

  /** They would hold a drain up to its limit. */
  end(refusal: Refusal): void {
    for (const call of [...this.#open]) call.finish(refusal);
  }

  /** Those that could not end, because nobody reads what was sent before. */
  reset(): void {
    for (const call of [...this.#open]) call.reset();
  }
}

export function watchCalls(watch: Watch, streams: IdleStreams): ServerInterceptor {
  return (method, inner) => {
    const call = new WatchedCall(inner, method, watch);
    if (method.responseStream) streams.add(call);
    return call;
  };
}
