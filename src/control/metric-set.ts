/** What is measured: every family of the path, its labels, and the series that exist before anything has happened. */
import type { Outcome } from '../domain/probe.ts';
import type { NodeState } from '../quorum/status.ts';
import { Histograms, Numbers } from './families.ts';

const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
/** Those of the semantic conventions (rpc.server.call.duration), and finer ones below: most calls take less. */
const RPC_SECONDS = [
  ...[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
];
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
  history: ['read', 'refused'],
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
  ...[
    ...[
      'Acquire',
      'Heartbeat',
      'Release',
      'Inspect',
      'List',
      'History',
      'CheckToken',
      'Hold',
      'Session',
      'Watch',
    ],
  ].map((rpc) => `holdfast.v1.LockService/${rpc}`),
  ...['ForceRelease', 'Status', 'Reload', 'SetLogLevel', 'RunJanitor'].map(
    (rpc) => `holdfast.v1.AdminService/${rpc}`,
  ),
];
const STATES: readonly NodeState[] = ['ready', 'silent', 'quarantined', 'suspect', 'refused'];
/** What a node says to a vote or an undo, and why it says nothing. */
const ANSWERS = [
  ...['held', 'dup', 'replay', 'ended', 'mismatch', 'conflict', 'wait', 'crowded', 'stale', 'ahead'],
  ...['extended', 'bound', 'missing', 'released', 'forced', 'skipped'],
  ...['timeout', 'unreachable', 'amnesia', 'config', 'suspect', 'refused', 'full', 'overloaded', 'error'],
];
/** As control.ts and recording.ts call them. */
const SINKS = ['metrics', 'logs', 'alerts', 'events', 'audit', 'traces'];
const LOSSES = ['expired', 'forced', 'unknown'];

function ofLocks() {
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
      ['class'],
    ),
    heldSeconds: new Histograms(
      'holdfast_held_seconds',
      'How long leases were held whose end was seen here.',
      HELD_SECONDS,
      ['class'],
    ),
    handovers: new Numbers(
      'counter',
      'holdfast_handovers_total',
      'Grants to somebody who had to wait for it.',
      ['class'],
    ),
    handoverSeconds: new Histograms(
      'holdfast_handover_seconds',
      'From a release to the grant of who waited, where both went through this replica.',
      SECONDS,
      ['class'],
    ),
    lost: new Numbers(
      'counter',
      'holdfast_leases_lost_total',
      'Leases that their holders lost, as they were told here.',
      ['class', 'reason'],
    ),
    forced: new Numbers('counter', 'holdfast_forced_releases_total', 'Leases ended by force through here.', [
      'class',
    ]),
    violations: new Numbers(
      'counter',
      'holdfast_ownership_violations_total',
      'Attempts to renew or free what the caller did not hold.',
      ['op'],
    ),
    staleTokens: new Numbers(
      'counter',
      'holdfast_stale_tokens_total',
      'Tokens that were not current: in a vote, at one node, or asked for by CheckToken.',
      ['where'],
    ),
    waiters: new Numbers('gauge', 'holdfast_waiters', 'Callers that wait in line here.'),
    kept: new Numbers('gauge', 'holdfast_kept_leases', 'Leases that streams (Hold, Session) keep here.'),
    rpcSeconds: new Histograms(
      'rpc_server_call_duration_seconds',
      'How long RPCs took, by method and gRPC status.',
      RPC_SECONDS,
      ['rpc_system_name', 'rpc_method', 'rpc_response_status_code'],
    ),
  };
}

function ofNodes() {
  return {
    votes: new Numbers('counter', 'holdfast_votes_total', 'What each node answered.', ['node', 'answer']),
    nodeSeconds: new Histograms(
      'holdfast_node_seconds',
      'How long the node took to answer a script, the way there and back among it.',
      SECONDS,
      ['node'],
    ),
    clockOffset: new Numbers(
      'gauge',
      'holdfast_node_clock_offset_seconds',
      "The node's wall clock less this replica's, as of its last answer.",
      ['node'],
    ),
    batches: new Histograms(
      'holdfast_batch_operations',
      'Operations that went to a node in one script.',
      BATCH_SIZES,
    ),
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
    margin: new Numbers(
      'gauge',
      'holdfast_quorum_margin',
      'Ready nodes less a majority; negative: so many are missing.',
    ),
    ready: new Numbers('gauge', 'holdfast_ready', '1 while this replica can grant leases.'),
  };
}

function ofTelemetry() {
  return {
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

export type MetricSet = ReturnType<typeof ofLocks> &
  ReturnType<typeof ofNodes> &
  ReturnType<typeof ofTelemetry>;

export interface Labels {
  /** Node ids as configured. */
  readonly nodes: readonly string[];
  readonly classes: readonly string[];
}

/** Of what is unbounded or rare (reasons, statuses) only that which is usual is there from the start. */
export function makeMetricSet({ nodes, classes }: Labels): MetricSet {
  const all = { ...ofLocks(), ...ofNodes(), ...ofTelemetry() };
  for (const [op, outcomes] of Object.entries(OPERATIONS)) {
    all.operationSeconds.of(op);
    for (const outcome of outcomes) all.operations.of(op, outcome, '');
  }
  for (const name of classes) {
    for (const family of [all.waitSeconds, all.heldSeconds, all.handovers, all.handoverSeconds, all.forced]) {
      family.of(name);
    }
    for (const reason of LOSSES) all.lost.of(name, reason);
  }
  for (const node of nodes) {
    for (const answer of ANSWERS) all.votes.of(node, answer);
    for (const family of [all.undosOwed, all.nodeSeconds, all.clockOffset]) family.of(node);
    setNodeState(all, node, 'silent');
  }
  for (const op of ['heartbeat', 'release', 'resume']) all.violations.of(op);
  for (const where of ['vote', 'check_token']) all.staleTokens.of(where);
  for (const method of METHODS) all.rpcSeconds.of('grpc', method, 'OK');
  for (const sink of SINKS) all.sinkFailures.of(sink);
  return all;
}

/** Exactly one state is 1, also where the state is one this file has not heard of. */
export function setNodeState({ nodeState, quarantined }: MetricSet, node: string, state: string): void {
  for (const known of STATES) nodeState.of(node, known).value = 0;
  nodeState.of(node, state).value = 1;
  quarantined.of(node).value = state === 'quarantined' ? 1 : 0;
}
