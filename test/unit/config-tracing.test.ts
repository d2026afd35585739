/** What OTEL_* asks of the service itself. */
import { describe, expect, test } from 'vitest';
import { tracingOf } from '../../src/config/tracing.ts';

describe('tracing', () => {
  test.each([
    [{}, false],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4318' }, true],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: '' }, false],
    [{ OTEL_TRACES_EXPORTER: 'console' }, true],
    [{ OTEL_TRACES_EXPORTER: 'none', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4318' }, false],
    [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://c:4318', OTEL_SDK_DISABLED: 'true' }, false],
    [{ OTEL_SERVICE_NAME: 'x' }, false],
  ])('%j asks for it: %s', (env, asked) => {
    expect(tracingOf(env).asked).toBe(asked);
  });

  test.each([
    ['parentbased_traceidratio', '0.01', 0.01],
    ['parentbased_traceidratio', '0', 0],
    ['parentbased_traceidratio', ' 1 ', 1],
    // The SDK knows what to make of these, and says so.
    ['parentbased_traceidratio', undefined, undefined],
    ['parentbased_traceidratio', ' ', undefined],
    ['parentbased_traceidratio', '1.5', undefined],
    ['parentbased_traceidratio', '-0.1', undefined],
    ['parentbased_traceidratio', 'half', undefined],
    ['traceidratio', '0.01', undefined],
    ['always_on', undefined, undefined],
    ['always_off', undefined, undefined],
    ['no such sampler', undefined, undefined],
    ['parentbased_always_on', '0.01', 1],
    ['parentbased_always_off', '0.01', 0],
    // As the SDK's specification has it.
    [undefined, '0.01', 1],
    ['', undefined, 1],
  ])('sampler %s with %s: a share of %s is drawn by ourselves', (sampler, argument, share) => {
    const env = { OTEL_TRACES_SAMPLER: sampler, OTEL_TRACES_SAMPLER_ARG: argument };
    expect(tracingOf(env).rootShare).toBe(share);
  });

  test('the service has a name unless OTEL_* gives one', () => {
    expect(tracingOf({}).serviceName).toBe('holdfast');
    expect(tracingOf({ OTEL_RESOURCE_ATTRIBUTES: 'a=b,service.name=c' }).serviceName).toBeUndefined();
  });
});
