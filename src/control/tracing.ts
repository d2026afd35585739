/** Starts the OpenTelemetry SDK if, and only if, OTEL_* asks for traces; spans are made by hand where they matter. */
import { type Span, trace } from '@opentelemetry/api';
import type { TracingSettings } from '../config/tracing.ts';
import { systemClock } from '../std/clock.ts';
import { LateSpans, recording, type SpanStarter } from './late-spans.ts';

export interface Tracing {
  readonly active: boolean;
  /** By the name of who traces. */
  readonly tracer: (name: string) => SpanStarter;
  /** The span of the call that is running, if it is sampled. */
  readonly recording: () => Span | undefined;
  /** Sends what is pending; never rejects, and never takes longer than its bound. */
  shutdown(): Promise<void>;
}

const SHUTDOWN_MS = 3000;

/** The import costs some hundred milliseconds and many megabytes, so it is made only when asked. */
export async function startTracing({ asked, serviceName, rootShare }: TracingSettings): Promise<Tracing> {
  const sdkTracer = (name: string): SpanStarter => trace.getTracer(name);
  if (!asked) return { active: false, tracer: sdkTracer, recording, shutdown: async () => {} };
  const { NodeSDK, resources, tracing } = await import('@opentelemetry/sdk-node');
  const late = new LateSpans(systemClock, new tracing.RandomIdGenerator());
  const sdk = new NodeSDK({
    idGenerator: late.ids,
    ...(serviceName === undefined ? {} : { serviceName }),
    // Who begins a trace has drawn the lot already (edge/tracing.ts).
    ...(rootShare === undefined
      ? {}
      : { sampler: new tracing.ParentBasedSampler({ root: new tracing.AlwaysOnSampler() }) }),
    // Wrapping modules costs 1.3 to 1.7 times the CPU, and metrics and logs have doors of their own.
    instrumentations: [],
    metricReaders: [],
    logRecordProcessors: [],
    // Not the process detector: it sends the command line, which may hold a password.
    resourceDetectors: [resources.envDetector, resources.hostDetector],
  });
  sdk.start();
  // Another sampler decides on each span by itself, so the SDK has to be asked as it starts.
  const made =
    rootShare === undefined
      ? { tracer: sdkTracer, recording }
      : { tracer: (name: string) => late.starter(sdkTracer(name)), recording: () => late.recording() };
  return {
    active: true,
    ...made,
    shutdown() {
      late.flush();
      return bounded(sdk.shutdown());
    },
  };
}

/** An exporter whose collector is gone retries for long; a service that drains does not wait for it. */
async function bounded(shutdown: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, SHUTDOWN_MS);
  });
  await Promise.race([shutdown.catch(() => {}), limit]);
  clearTimeout(timer);
}
