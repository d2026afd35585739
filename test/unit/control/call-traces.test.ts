/** Links between grants, releases and waiters, and what becomes of a traceparent that is none. */
import { context, propagation, ROOT_CONTEXT, type Span, TraceFlags, trace } from '@opentelemetry/api';
import { node, tracing } from '@opentelemetry/sdk-node';
import { afterAll, afterEach, expect, test } from 'vitest';
import {
  callTraces as callTracesOf,
  formatTraceparent,
  outcomes as outcomesOf,
  parseTraceparent,
} from '../../../src/control/call-traces.ts';
import { recording } from '../../../src/control/late-spans.ts';

const exporter = new tracing.InMemorySpanExporter();
const provider = new node.NodeTracerProvider({
  sampler: new tracing.ParentBasedSampler({ root: new tracing.AlwaysOnSampler() }),
  spanProcessors: [new tracing.SimpleSpanProcessor(exporter)],
});
provider.register();
const tracer = trace.getTracer('test');
const callTraces = callTracesOf({ recording, tracer: () => tracer });
const outcomes = outcomesOf({ recording });

afterEach(() => exporter.reset());
afterAll(() => {
  trace.disable();
  context.disable();
  propagation.disable();
  return provider.shutdown();
});

const GRANT = `00-${'c'.repeat(32)}-${'d'.repeat(16)}-01`;

/** In a call whose span is recorded, or not. */
async function called<T>(sampled: boolean, act: (span: Span) => Promise<T> | T): Promise<T> {
  const traceFlags = sampled ? TraceFlags.SAMPLED : TraceFlags.NONE;
  const parent = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags, isRemote: true };
  const span = tracer.startSpan('call', {}, trace.setSpanContext(ROOT_CONTEXT, parent));
  try {
    return await context.with(trace.setSpan(ROOT_CONTEXT, span), () => act(span));
  } finally {
    span.end();
  }
}

const links = (): (readonly [string, unknown])[] =>
  exporter
    .getFinishedSpans()
    .flatMap((span) =>
      span.links.map((link) => [link.context.spanId, link.attributes?.['holdfast.link']] as const),
    );

test('a call that is recorded has a traceparent, any other has none', async () => {
  expect(callTraces.current()).toBeUndefined();
  expect(await called(false, () => callTraces.current())).toBeUndefined();
  const [told, span] = await called(true, (own) => [callTraces.current(), own.spanContext()] as const);
  expect(told).toBe(formatTraceparent(span));
  expect(parseTraceparent(told!)).toMatchObject({
    traceId: span.traceId,
    spanId: span.spanId,
    traceFlags: 1,
  });
});

test.each([
  '',
  'nonsense',
  GRANT.toUpperCase(),
  `${GRANT}x`,
  `01${GRANT.slice(2)}`,
  GRANT.replaceAll('d', '0'),
])('%j links nothing and fails nothing', async (text) => {
  expect(parseTraceparent(text)).toBeUndefined();
  await called(true, async () => {
    callTraces.waitedFor([text]);
    expect(await callTraces.release(text, async () => 'released')).toBe('released');
  });
  expect(exporter.getFinishedSpans().map(({ name }) => name)).toEqual(['call']);
  expect(links()).toEqual([]);
});

test('who waited is linked with some holders, however many there were', async () => {
  const holders = Array.from({ length: 100 }, (_, at) => GRANT.replaceAll('d', (at % 10).toString(10)));
  await called(true, () => callTraces.waitedFor([GRANT, ...holders]));
  expect(links()[0]).toEqual(['d'.repeat(16), 'holder']);
  expect(links().length).toBeLessThanOrEqual(16);
  await called(false, () => callTraces.waitedFor([GRANT]));
  expect(exporter.getFinishedSpans()).toHaveLength(1);
});

test('a release by a sampled call is linked there; any other has a span of its own in the trace of the grant', async () => {
  await called(true, () => callTraces.release(GRANT, async () => {}));
  expect(links()).toEqual([['d'.repeat(16), 'grant']]);
  exporter.reset();
  const inside = await called(false, () => callTraces.release(GRANT, async () => callTraces.current()));
  const [own] = exporter.getFinishedSpans();
  expect(own).toMatchObject({ name: 'holdfast.release', parentSpanContext: { spanId: 'd'.repeat(16) } });
  expect(inside).toBe(formatTraceparent(own!.spanContext()));
  expect(links()).toEqual([['d'.repeat(16), 'grant']]);
});

test('a release that fails ends its span, and fails', async () => {
  const failing = callTraces.release(GRANT, () => Promise.reject(new Error('a defect')));
  await expect(failing).rejects.toThrow('a defect');
  expect(exporter.getFinishedSpans()).toHaveLength(1);
});

test('a release is asked for in the very tick in which it is told', () => {
  let asked = 0;
  const act = async (): Promise<void> => {
    asked += 1;
  };
  for (const text of [GRANT, 'nonsense']) void callTraces.release(text, act);
  expect(asked).toBe(2);
});

test('how an operation ended stands in its span', async () => {
  await called(true, () => outcomes.operation('acquire', 'refused', 1, 'NO_QUORUM'));
  expect(exporter.getFinishedSpans()[0]!.attributes).toEqual({
    'holdfast.op': 'acquire',
    'holdfast.outcome': 'refused',
    'holdfast.reason': 'NO_QUORUM',
  });
  expect(() => outcomes.operation('acquire', 'busy', 1)).not.toThrow();
});
