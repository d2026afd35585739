/** Several processes read as one service: sums of counts, the worst view of what all see, and no count ever falls. */
import { describe, expect, test } from 'vitest';
import { GAUGES, merge, type Snapshot } from '../../../src/control/merge.ts';
import { createMetrics } from '../../../src/control/metrics.ts';
import { createServiceMetrics } from '../../../src/control/service-metrics.ts';

function worker(ready = true, quorumMargin = 1, clockOffsetMs = 0) {
  return createMetrics({
    version: '9.9.9',
    nodes: ['a', 'b', 'c'],
    cluster: () => ({ ready, quorumMargin, nodes: [{ node: 'a', clockOffsetMs }] }),
  });
}

type Worker = ReturnType<typeof worker>;

/** A service of these; undefined hangs. */
function service(workers: Map<number, Worker | undefined>, connections = new Map<number, number>()) {
  return createServiceMetrics({
    workers: 2,
    async gather() {
      const answers = new Map<number, Snapshot | undefined>();
      for (const [number, one] of workers) answers.set(number, await one?.snapshot());
      return answers;
    },
    connections: () => connections,
    restarts: () => 3,
  });
}

function sample(text: string, line: string): number | undefined {
  const found = text.split('\n').find((candidate) => candidate.startsWith(`${line} `));
  return found === undefined ? undefined : Number(found.slice(line.length + 1));
}

describe('the sum', () => {
  test('of counters and of histograms, bucket by bucket', async () => {
    const [one, two] = [worker(), worker()];
    one.probe.operation('acquire', 'granted', 3);
    two.probe.operation('acquire', 'granted', 300);
    two.probe.operation('acquire', 'refused', 1, 'NO_QUORUM');
    one.probe.waiters(2);
    two.probe.waiters(5);
    const text = await service(
      new Map([
        [1, one],
        [2, two],
      ]),
    ).text();
    expect(sample(text, 'holdfast_operations_total{op="acquire",outcome="granted",reason=""}')).toBe(2);
    expect(sample(text, 'holdfast_operations_total{op="acquire",outcome="refused",reason="NO_QUORUM"}')).toBe(
      1,
    );
    expect(sample(text, 'holdfast_operation_seconds_bucket{op="acquire",le="0.005"}')).toBe(2);
    expect(sample(text, 'holdfast_operation_seconds_bucket{op="acquire",le="+Inf"}')).toBe(3);
    expect(sample(text, 'holdfast_operation_seconds_count{op="acquire"}')).toBe(3);
    expect(sample(text, 'holdfast_waiters')).toBe(7);
  });

  test('is of the same families as one process has, each once', async () => {
    const names = (text: string) => [...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name!);
    const one = names(await worker().text());
    const all = names(await service(new Map([[1, worker()]])).text());
    expect(all).toEqual([...new Set(all)]);
    expect(all).toEqual(expect.arrayContaining(one));
  });
});

describe('a gauge that all see', () => {
  test('is not summed: agreement reads as one process would say it', async () => {
    const [one, two] = [worker(), worker()];
    for (const { probe } of [one, two]) probe.nodeState('a', 'ready', '');
    const workers = new Map([
      [1, one],
      [2, two],
    ]);
    const text = await service(workers).text();
    expect(sample(text, 'holdfast_node_state{node="a",state="ready"}')).toBe(1);
    expect(sample(text, 'holdfast_node_state{node="a",state="silent"}')).toBe(0);
    expect(sample(text, 'holdfast_quorum_margin')).toBe(1);
    expect(sample(text, 'holdfast_ready')).toBe(1);
    expect(sample(text, 'holdfast_build_info{version="9.9.9"}')).toBe(1);
  });

  test('shows the worst view where they differ', async () => {
    const [one, two] = [worker(true, 1, 20), worker(false, -1, -300)];
    one.probe.nodeState('a', 'ready', '');
    two.probe.nodeState('a', 'quarantined', '');
    const workers = new Map([
      [1, one],
      [2, two],
    ]);
    const text = await service(workers).text();
    expect(sample(text, 'holdfast_node_state{node="a",state="ready"}')).toBe(0);
    expect(sample(text, 'holdfast_node_state{node="a",state="quarantined"}')).toBe(1);
    expect(sample(text, 'holdfast_node_quarantined{node="a"}')).toBe(1);
    expect(sample(text, 'holdfast_quorum_margin')).toBe(-1);
    expect(sample(text, 'holdfast_node_clock_offset_seconds{node="a"}')).toBe(-0.3);
    expect(sample(text, 'holdfast_ready')).toBe(0);
  });

  test('of the service has its rule: whoever adds one decides how several are one', async () => {
    const gauges = [...(await worker().text()).matchAll(/^# TYPE (holdfast_\S+) gauge$/gm)];
    expect(gauges.length).toBeGreaterThan(5);
    expect(gauges.map(([, name]) => name!).filter((name) => GAUGES[name] === undefined)).toEqual([]);
  });

  test('of the event loops is that of the slowest', () => {
    const lag = (value: number): Snapshot => [
      { name: 'nodejs_eventloop_lag_p99_seconds', help: '', type: 'gauge', values: [{ value, labels: {} }] },
    ];
    expect(merge([lag(0.1), lag(0.9), lag(0.2)])[0]!.values).toEqual([{ value: 0.9, labels: {} }]);
  });
});

describe('a worker that does not answer', () => {
  const granted = 'holdfast_operations_total{op="acquire",outcome="granted",reason=""}';

  test('is counted, makes the service unready, and its counts stay what they were', async () => {
    const [one, two] = [worker(), worker()];
    for (const { probe } of [one, two]) probe.operation('acquire', 'granted', 1);
    const workers = new Map<number, Worker | undefined>([
      [1, one],
      [2, two],
    ]);
    const all = service(workers);
    expect(sample(await all.text(), granted)).toBe(2);
    workers.set(2, undefined);
    const text = await all.text();
    expect(sample(text, granted)).toBe(2);
    expect(sample(text, 'holdfast_ready')).toBe(0);
    expect(sample(text, 'holdfast_worker_unanswered_total{worker="2"}')).toBe(1);
    expect(sample(text, 'holdfast_worker_unanswered_total{worker="1"}')).toBe(0);
  });

  test('because it died leaves its counts in the sum, and its successor adds to them', async () => {
    const [one, two] = [worker(), worker()];
    for (const { probe } of [one, two]) probe.operation('acquire', 'granted', 1);
    two.probe.waiters(4);
    two.rpc('holdfast.v1.LockService/Acquire', 'OK', 1);
    const workers = new Map([
      [1, one],
      [2, two],
    ]);
    const all = service(workers);
    const before = await all.text();
    expect(sample(before, 'holdfast_waiters')).toBe(4);
    expect(sample(before, 'holdfast_worker_rpcs_total{worker="2"}')).toBe(1);
    workers.delete(2);
    all.left(2);
    const without = await all.text();
    expect(sample(without, granted)).toBe(2);
    expect(sample(without, 'holdfast_waiters')).toBe(0);
    expect(sample(without, 'holdfast_workers')).toBe(1);
    expect(sample(without, 'holdfast_worker_rpcs_total{worker="2"}')).toBe(0);
    const next = worker();
    next.probe.operation('acquire', 'granted', 1);
    workers.set(2, next);
    expect(sample(await all.text(), granted)).toBe(3);
  });

  test('and nobody else does: the service is there and not ready', async () => {
    const text = await service(new Map()).text();
    expect(sample(text, 'holdfast_ready')).toBe(0);
    expect(sample(text, 'holdfast_workers')).toBe(0);
  });
});

test('the primary tells what only it knows', async () => {
  const all = service(new Map([[1, worker()]]), new Map([[1, 12]]));
  all.logLineDropped();
  const text = await all.text();
  expect(sample(text, 'holdfast_worker_connections{worker="1"}')).toBe(12);
  expect(sample(text, 'holdfast_worker_connections{worker="2"}')).toBe(0);
  expect(sample(text, 'holdfast_worker_restarts_total')).toBe(3);
  expect(sample(text, 'holdfast_log_lines_dropped_total')).toBe(1);
});
