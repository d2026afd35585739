/** What OTEL_* asks of us: whether to trace, under which name, and how much. */
import type { Environment } from './sources.ts';

/** The SDK reads the rest of OTEL_* by itself. */
export interface TracingSettings {
  readonly asked: boolean;
  /** Undefined: OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES has it. */
  readonly serviceName: string | undefined;
  /** Of calls that come without a trace, so many begin one (0 to 1); undefined: the SDK's sampler decides on each. */
  readonly rootShare: number | undefined;
}

const TRACES = ['OTEL_TRACES_EXPORTER', 'OTEL_EXPORTER_OTLP_ENDPOINT', 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'];

/** Unasked, the SDK would export to localhost:4318; an empty variable counts as unset, as its specification says. */
export function tracingOf(env: Environment): TracingSettings {
  const disabled =
    env.OTEL_SDK_DISABLED?.trim().toLowerCase() === 'true' || env.OTEL_TRACES_EXPORTER === 'none';
  const asked = !disabled && TRACES.some((name) => (env[name] ?? '') !== '');
  const named =
    (env.OTEL_SERVICE_NAME ?? '') !== '' || /(^|,)\s*service\.name=/.test(env.OTEL_RESOURCE_ATTRIBUTES ?? '');
  return { asked, serviceName: named ? undefined : 'holdfast', rootShare: rootShareOf(env) };
}

/** Of samplers that follow the parent. What is no share, or no sampler, the SDK answers for, with a line in its log. */
function rootShareOf(env: Environment): number | undefined {
  const argument = (env.OTEL_TRACES_SAMPLER_ARG ?? '').trim();
  switch (env.OTEL_TRACES_SAMPLER ?? '') {
    case '':
    case 'parentbased_always_on':
      return 1;
    case 'parentbased_always_off':
      return 0;
    case 'parentbased_traceidratio': {
      const share = argument === '' ? Number.NaN : Number(argument);
      return share >= 0 && share <= 1 ? share : undefined;
    }
    default:
      return undefined;
  }
}
