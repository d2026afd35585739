/** Grants and releases in traces: what a lock's holder is called there, and the links between those who met at it. */
import {
  context,
  type Link,
  ROOT_CONTEXT,
  type SpanContext,
  SpanKind,
  TraceFlags,
  trace,
} from '@opentelemetry/api';
import type { CallTraces, Probe } from '../domain/probe.ts';
import type { Tracing } from './tracing.ts';

/** None of its two ids is all zeros. */
const TRACEPARENT = /^00-(?!0+-)([0-9a-f]{32})-(?!0+-)([0-9a-f]{16})-([0-9a-f]{2})$/;
/** Of a shared lock's many holders a waiter is linked with some. */
const LINKS_MAX = 16;

export function formatTraceparent({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
}

/** Others may have written to the nodes' keys: what is no traceparent links nothing. */
export function parseTraceparent(text: string): SpanContext | undefined {
  const [, traceId, spanId, flags] = (TRACEPARENT.exec(text) ?? []) as (string | undefined)[];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
}

function linkTo(spanContext: SpanContext, to: 'grant' | 'holder'): Link {
  return { context: spanContext, attributes: { 'holdfast.link': to } };
}

export function callTraces({
  recording,
  tracer: tracerOf,
}: Pick<Tracing, 'recording' | 'tracer'>): CallTraces {
  const tracer = tracerOf('holdfast.locks');
  return {
    current() {
      const span = recording();
      return span === undefined ? undefined : formatTraceparent(span.spanContext());
    },

    waitedFor(grants) {
      const span = recording();
      if (span === undefined) return;
      const holders = [...grants].slice(0, LINKS_MAX).flatMap((text) => parseTraceparent(text) ?? []);
      span.addLinks(holders.map((holder) => linkTo(holder, 'holder')));
    },

    async release(text, act) {
      const grant = parseTraceparent(text);
      if (grant === undefined) return act();
      const call = recording();
      if (call !== undefined) {
        call.addLink(linkTo(grant, 'grant'));
        return act();
      }
      // In the trace of the grant, or a sampler would decide anew and mostly drop it.
      const parent = trace.setSpanContext(ROOT_CONTEXT, { ...grant, traceFlags: TraceFlags.SAMPLED });
      const options = { kind: SpanKind.INTERNAL, links: [linkTo(grant, 'grant')] };
      const span = tracer.startSpan('holdfast.release', options, parent);
      try {
        return await context.with(trace.setSpan(parent, span), act);
      } finally {
        span.end();
      }
    },
  };
}

/** Busy is a good answer to gRPC: how an operation ended, its span has to say by itself. */
export const outcomes = ({ recording }: Pick<Tracing, 'recording'>): Pick<Probe, 'operation'> => ({
  operation(name, outcome, _tookMs, reason) {
    recording()?.setAttributes({
      'holdfast.op': name,
      'holdfast.outcome': outcome,
      ...(reason === undefined ? {} : { 'holdfast.reason': reason }),
    });
  },
});
