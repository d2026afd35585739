/** Spans of votes: a child of the call's span for each vote, with one event for each node's answer. */
import { context, SpanKind, trace } from '@opentelemetry/api';
import type { VoteTrace } from '../domain/probe.ts';

const tracer = trace.getTracer('holdfast.quorum');

/** Undefined where the call is not sampled: a vote then pays for one look at the active span. */
export function traceVote(op: string): VoteTrace | undefined {
  const parent = trace.getSpan(context.active());
  if (parent === undefined || !parent.isRecording()) return undefined;
  const span = tracer.startSpan(`quorum.vote ${op}`, {
    kind: SpanKind.INTERNAL,
    attributes: { 'holdfast.op': op },
  });
  return {
    answered: (node, answer) => {
      span.addEvent('node answered', { 'holdfast.node': node, 'holdfast.answer': answer });
    },
    decided: (carried) => {
      span.setAttribute('holdfast.carried', carried);
      span.addEvent('decided');
    },
    complete: () => span.end(),
  };
}
