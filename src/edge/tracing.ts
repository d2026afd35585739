/** Server spans by hand over the OpenTelemetry API: auto-instrumentation would cost 1.3 to 1.7 times the CPU. */
import { type Metadata, status } from '@grpc/grpc-js';
import {
  type Context,
  context,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type TextMapGetter,
  TraceFlags,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import type { Random } from '../std/random.ts';

/** What of a tracer is used here. */
type SpanStarter = Pick<Tracer, 'startSpan'>;

/** What the interceptor knows of a call as it begins. */
export interface CallFacts {
  /** `holdfast.v1.LockService/Acquire` */
  readonly method: string;
  readonly metadata: Metadata;
  /** The `:authority` that the caller asked for. */
  readonly host: string;
  readonly peerAddress: string | undefined;
}

export interface CallSpan {
  /** Runs a handler so that spans begun in it become children. */
  run(act: () => void): void;
  end(code: status): void;
}

export interface Tracing {
  /** Undefined when the span would not be recorded: nothing is to be paid for it then. */
  begin(facts: CallFacts): CallSpan | undefined;
  /** Undefined unless the caller of the session has sampled it: a session is as many traces as its client makes of it. */
  session(metadata: Metadata): OperationSpans | undefined;
}

/** The operations of one session, each a child of the span in which its client opened it. */
export interface OperationSpans {
  run(operation: string, act: () => Promise<void>): void;
}

const SESSION = 'holdfast.v1.LockService/Session';
const SERVER = { kind: SpanKind.SERVER };
const OF_SESSION = { 'rpc.system.name': 'grpc', 'rpc.method': SESSION };

/** The codes that are the server's own fault, by the RPC semantic conventions. */
const FAULTS: ReadonlySet<status> = new Set([
  status.UNKNOWN,
  status.DEADLINE_EXCEEDED,
  status.UNIMPLEMENTED,
  status.INTERNAL,
  status.UNAVAILABLE,
  status.DATA_LOSS,
]);

const fromMetadata: TextMapGetter<Metadata> = {
  keys: (metadata) => Object.keys(metadata.getMap()),
  get: (metadata, key) => metadata.get(key).map(String),
};

class RecordedCall implements CallSpan {
  readonly #span: Span;
  readonly #context: Context;

  constructor(span: Span, parent: Context) {
    this.#span = span;
    this.#context = trace.setSpan(parent, span);
  }

  run(act: () => void): void {
    context.with(this.#context, act);
  }

  end(code: status): void {
    const name = status[code];
    this.#span.setAttribute('rpc.response.status_code', name);
    if (FAULTS.has(code)) {
      this.#span.setAttribute('error.type', name);
      this.#span.setStatus({ code: SpanStatusCode.ERROR });
    }
    this.#span.end();
  }
}

class SessionSpans implements OperationSpans {
  readonly #tracer: SpanStarter;
  readonly #parent: Context;

  constructor(tracer: SpanStarter, parent: Context) {
    this.#tracer = tracer;
    this.#parent = parent;
  }

  run(operation: string, act: () => Promise<void>): void {
    const span = this.#tracer.startSpan(`${SESSION} ${operation}`, SERVER, this.#parent);
    if (!span.isRecording()) {
      void act();
      return;
    }
    // Given at the start they are checked twice, for the sampler's sake.
    span.setAttributes(OF_SESSION);
    const ended = (): void => span.end();
    context.with(trace.setSpan(this.#parent, span), act).then(ended, ended);
  }
}

/** `host:port` apart; the port is absent in the authority of a unix socket. */
function serverAttributes(host: string): Record<string, string | number> {
  const parts = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d+))?$/.exec(host);
  const address = parts?.[1] ?? parts?.[2] ?? host;
  const port = parts?.[3];
  return port === undefined
    ? { 'server.address': address }
    : { 'server.address': address, 'server.port': Number(port) };
}

export interface Sampling {
  readonly tracer: SpanStarter;
  /** Of calls that come without a trace, so many begin one; undefined: the SDK's sampler decides on each. */
  readonly rootShare: number | undefined;
  readonly random: Random;
}

/** To be used only when a provider is registered: the API without one costs and records nothing. */
export function openTelemetryTracing({ tracer, rootShare, random }: Sampling): Tracing {
  const fields = propagation.fields();
  // The SDK makes a span and its ids first and then asks its sampler, which costs most where nearly none is sampled.
  const passedBy = (metadata: Metadata): boolean =>
    rootShare !== undefined &&
    random.fraction() >= rootShare &&
    fields.every((field) => metadata.get(field).length === 0);
  return {
    begin({ method, metadata, host, peerAddress }) {
      if (passedBy(metadata)) return undefined;
      const parent = propagation.extract(ROOT_CONTEXT, metadata, fromMetadata);
      const span = tracer.startSpan(method, SERVER, parent);
      if (!span.isRecording()) return undefined;
      // Only now: of a hundred calls one may be sampled.
      span.setAttributes({
        'rpc.system.name': 'grpc',
        'rpc.method': method,
        ...serverAttributes(host),
        ...(peerAddress === undefined ? {} : { 'network.peer.address': peerAddress }),
      });
      return new RecordedCall(span, parent);
    },
    session(metadata) {
      const parent = propagation.extract(ROOT_CONTEXT, metadata, fromMetadata);
      const flags = trace.getSpanContext(parent)?.traceFlags ?? TraceFlags.NONE;
      return (flags & TraceFlags.SAMPLED) === 0 ? undefined : new SessionSpans(tracer, parent);
    },
  };
}
