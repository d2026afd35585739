/** The probe that the path calls: every sink hears, and none can hurt. */
import { Writable } from 'node:stream';
import { ROOT_CONTEXT, type Span, trace } from '@opentelemetry/api';
import { expect, test, vi } from 'vitest';
import { boundedSink, createLogs, scrub } from '../../../src/control/logs.ts';
import { createTelemetry } from '../../../src/control/telemetry.ts';
import { startTracing } from '../../../src/control/tracing.ts';
import type { Probe } from '../../../src/domain/probe.ts';

const thrower = (): never => {
  throw new Error('the disk is full');
};

function announceAll(probe: Probe): void {
  probe.operation('acquire', 'granted', 1);
  probe.vote('hold', 'a', 'held');
  probe.batch('a', 2);
  probe.nodeState('a', 'ready', '');
  probe.undosOwed('a', 0);
  probe.ownershipViolation('release');
  probe.notice('info', 'hello');
}

test('a sink that throws is counted, does not escape, and the next one still hears', () => {
  const heard: string[] = [];
  const failures: string[] = [];
  const broken = {
    operation: thrower,
    vote: thrower,
    batch: thrower,
    nodeState: thrower,
    undosOwed: thrower,
    ownershipViolation: thrower,
    notice: thrower,
  };
  const sinks = [
    { name: 'broken', probe: broken },
    {
      name: 'good',
      probe: { operation: (name: string) => heard.push(name), notice: () => heard.push('notice') },
    },
  ];
  announceAll(createTelemetry(sinks, (sink) => failures.push(sink)));
  expect(heard).toEqual(['acquire', 'notice']);
  expect(failures).toEqual(Array.from({ length: 7 }, () => 'broken'));
});

test('a broken counter of failures does not escape either', () => {
  const probe = createTelemetry([{ name: 'broken', probe: { notice: thrower } }], thrower);
  expect(() => announceAll(probe)).not.toThrow();
});

/** Log lines as objects. */
function logged(
  act: (logs: ReturnType<typeof createLogs>) => void,
  level = 'info',
): Record<string, unknown>[] {
  const lines: string[] = [];
  act(createLogs({ level, version: '9.9.9', stream: { write: (line: string) => lines.push(line) } }));
  return lines.map((line) => JSON.parse(line));
}

test('logs are JSON with level, time, service and version', () => {
  const [line] = logged(({ probe }) => probe.notice?.('warn', 'careful', { node: 'a' }));
  expect(line).toMatchObject({
    level: 'warn',
    service: 'holdfast',
    version: '9.9.9',
    msg: 'careful',
    node: 'a',
  });
  expect(line?.time).toMatch(/^\d{4}-\d\d-\d\dT/);
});

test('a level that is changed while it runs holds from the next announcement on', () => {
  const lines = logged(({ logger, probe }) => {
    probe.ownershipViolation?.('release');
    logger.level = 'debug';
    probe.ownershipViolation?.('release');
    logger.level = 'silent';
    probe.notice?.('error', 'nobody hears this');
  });
  expect(lines.map(({ level }) => level)).toEqual(['debug']);
});

test('logs keep to their level', () => {
  expect(logged(({ probe }) => probe.notice?.('info', 'x'), 'warn')).toEqual([]);
  expect(logged(({ probe }) => probe.nodeState?.('a', 'silent', 'timeout'), 'warn')).toHaveLength(1);
});

test('routine operations are counted, not logged; a forced release is logged', () => {
  const lines = logged(({ probe }) => {
    probe.operation?.('acquire', 'granted', 1);
    probe.operation?.('force_release', 'forced', 1);
  });
  expect(lines.map(({ msg }) => msg)).toEqual(['a lease was ended by force']);
});

const SECRET = 'AbCdEfGhIjKlMnOpQrStUv';

test('no lease id, stored value, password or request id reaches a log line', () => {
  const lines = logged(({ logger, probe }) => {
    logger.error(
      { lease_id: SECRET, nested: { request_id: SECRET, password: SECRET } },
      `hf1.${SECRET}.17.3.Z3B1.x9`,
    );
    probe.notice?.('error', `redis://user:${SECRET}@host failed`, { value: `${SECRET}|1800000000000000` });
    logger.error(new Error(`lost hf1.${SECRET}.1.2.3.4`));
    logger.error({ sealed: `${SECRET}0123456789abcdef|1800000000000000` }, 'of an identity');
  });
  expect(lines).toHaveLength(4);
  expect(JSON.stringify(lines)).not.toContain(SECRET);
  expect(lines[1]?.msg).toBe('redis://***@host failed');
});

test.each([
  ['a token of ours', `hft_${'aB3_-'.repeat(8)}xyz`],
  ['a JWT', 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJlLW9mLWl0'],
  ['a JWT that is not signed', 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.'],
  ['a password', Buffer.from('somebody:sesame-sesame').toString('base64')],
])('%s reaches no log line, not even of what gRPC says of its headers', (_, shown) => {
  for (const scheme of ['Bearer', 'bearer', 'Basic']) {
    const line = `received headers {"authorization":["${scheme} ${shown}"],"te":["trailers"]}`;
    const told = scrub(JSON.stringify({ msg: line }));
    expect(told).not.toContain(shown);
    expect(JSON.parse(told).msg).toMatch(/^received headers .*"te":\["trailers"\]\}$/);
  }
  if (!shown.includes('=')) expect(scrub(`refused ${shown}`)).not.toContain(shown.slice(5));
});

test('what is no secret stays as it is', () => {
  const line =
    '{"node":"redis://host:6379/0","lease_ref":"AbCdEfGhIjKlMnOp","token":"1800000000000000",' +
    '"msg":"a bearer token is needed; basic rules apply to hft_ and eyJ"}\n';
  expect(scrub(line)).toBe(line);
});

test('tracing that nobody asked for does nothing', async () => {
  const tracing = await startTracing({ asked: false, serviceName: 'holdfast', rootShare: undefined });
  expect(tracing.active).toBe(false);
  await tracing.shutdown();
});

test('a reader that does not read costs lines, not memory and not the shutdown', async () => {
  let dropped = 0;
  const { sink, close } = boundedSink(new Writable({ write: () => {} }), () => {
    dropped += 1;
  });
  const line = 'x'.repeat(1 << 16);
  for (let at = 0; at < 100; at++) sink.write(line);
  expect(dropped).toBeGreaterThan(80);
  const startMs = performance.now();
  await close();
  expect(performance.now() - startMs).toBeLessThan(2000);
});

test('a reader that has gone costs lines only', async () => {
  let dropped = 0;
  const gone = new Writable({ write: (_line, _encoding, done) => done(new Error('EPIPE')) });
  const { sink, close } = boundedSink(gone, () => {
    dropped += 1;
  });
  sink.write('a');
  await new Promise((resolve) => setImmediate(resolve));
  sink.write('b');
  expect(dropped).toBe(1);
  await close();
});

test('what ended just before the end of the service is sent, too', async () => {
  vi.stubEnv('OTEL_TRACES_EXPORTER', 'console');
  const exported = vi.spyOn(console, 'dir').mockImplementation(() => {});
  const tracing = await startTracing({ asked: true, serviceName: 'holdfast', rootShare: 1 });
  const span = tracing.tracer('test').startSpan('acquire', {}, ROOT_CONTEXT);
  span.end();
  expect(span).not.toBeInstanceOf(trace.getTracer('test').startSpan('of the SDK').constructor);
  await tracing.shutdown();
  trace.disable();
  await vi.waitFor(() => expect(exported).toHaveBeenCalled());
  expect(exported.mock.calls[0]?.[0]).toMatchObject({ name: 'acquire', id: span.spanContext().spanId });
});

test('tracing that was asked for makes spans, and log lines name theirs', async () => {
  vi.stubEnv('OTEL_TRACES_EXPORTER', 'console');
  const exported = vi.spyOn(console, 'dir').mockImplementation(() => {});
  const tracing = await startTracing({ asked: true, serviceName: 'holdfast', rootShare: undefined });
  expect(tracing.active).toBe(true);
  let span: Span | undefined;
  const [line] = logged(({ logger }) => {
    trace.getTracer('test').startActiveSpan('acquire', (started) => {
      span = started;
      logger.info('inside');
      started.end();
    });
  });
  const ids = span?.spanContext();
  expect(line).toMatchObject({ trace_id: ids?.traceId, span_id: ids?.spanId });
  await tracing.shutdown();
  // The console exporter first waits for the name of the host.
  await vi.waitFor(() => expect(exported).toHaveBeenCalled());
  const [told] = exported.mock.calls[0] as [
    { name: string; resource: { attributes: Record<string, string> } },
  ];
  expect(told.name).toBe('acquire');
  expect(told.resource.attributes['service.name']).toBe('holdfast');
  expect(Object.keys(told.resource.attributes).filter((key) => key.startsWith('process.command'))).toEqual(
    [],
  );
});
