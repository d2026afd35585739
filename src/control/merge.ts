/** The metrics of several processes as those of one service: every series keeps its name and stays true. */

/** What a registry knows at one moment. */
export type Snapshot = readonly Reading[];

export interface Reading {
  readonly name: string;
  readonly help: string;
  /** `counter`, `gauge`, `histogram`. */
  readonly type: unknown;
  readonly values: readonly Sample[];
}

export interface Sample {
  readonly value: number;
  readonly labels: Readonly<Record<string, string | number | undefined>>;
  readonly metricName?: string;
}

type Fold = (a: number, b: number) => number;

const sum: Fold = (a, b) => a + b;
const least: Fold = (a, b) => Math.min(a, b);
const most: Fold = (a, b) => Math.max(a, b);
const first: Fold = (a) => a;
const farthest: Fold = (a, b) => (Math.abs(b) > Math.abs(a) ? b : a);

/**
 * Gauges, one by one: what each worker has for itself adds up; of what all look at, such as nodes, the worst view
 * counts, so that an alert fires when one worker has reason to.
 */
export const GAUGES: Readonly<Record<string, (labels: Sample['labels']) => Fold>> = {
  holdfast_ready: () => least,
  holdfast_quorum_margin: () => least,
  holdfast_node_state: ({ state }) => (state === 'ready' ? least : most),
  holdfast_node_quarantined: () => most,
  holdfast_node_clock_offset_seconds: () => farthest,
  holdfast_alerts_pending: () => sum,
  holdfast_archive_up: () => least,
  holdfast_undos_owed: () => sum,
  holdfast_waiters: () => sum,
  holdfast_kept_leases: () => sum,
  holdfast_sink_pending: () => sum,
  holdfast_tls_certificate_expiry_timestamp_seconds: () => least,
  holdfast_build_info: () => first,
  // One worker's janitor tells, the others say 0.
  holdfast_locks_held: () => most,
  holdfast_locks_waiting: () => most,
  holdfast_longest_hold_seconds: () => most,
  holdfast_oldest_wait_seconds: () => most,
  holdfast_held_too_long: () => most,
  holdfast_silent_holders: () => most,
  holdfast_starving_waiters: () => most,
  holdfast_janitor_active: () => most,
  holdfast_janitor_last_run_timestamp_seconds: () => most,
  process_start_time_seconds: () => first,
  process_max_fds: () => least,
  nodejs_version_info: () => first,
};

function foldOf(name: string, type: unknown, labels: Sample['labels']): Fold {
  if (type !== 'gauge') return sum;
  const rule = GAUGES[name];
  if (rule !== undefined) return rule(labels);
  // Of several event loops the slowest is the one to look at.
  if (name.startsWith('nodejs_eventloop_lag_')) return name.includes('_min_') ? least : most;
  return sum;
}

/** The first snapshot has the word on texts, and on what is the same for all. */
export function merge(snapshots: readonly Snapshot[]): Snapshot {
  const merged = new Map<string, { reading: Reading; values: Map<string, Sample> }>();
  for (const reading of snapshots.flat()) {
    const { name, type } = reading;
    const family = merged.get(name) ?? { reading, values: new Map<string, Sample>() };
    merged.set(name, family);
    for (const sample of reading.values) {
      const key = keyOf(sample);
      const before = family.values.get(key);
      const value =
        before === undefined ? sample.value : foldOf(name, type, sample.labels)(before.value, sample.value);
      family.values.set(key, { ...sample, value });
    }
  }
  return [...merged.values()].map(({ reading, values }) => ({ ...reading, values: [...values.values()] }));
}

function keyOf({ metricName = '', labels }: Sample): string {
  const named = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([metricName, named]);
}

/** What outlives a process: its counts. A sum that fell would look like a restart, and as if all had happened anew. */
export function countsOf(snapshot: Snapshot): Snapshot {
  return snapshot.filter(({ type }) => type !== 'gauge');
}

/** The sum of all values of one name, over all labels. */
export function totalOf(snapshot: Snapshot, metricName: string): number {
  let total = 0;
  for (const { name, values } of snapshot) {
    for (const sample of values) if ((sample.metricName ?? name) === metricName) total += sample.value;
  }
  return total;
}
