/** Every metric of the service: present from the first scrape on, cheap to update, and never labelled with a lock's name. */
import { collectDefaultMetrics, type Metric, Registry } from 'prom-client';
import type { LockClass } from '../config/operations.ts';
import type { NodeStatus } from '../quorum/status.ts';
import { classNames, makeClassOf } from './classes.ts';
import type { Family } from './families.ts';
import type { Snapshot } from './merge.ts';
import { type MetricSet, makeMetricSet } from './metric-set.ts';
import { makeRecorder, type Recorder } from './recorder.ts';

export interface ClusterReading {
  readonly ready: boolean;
  readonly quorumMargin: number;
  readonly nodes?: readonly Pick<NodeStatus, 'node' | 'clockOffsetMs'>[];
}

export interface MetricsOptions {
  readonly version: string;
  /** Node ids as configured. */
  readonly nodes: readonly string[];
  readonly classes?: readonly LockClass[];
  /** Asked at each scrape, so that it is never stale. */
  readonly cluster: () => ClusterReading;
}

export interface Metrics {
  readonly contentType: string;
  /** What the path's announcements do to the numbers. */
  readonly probe: Recorder;
  /** One RPC ended; `code` is the name of its gRPC status. */
  rpc(method: string, code: string, tookMs: number): void;
  /** Families of other parts of `control`: exported from now on. */
  add(...families: readonly Family[]): void;
  sinkFailed(sink: string): void;
  logLineDropped(): void;
  text(): Promise<string>;
  /** The same as values, for whoever adds up several processes. */
  snapshot(): Promise<Snapshot>;
}

export function createMetrics({ version, nodes, classes = [], cluster }: MetricsOptions): Metrics {
  const all = makeMetricSet({ nodes, classes: classNames(classes) });
  all.build.of(version).value = 1;
  const registry = new Registry();
  for (const family of Object.values(all)) register(registry, family);
  // Among them the event loop's lag (nodejs_eventloop_lag_*).
  collectDefaultMetrics({ register: registry });
  return {
    contentType: registry.contentType,
    probe: makeRecorder(all, nodes, makeClassOf(classes)),
    rpc: (method, code, tookMs) => all.rpcSeconds.of('grpc', method, code).observe(tookMs / 1000),
    add: (...families) => {
      for (const family of families) register(registry, family);
    },
    sinkFailed: (sink) => {
      all.sinkFailures.of(sink).value += 1;
    },
    logLineDropped: () => {
      all.linesDropped.of().value += 1;
    },
    text: async () => {
      read(all, cluster());
      return registry.metrics();
    },
    snapshot: async () => {
      read(all, cluster());
      return (await registry.getMetricsAsJSON()) as Snapshot;
    },
  };
}

function read(all: MetricSet, { ready, quorumMargin, nodes = [] }: ClusterReading): void {
  all.ready.of().value = ready ? 1 : 0;
  all.margin.of().value = quorumMargin;
  for (const { node, clockOffsetMs } of nodes) all.clockOffset.of(node).value = clockOffsetMs / 1000;
}

/** The registry's type asks for prom-client's own classes; at the scrape it only uses `name` and `get()`. */
function register(registry: Registry, family: Family): void {
  registry.registerMetric(family as unknown as Metric);
}
