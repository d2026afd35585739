/** A vote as an event of its call's span: what is told, and that a vote which ends after its call is not told at all. */
import { context, diag, propagation, ROOT_CONTEXT, type Span, trace } from '@opentelemetry/api';
import { node, tracing } from '@opentelemetry/sdk-node';
import { afterAll, afterEach, beforeEach, expect, test, vi } from 'vitest';
import { recording } from '../../../src/control/late-spans.ts';
import { voteTraces } from '../../../src/control/vote-events.ts';
import { ManualClock } from '../../../src/std/clock.ts';

const exporter = new tracing.InMemorySpanExporter();
const provider = new node.NodeTracerProvider({ spanProcessors: [new tracing.SimpleSpanProcessor(exporter)] });
provider.register();

const clock = new ManualClock();
const traceVote = voteTraces({ recording }, clock);
const warned = vi.fn();

beforeEach(() => {
  const quiet = (): void => {};
  diag.setLogger({ error: warned, warn: warned, info: quiet, debug: quiet, verbose: quiet });
});
afterEach(() => {
  exporter.reset();
  warned.mockReset();
  diag.disable();
});
afterAll(() => {
  trace.disable();
  context.disable();
  propagation.disable();
  return provider.shutdown();
});

function called<T>(act: (span: Span) => T): T {
  const span = trace.getTracer('test').startSpan('call', {}, ROOT_CONTEXT);
  return context.with(trace.setSpan(ROOT_CONTEXT, span), () => act(span));
}

const events = (): unknown[] =>
  exporter.getFinishedSpans().flatMap((span) => span.events.map((event) => [event.name, event.attributes]));

test('says who had answered what, after how long, when it was decided', () => {
  called((span) => {
    const vote = traceVote('hold')!;
    clock.advance(1.25);
    vote.answered('n1', 'held');
    clock.advance(2);
    vote.answered('n3', 'conflict');
    vote.decided(false);
    vote.answered('n2', 'timeout');
    span.end();
  });
  expect(events()).toEqual([
    ['vote hold', { 'holdfast.carried': false, 'holdfast.answers': 'n1 held 1.25 ms, n3 conflict 3.25 ms' }],
  ]);
});

test('a vote that is decided after the end of its call is not told, and nothing complains', () => {
  called((span) => {
    const vote = traceVote('release')!;
    vote.answered('n1', 'released');
    span.end();
    // With the guard off it would.
    span.addEvent('vote release');
    expect(warned).toHaveBeenCalled();
    warned.mockReset();
    vote.decided(true);
  });
  expect(events()).toEqual([]);
  expect(warned).not.toHaveBeenCalled();
});

test('without a span, and after the end of one, there is nothing to note', () => {
  expect(traceVote('hold')).toBeUndefined();
  called((span) => {
    span.end();
    expect(traceVote('hold')).toBeUndefined();
  });
});
