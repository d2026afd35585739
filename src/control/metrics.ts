/** Every metric of the service: present from the first scrape on, cheap to update, and never labelled with a lock's name. */
import { collectDefaultMetrics, type Metric, Registry } from 'prom-client';
import type { Outcome, Probe } from '../domain/probe.ts';
import type { NodeState } from '../quorum/status.ts';
import { type Family, Histograms, Numbers } from './families.ts';
import type { Snapshot } from './merge.ts';

export interface ClusterReading {
  readonly ready: boolean;
  readonly quorumMargin: number;
}

export interface MetricsOptions {
  readonly version: string;
  /** Node ids as configured. */
  readonly nodes: readonly string[];
  /** Asked at each scrape, so that it is never stale. */
  readonly cluster: () => ClusterReading;
}

export interface Metrics {
  readonly contentType: string;
  /** What the path's announcements do to the numbers. */
  readonly probe: Omit<Probe, 'notice' | 'happened' | 'acted'>;
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

const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
const WAIT_SECONDS = [0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
const HELD_SECONDS = [0.001, 0.01, 0.1, 1, 10, 60, 600, 3600, 14_400, 86_400];
const BATCH_SIZES = [1, 2, 4, 8, 16, 32, 64, 128];

/** What is exported before anything has happened: a missing series and a series at 0 look different to an alert. */
const OPERATIONS: Readonly<Record<string, readonly Outcome[]>> = {
  // `gone`: its caller left in the middle of it.
  acquire: ['granted', 'busy', 'gone', 'refused'],
  heartbeat: ['renewed', 'refused'],
  release: ['released', 'gone', 'refused'],
  inspect: ['read', 'refused'],
  list: ['read', 'refused'],
  check_token: ['read', 'refused'],
  force_release: ['forced', 'refused'],
  watch: ['refused'],
  // A grant whose caller had left, returned.
  give_back: ['released', 'gone', 'refused'],
  // A lease that another stream kept, taken over.
  resume: ['renewed', 'gone', 'refused'],
};
const METHODS = [
  ...['Acquire', 'Heartbeat', 'Release', 'Inspect', 'List', 'CheckToken', 'Hold', 'Session'].map(
    (rpc) => `holdfast.v1.LockService/${rpc}`,
  ),
  ...['ForceRelease', 'Status'].map((rpc) => `holdfast.v1.AdminService/${rpc}`),
];
const STATES: readonly NodeState[] = ['ready', 'silent', 'quarantined', 'suspect', 'refused'];
const ANSWERS = [
  'held',
  'conflict',
  'wait',
  'crowded',
  'extended',
  'bound',
  'missing',
  'released',
  'stale',
  'ahead',
  'dup',
  'timeout',
  'unreachable',
];

function families() {
  return {
    operations: new Numbers(
      'counter',
      'holdfast_operations_total',
      'Lock operations by how they ended; reason is set for refusals.',
      ['op', 'outcome', 'reason'],
    ),
    operationSeconds: new Histograms(
      'holdfast_operation_seconds',
      'How long lock operations took.',
      SECONDS,
      ['op'],
    ),
    waitSeconds: new Histograms(
      'holdfast_wait_seconds',
      'How long granted leases waited in line; 0 when they did not.',
      WAIT_SECONDS,
    ),
    votes: new Numbers('counter', 'holdfast_votes_total', 'What each node answered.', ['node', 'answer']),
    batches: new Histograms(
      'holdfast_batch_operations',
      'Operations that went to a node in one script.',
      BATCH_SIZES,
    ),
    waiters: new Numbers('gauge', 'holdfast_waiters', 'Callers that wait in line here.'),
    kept: new Numbers('gauge', 'holdfast_kept_leases', 'Leases that streams (Hold, Session) keep here.'),
    heldSeconds: new Histograms('holdfast_held_seconds', 'How long streams kept their leases.', HELD_SECONDS),
    nodeState: new Numbers('gauge', 'holdfast_node_state', '1 for the state it is in, else 0.', [
      'node',
      'state',
    ]),
    quarantined: new Numbers(
      'gauge',
      'holdfast_node_quarantined',
      '1 while the node does not vote because it may have forgotten leases.',
      ['node'],
    ),
    undosOwed: new Numbers('gauge', 'holdfast_undos_owed', 'Undos that the node has not confirmed yet.', [
      'node',
    ]),
    violations: new Numbers(
      'counter',
      'holdfast_ownership_violations_total',
      'Attempts to renew or free what the caller did not hold.',
      ['op'],
    ),
    rpcSeconds: new Histograms(
      'holdfast_rpc_seconds',
      'How long RPCs took, by method and gRPC status.',
      SECONDS,
      ['method', 'code'],
    ),
    margin: new Numbers(
      'gauge',
      'holdfast_quorum_margin',
      'Ready nodes less a majority; negative: so many are missing.',
    ),
    ready: new Numbers('gauge', 'holdfast_ready', '1 while this replica can grant leases.'),
    sinkFailures: new Numbers('counter', 'holdfast_telemetry_failures_total', 'Announcements not taken.', [
      'sink',
    ]),
    linesDropped: new Numbers(
      'counter',
      'holdfast_log_lines_dropped_total',
      'Log lines dropped because their reader was too slow.',
    ),
    build: new Numbers('gauge', 'holdfast_build_info', 'Always 1; the release is in the label.', ['version']),
  };
}

type Families = ReturnType<typeof families>;

export function createMetrics({ version, nodes, cluster }: MetricsOptions): Metrics {
  const all = families();
  declare(all, nodes);
  all.build.of(version).value = 1;
  const registry = new Registry();
  for (const family of Object.values(all)) register(registry, family);
  // Among them the event loop's lag (nodejs_eventloop_lag_*).
  collectDefaultMetrics({ register: registry });
  const read = (): void => {
    const { ready, quorumMargin } = cluster();
    all.ready.of().value = ready ? 1 : 0;
    all.margin.of().value = quorumMargin;
  };
  return {
    contentType: registry.contentType,
    probe: recorder(all, nodes),
    rpc: (method, code, tookMs) => all.rpcSeconds.of(method, code).observe(tookMs / 1000),
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
      read();
      return registry.metrics();
    },
    snapshot: async () => {
      read();
      return (await registry.getMetricsAsJSON()) as Snapshot;
    },
  };
}

/** The registry's type asks for prom-client's own classes; at the scrape it only uses `name` and `get()`. */
function register(registry: Registry, family: Family): void {
  registry.registerMetric(family as unknown as Metric);
}

function declare(all: Families, nodes: readonly string[]): void {
  for (const [op, outcomes] of Object.entries(OPERATIONS)) {
    all.operationSeconds.of(op);
    for (const outcome of outcomes) all.operations.of(op, outcome, '');
  }
  for (const node of nodes) {
    for (const answer of ANSWERS) all.votes.of(node, answer);
    all.undosOwed.of(node);
    setState(all, node, 'silent');
  }
  for (const op of ['heartbeat', 'release']) all.violations.of(op);
  for (const method of METHODS) all.rpcSeconds.of(method, 'OK');
  for (const sink of ['metrics', 'logs']) all.sinkFailures.of(sink);
}

/** Exactly one state is 1, also where the state is one this file has not heard of. */
function setState(all: Families, node: string, state: string): void {
  for (const known of STATES) all.nodeState.of(node, known).value = 0;
  all.nodeState.of(node, state).value = 1;
  all.quarantined.of(node).value = state === 'quarantined' ? 1 : 0;
}

function recorder(all: Families, nodes: readonly string[]): Metrics['probe'] {
  const configured = new Set(nodes);
  return {
    operation(name, outcome, tookMs, reason = '') {
      all.operations.of(name, outcome, reason).value += 1;
      all.operationSeconds.of(name).observe(tookMs / 1000);
    },
    waiters(count) {
      all.waiters.of().value = count;
    },
    waited(ms) {
      all.waitSeconds.of().observe(ms / 1000);
    },
    kept(count) {
      all.kept.of().value = count;
    },
    held(ms) {
      all.heldSeconds.of().observe(ms / 1000);
    },
    vote(_op, node, answer) {
      all.votes.of(node, answer).value += 1;
    },
    batch(_node, operations) {
      all.batches.of().observe(operations);
    },
    nodeState(node, state) {
      if (configured.has(node)) setState(all, node, state);
    },
    undosOwed(node, count) {
      all.undosOwed.of(node).value = count;
    },
    ownershipViolation(op) {
      all.violations.of(op).value += 1;
    },
  };
}
