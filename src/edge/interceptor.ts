/** What every call passes through: no handler runs for a caller that has left, and each call is counted once. */
import { constants, type Http2Stream } from 'node:http2';
import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
  status,
} from '@grpc/grpc-js';
import type { Identity } from '../domain/access.ts';
import type { Refusal } from '../domain/refusals.ts';
import type { Clock } from '../std/clock.ts';
import {
  type Answer,
  type Authenticator,
  type Doorkeeper,
  Failure,
  type Grant,
} from './access/authenticator.ts';
import type { ClientCertificate } from './access/certificates.ts';
import { CALLER, type Caller, nobody } from './access/identity-of.ts';
import type { HoldResponse } from './gen/holdfast/v1/HoldResponse.ts';
import type { IdleStreams } from './idle-streams.ts';
import { type PartialStatus, typed } from './own-status.ts';
import { Packed, unpackLate } from './packed.ts';
import { toStatus } from './status.ts';
import type { CallSpan, Tracing } from './tracing.ts';

// grpc-js exports neither of these by name.
type Listener = Parameters<ServerInterceptingCallInterface['start']>[0];
type Method = Parameters<ServerInterceptor>[0];

export interface Watch {
  readonly clock: Clock;
  readonly authenticator: Doorkeeper;
  /** By what grpc-js calls the peer; absent without TLS. */
  readonly certificateOf: ((peer: string) => ClientCertificate | undefined) | undefined;
  /** A call was refused because its caller is not known. Must not throw. */
  onUnknown(failure: Failure, peer: string, method: string): void;
  readonly tracing: Pick<Tracing, 'begin'> | undefined;
  /** `holdfast.v1.LockService/Acquire`, the name of the gRPC code, the time. Must not throw. */
  onCall(method: string, code: string, tookMs: number): void;
}

const OURS = '/holdfast.';
const HOLD = '/holdfast.v1.LockService/Hold';
const SESSION = '/holdfast.v1.LockService/Session';
/** Load balancers and kubelets have no credentials; they learn whether the service serves, and no more. */
const HEALTH = '/grpc.health.v1.Health/';
const CREDENTIALS = 'authorization';

/** One call: both the call that the handler sees and the listener that the transport sees, to save objects. */
class WatchedCall extends ServerInterceptingCall implements Caller {
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
  /** Undefined until the caller is known, and for health. */
  #grant: Grant | undefined;
  /** Of the access file that it was found in. */
  #era = 0;
  #revoked = false;
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

  get [CALLER](): Caller {
    return this;
  }

  get identity(): Identity {
    return this.#grant?.identity ?? nobody;
  }

  get peer(): string {
    const { remoteAddress = '', remotePort } = this.getConnectionInfo();
    if (remotePort === undefined) return '';
    return remoteAddress.includes(':')
      ? `[${remoteAddress}]:${remotePort}`
      : `${remoteAddress}:${remotePort}`;
  }

  get revoked(): boolean {
    return this.#revoked;
  }

  /** The handler sees nothing of the call before its caller is known: until then grpc-js keeps what comes. */
  onReceiveMetadata(metadata: Metadata): void {
    if (this.#left()) return;
    if (this.#path.startsWith(HEALTH)) {
      this.#admit(metadata);
      return;
    }
    const answer = this.#identify(metadata);
    if (answer instanceof Promise) void answer.then((late) => this.#decide(late, metadata));
    else this.#decide(answer, metadata);
  }

  #identify(metadata: Metadata): Answer | Promise<Answer> {
    const { authenticator, certificateOf } = this.#watch;
    if (authenticator.isOpen) return authenticator.identify(undefined, undefined);
    // Several are as good as one that nobody can read.
    const shown = metadata.get(CREDENTIALS);
    const authorization = shown.length > 1 ? shown.join() : (shown[0] as string | undefined);
    // No handler needs it, and for as long as a stream lives nobody shall find it in memory.
    metadata.remove(CREDENTIALS);
    return authenticator.identify(authorization, certificateOf?.(this.#inner.getPeer()));
  }

  #decide(answer: Answer, metadata: Metadata): void {
    if (this.#left()) return;
    if (answer instanceof Failure) {
      this.#watch.onUnknown(answer, this.peer, this.#path.slice(1));
      this.sendStatus(toStatus(answer.refusal));
      return;
    }
    this.#grant = answer;
    this.#era = this.#watch.authenticator.era;
    this.#admit(metadata);
  }

  #admit(metadata: Metadata): void {
    const { tracing } = this.#watch;
    // A session is no piece of work that a span could show: its operations are (session.ts).
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
    } else if (!this.#left() && this.#isKnown() && this.#unpack()) {
      this.#run(() => this.#handler?.onReceiveHalfClose());
    }
  }

  /** Headers may come long before the request: whom the access file has lost meanwhile shall not get it served. */
  #isKnown(): boolean {
    if (this.#era !== this.#watch.authenticator.era) this.identifyAgain(this.#watch.authenticator);
    return !this.#over;
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

  /** After another access file was read: the same caller by its rules, or the end. */
  identifyAgain(authenticator: Authenticator): void {
    if (this.#grant === undefined || this.#over) return;
    const again = authenticator.again(this.#grant);
    this.#grant = again ?? this.#grant;
    if (again !== undefined) return;
    this.#gone = true;
    this.#revoked = true;
    this.#watch.onUnknown(noLongerKnown, this.peer, this.#path.slice(1));
    this.sendStatus(toStatus(noLongerKnown.refusal));
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

const noLongerKnown = new Failure('unknown', 'no identity of the new access file');

/** Whether we ended it because its caller is not known any more: its leases stand until they expire. */
export function wasRevoked(call: object): boolean {
  const { call: watched } = call as { readonly call?: unknown };
  return watched instanceof WatchedCall && watched.revoked;
}

export function watchCalls(watch: Watch, streams: IdleStreams): ServerInterceptor {
  return (method, inner) => {
    const call = new WatchedCall(inner, method, watch);
    if (method.responseStream) streams.add(call);
    return call;
  };
}
