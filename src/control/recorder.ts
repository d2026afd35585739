/** What the path's announcements do to the numbers. */
import type { Happening, Probe } from '../domain/probe.ts';
import { type MetricSet, setNodeState } from './metric-set.ts';

export type Recorder = Omit<
  Probe,
  'notice' | 'audited' | 'acted' | 'denied' | 'overQuota' | 'traceVote' | 'traces'
>;

export function makeRecorder(
  all: MetricSet,
  nodes: readonly string[],
  classOf: (resource: string) => string,
): Recorder {
  const configured = new Set(nodes);
  const waiters = all.waiters.of();
  const kept = all.kept.of();
  const batches = all.batches.of();
  return {
    operation(name, outcome, tookMs, reason = '') {
      all.operations.of(name, outcome, reason).value += 1;
      all.operationSeconds.of(name).observe(tookMs / 1000);
    },
    waiters(count) {
      waiters.value = count;
    },
    waited(ms, resource) {
      all.waitSeconds.of(classOf(resource)).observe(ms / 1000);
    },
    handedOver(resource, gapMs) {
      const name = classOf(resource);
      all.handovers.of(name).value += 1;
      if (gapMs !== undefined) all.handoverSeconds.of(name).observe(gapMs / 1000);
    },
    kept(count) {
      kept.value = count;
    },
    vote(_op, node, answer) {
      all.votes.of(node, answer).value += 1;
      if (answer === 'stale') all.staleTokens.of('vote').value += 1;
    },
    batch(_node, operations) {
      batches.observe(operations);
    },
    roundTrip(node, tookMs) {
      all.nodeSeconds.of(node).observe(tookMs / 1000);
    },
    nodeState(node, state) {
      if (configured.has(node)) setNodeState(all, node, state);
    },
    undosOwed(node, count) {
      all.undosOwed.of(node).value = count;
    },
    ownershipViolation(op) {
      all.violations.of(op).value += 1;
    },
    staleToken(where) {
      all.staleTokens.of(where).value += 1;
    },
    happened(happening) {
      record(all, happening, classOf);
    },
  };
}

/** A lease counts once, under its first resource, however many it has. */
function record(all: MetricSet, happening: Happening, classOf: (resource: string) => string): void {
  const { type, lease, reason, resources } = happening;
  if (type === 'queued' || type === 'granted') return;
  const name = classOf(resources[0] ?? '');
  if (type === 'lost') all.lost.of(name, reason).value += 1;
  if (type === 'forced') all.forced.of(name).value += 1;
  // Who ended it by force has told how long it was held.
  if (lease === undefined || (type === 'lost' && reason === 'forced')) return;
  // A token is the microsecond of its grant, whichever replica made it.
  all.heldSeconds.of(name).observe((happening.timeMs - Number(lease.token) / 1000) / 1000);
}
