/** The metrics of a service of several processes: those of all workers as one, and those of the primary itself. */
import { collectDefaultMetrics, type Metric, Registry } from 'prom-client';
import { Numbers } from './families.ts';
import { countsOf, merge, type Snapshot, totalOf } from './merge.ts';

const RPCS = 'rpc_server_call_duration_seconds_count';

export interface ServiceOptions {
  readonly workers: number;
  /** Those that serve now; undefined: no answer in time. */
  gather(): Promise<ReadonlyMap<number, Snapshot | undefined>>;
  /** Open connections by worker. */
  connections(): ReadonlyMap<number, number>;
  restarts(): number;
}

export interface ServiceMetrics {
  readonly contentType: string;
  text(): Promise<string>;
  /** The worker is gone; what it had counted stays in the sums. */
  left(number: number): void;
  logLineDropped(): void;
}

function families() {
  return {
    ready: new Numbers('gauge', 'holdfast_ready', '1 while this replica can grant leases.'),
    workers: new Numbers('gauge', 'holdfast_workers', 'Worker processes that serve.'),
    restarts: new Numbers(
      'counter',
      'holdfast_worker_restarts_total',
      'Workers that ended and were replaced.',
    ),
    unanswered: new Numbers(
      'counter',
      'holdfast_worker_unanswered_total',
      'Scrapes that a worker did not answer in time.',
      ['worker'],
    ),
    connections: new Numbers('gauge', 'holdfast_worker_connections', 'Connections that each worker has.', [
      'worker',
    ]),
    calls: new Numbers('counter', 'holdfast_worker_rpcs_total', 'RPCs that each worker has answered.', [
      'worker',
    ]),
    linesDropped: new Numbers(
      'counter',
      'holdfast_log_lines_dropped_total',
      'Log lines dropped because their reader was too slow.',
    ),
  };
}

export function createServiceMetrics(options: ServiceOptions): ServiceMetrics {
  const own = families();
  const registry = new Registry();
  for (const family of Object.values(own)) registry.registerMetric(family as unknown as Metric);
  collectDefaultMetrics({ register: registry });
  const numbers = Array.from({ length: options.workers }, (_, at) => at + 1);
  for (const number of numbers) own.unanswered.of(String(number));
  const last = new Map<number, Snapshot>();
  const deaths = new Map<number, number>();
  let retired: Snapshot = [];

  const describe = (answers: ReadonlyMap<number, Snapshot | undefined>): void => {
    const open = options.connections();
    const silent = [...answers].filter(([, answer]) => answer === undefined);
    own.ready.of().value = answers.size > 0 && silent.length === 0 ? 1 : 0;
    own.workers.of().value = answers.size;
    own.restarts.of().value = options.restarts();
    for (const [number] of silent) own.unanswered.of(String(number)).value += 1;
    for (const number of numbers) {
      own.connections.of(String(number)).value = open.get(number) ?? 0;
      own.calls.of(String(number)).value = totalOf(last.get(number) ?? [], RPCS);
    }
  };
  return {
    contentType: registry.contentType,
    async text() {
      const before = new Map(deaths);
      const answers = await options.gather();
      const fresh = [...answers].map(([number, answer]): Snapshot => {
        // Died while we asked: what it had counted is in the sums already.
        if (before.get(number) !== deaths.get(number)) return [];
        // What it counts can only be as much or more.
        if (answer === undefined) return countsOf(last.get(number) ?? []);
        last.set(number, answer);
        return answer;
      });
      describe(answers);
      const all = merge([(await registry.getMetricsAsJSON()) as Snapshot, ...fresh, retired]);
      return render(all);
    },
    left(number) {
      retired = merge([retired, countsOf(last.get(number) ?? [])]);
      last.delete(number);
      deaths.set(number, (deaths.get(number) ?? 0) + 1);
    },
    logLineDropped: () => {
      own.linesDropped.of().value += 1;
    },
  };
}

function render(snapshot: Snapshot): Promise<string> {
  const registry = new Registry();
  for (const reading of snapshot) {
    registry.registerMetric({ name: reading.name, get: () => reading } as unknown as Metric);
  }
  return registry.metrics();
}
