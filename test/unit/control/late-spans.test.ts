/** Spans made after the fact: the same as the SDK's own, with the ids that were promised, in bulk, and none that is lost in silence. */
import {
  context,
  createTraceState,
  diag,
  propagation,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from '@opentelemetry/api';
import { node, tracing } from '@opentelemetry/sdk-node';
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { BATCH, LateSpans, LINGER_MS } from '../../../src/control/late-spans.ts';
import { ManualClock } from '../../../src/std/clock.ts';

const WALL_MS = 1_800_000_000_000;
const exporter = new tracing.InMemorySpanExporter();
const complained = vi.fn();
/** For the contexts. */
const global = new node.NodeTracerProvider();
global.register();

let clock: ManualClock;
let late: LateSpans;
let provider: tracing.BasicTracerProvider;
let tracer: ReturnType<LateSpans['starter']>;
let broken: string | undefined;

beforeEach(() => {
  clock = new ManualClock(WALL_MS * 1000);
  late = new LateSpans(clock, new tracing.RandomIdGenerator());
  broken = undefined;
  const simple = new tracing.SimpleSpanProcessor(exporter);
  provider = new tracing.BasicTracerProvider({
    idGenerator: late.ids,
    sampler: new tracing.ParentBasedSampler({ root: new tracing.AlwaysOnSampler() }),
    spanProcessors: [
      {
        onStart(span) {
          if ((span as unknown as { name: string }).name === broken) throw new Error('out of order');
        },
        onEnd: (span) => simple.onEnd(span),
        forceFlush: () => simple.forceFlush(),
        shutdown: () => simple.shutdown(),
      },
    ],
  });
  tracer = late.starter(provider.getTracer('test'));
  const quiet = (): void => {};
  diag.setLogger({ error: complained, warn: complained, info: quiet, debug: quiet, verbose: quiet });
});
afterEach(() => {
  exporter.reset();
  complained.mockReset();
  diag.disable();
});
afterAll(() => {
  trace.disable();
  context.disable();
  propagation.disable();
  return global.shutdown();
});

const finished = () => exporter.getFinishedSpans();
const names = (): string[] => finished().map(({ name }) => name);

function below(flags = TraceFlags.SAMPLED) {
  const parent = {
    traceId: 'a'.repeat(32),
    spanId: 'b'.repeat(16),
    traceFlags: flags,
    isRemote: true,
    traceState: createTraceState('vendor=1'),
  };
  return trace.setSpanContext(ROOT_CONTEXT, parent);
}

/** Whatever can be told of a span. */
function tell(span: Span): void {
  const other: SpanContext = { traceId: 'c'.repeat(32), spanId: 'd'.repeat(16), traceFlags: 1 };
  span
    .setAttribute('a', 1)
    .setAttributes({ b: ['x', 'y'], c: true })
    .setAttribute('a', 2)
    .addEvent('plain')
    .addEvent('with facts', { d: 'e' })
    .addEvent('at', WALL_MS + 5)
    .addEvent('with facts at', { f: 1 }, new Date(WALL_MS + 6))
    .addLink({ context: other, attributes: { 'holdfast.link': 'grant' } })
    .addLinks([{ context: other }])
    .setStatus({ code: SpanStatusCode.ERROR, message: 'lost' })
    .updateName('renamed');
  span.recordException(new Error('of a handler'));
  span.end();
}

describe('a span that is made later', () => {
  test.each([
    ['below a caller', {}, below],
    ['at the root', {}, () => ROOT_CONTEXT],
    ['told to be a root', { root: true }, below],
  ])('%s is the one that the SDK would have made', (_, more, parent) => {
    const options = { kind: SpanKind.SERVER, attributes: { z: 0 }, ...more };
    for (const by of [provider.getTracer('test'), tracer]) tell(by.startSpan('call', options, parent()));
    late.flush();
    const [own, made] = finished().map((span) => ({
      name: span.name,
      kind: span.kind,
      parent: span.parentSpanContext,
      flags: span.spanContext().traceFlags,
      state: span.spanContext().traceState?.serialize(),
      attributes: span.attributes,
      links: span.links,
      status: span.status,
      scope: span.instrumentationScope,
      events: span.events.map(({ name, time, attributes = {} }) => [
        name,
        name.endsWith('at') ? time : 'now',
        Object.keys(attributes).sort(),
      ]),
    }));
    expect(own?.events).toHaveLength(5);
    expect(made).toEqual(own);
    expect(complained).not.toHaveBeenCalled();
  });

  test('has the ids that it was known by, and no other span gets them', () => {
    const spans = [
      tracer.startSpan('child', {}, below()),
      tracer.startSpan('root', {}, ROOT_CONTEXT),
      tracer.startSpan('told to be a root', { root: true }, below()),
      provider.getTracer('test').startSpan('at once', {}, ROOT_CONTEXT),
    ];
    const promised = spans.map((span) => span.spanContext());
    for (const span of [...spans].reverse()) span.end();
    late.flush();
    const kept = new Map(finished().map((span) => [span.name, span.spanContext()]));
    expect(['child', 'root', 'told to be a root', 'at once'].map((name) => kept.get(name))).toEqual(promised);
    expect(promised[0]?.traceId).toBe('a'.repeat(32));
    const after = provider.getTracer('test').startSpan('after', {}, ROOT_CONTEXT).spanContext();
    const all = [...promised, after];
    expect(new Set(all.map(({ spanId }) => spanId)).size).toBe(5);
    expect(new Set(all.map(({ traceId }) => traceId)).size).toBe(5);
  });

  test('tells the times of its call, also when the wall clock jumps in it', () => {
    clock.advance(10);
    const span = tracer.startSpan('call', {}, below());
    clock.advance(1.25);
    span.addEvent('vote');
    clock.stepWall(-3_600_000_000);
    clock.advance(2);
    span.end();
    clock.advance(500);
    late.flush();
    const [{ startTime, events, endTime, duration } = expect.fail()] = finished();
    const began = [WALL_MS / 1000, 10_000_000];
    expect(startTime).toEqual(began);
    expect(events[0]?.time[1]).toBeCloseTo(began[1]! + 1_250_000, -3);
    expect(endTime[1]).toBeCloseTo(began[1]! + 3_250_000, -3);
    expect(duration[1]).toBeCloseTo(3_250_000, -3);
  });

  test('hears nothing after its end, and ends once', () => {
    const span = tracer.startSpan('call', {}, below());
    expect(span.isRecording()).toBe(true);
    span.end();
    expect(span.isRecording()).toBe(false);
    span.setAttribute('too', 'late').addEvent('too late');
    span.end();
    late.flush();
    expect(finished()).toMatchObject([{ name: 'call', attributes: {}, events: [] }]);
    expect(complained).not.toHaveBeenCalled();
  });
});

test('below a caller that is not sampled nothing is recorded', () => {
  const span = tracer.startSpan('call', {}, below(TraceFlags.NONE));
  expect(span.isRecording()).toBe(false);
  expect(span.spanContext().traceId).toBe('a'.repeat(32));
  span.end();
  late.flush();
  expect(finished()).toEqual([]);
});

describe('the queue', () => {
  const end = (count: number): void => {
    for (let at = 0; at < count; at += 1) tracer.startSpan(String(at), {}, below()).end();
  };

  test('is emptied a while after the first one ended', () => {
    end(2);
    clock.advance(LINGER_MS - 1);
    expect(names()).toEqual([]);
    clock.advance(1);
    expect(names()).toEqual(['0', '1']);
    end(1);
    late.flush();
    clock.advance(LINGER_MS - 1);
    end(1);
    clock.advance(LINGER_MS - 1);
    expect(names()).toHaveLength(3);
    clock.advance(1);
    expect(names()).toHaveLength(4);
  });

  test('is emptied when it is full, but not within the call that fills it', () => {
    end(BATCH - 1);
    clock.advance(0);
    expect(names()).toEqual([]);
    end(3);
    expect(names()).toEqual([]);
    clock.advance(0);
    expect(names()).toHaveLength(BATCH + 2);
  });

  test('loses a span that cannot be made, says so, and no other', () => {
    end(2);
    broken = 'broken';
    const lost = tracer.startSpan(broken, {}, below());
    lost.end();
    expect(() => late.flush()).not.toThrow();
    expect(names()).toEqual(['0', '1']);
    expect(complained).toHaveBeenCalledExactlyOnceWith('a span was lost: Error: out of order');
    const next = provider.getTracer('test').startSpan('next', {}, ROOT_CONTEXT);
    expect(next.spanContext().spanId).not.toBe(lost.spanContext().spanId);
  });
});

describe('what is recording', () => {
  const within = (span: Span): Span | undefined =>
    context.with(trace.setSpan(ROOT_CONTEXT, span), () => late.recording());

  test('is the span of the call, as long as it has not ended', () => {
    const span = tracer.startSpan('call', {}, below());
    expect(within(span)).toBe(span);
    expect(late.recording()).toBeUndefined();
    const other = tracer.startSpan('other', {}, below());
    span.end();
    expect(within(span)).toBeUndefined();
    expect(within(other)).toBe(other);
  });

  test('is looked up only while a sampled call is under way', () => {
    const looked = vi.spyOn(context, 'active');
    expect(late.recording()).toBeUndefined();
    tracer.startSpan('not sampled', {}, below(TraceFlags.NONE));
    expect(late.recording()).toBeUndefined();
    expect(looked).not.toHaveBeenCalled();
    const spans = [tracer.startSpan('one', {}, below()), tracer.startSpan('two', {}, below())];
    for (const span of spans) {
      late.recording();
      span.end();
      span.end();
    }
    expect(looked).toHaveBeenCalledTimes(2);
    late.recording();
    expect(looked).toHaveBeenCalledTimes(2);
    looked.mockRestore();
  });
});
