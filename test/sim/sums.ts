/** What all runs together did and broke, and whether that is a pass. */
import type { Broken, Verdict } from './judge.ts';

export interface Failure extends Broken {
  readonly seed: number;
}

export interface Sums {
  readonly seeds: number;
  /** Seeds that did too little; what they did is not counted. */
  readonly invalid: readonly number[];
  readonly clientSeconds: number;
  readonly messages: number;
  readonly operations: number;
  readonly granted: number;
  readonly unknown: number;
  readonly refused: Readonly<Record<string, number>>;
  readonly faults: Readonly<Record<string, number>>;
  readonly violations: Readonly<Record<string, number>>;
  readonly excused: number;
  /** By menders, at one node each. */
  readonly mended: Readonly<Record<string, number>>;
  readonly recovery: { readonly count: number; readonly p50Ms: number; readonly p99Ms: number };
  readonly twinLost: number;
  readonly failures: readonly Failure[];
}

export function sumOf(verdicts: readonly Verdict[]): Sums {
  const valid = verdicts.filter((verdict) => verdict.valid);
  const total = (of: (verdict: Verdict) => number): number =>
    valid.reduce((sum, verdict) => sum + of(verdict), 0);
  const failures = verdicts.flatMap(({ seed, broken }) => broken.map((one) => ({ seed, ...one })));
  const recoveries = valid.flatMap(({ tally }) => tally.recoveryMs).sort((one, other) => one - other);
  return {
    seeds: verdicts.length,
    invalid: verdicts.filter((verdict) => !verdict.valid).map(({ seed }) => seed),
    clientSeconds: total(({ clientSeconds }) => clientSeconds),
    messages: total(({ messages }) => messages),
    operations: total(({ tally }) => tally.operations),
    granted: total(({ tally }) => tally.granted),
    unknown: total(({ tally }) => tally.unknown),
    refused: added(valid.map(({ tally }) => tally.refused)),
    faults: added(valid.map(({ tally }) => tally.faults)),
    violations: added(failures.map(({ rule }) => ({ [rule]: 1 }))),
    excused: total(({ excused }) => excused),
    mended: added(valid.map(({ mended }) => mended)),
    recovery: {
      count: recoveries.length,
      p50Ms: quantile(recoveries, 0.5),
      p99Ms: quantile(recoveries, 0.99),
    },
    twinLost: total(({ tally }) => tally.twinLost),
    failures,
  };
}

/** Below this many seeds it may be chance that nothing went wrong without a fence. */
const TEETH_FROM_SEEDS = 20;
const INVALID_SHARE = 0.1;

/** Why this is no pass; nothing if it is. */
export function faultsOf({ seeds, invalid, failures, twinLost }: Sums): string[] {
  const most = seeds < TEETH_FROM_SEEDS ? 0 : Math.floor(seeds * INVALID_SHARE);
  return [
    ...(failures.length > 0 ? [`${failures.length} violations`] : []),
    ...(seeds === 0 ? ['no seed was played'] : []),
    ...(invalid.length > most
      ? [`${invalid.length} of ${seeds} seeds had too little traffic: ${invalid.slice(0, 10).join(', ')}`]
      : []),
    ...(seeds >= TEETH_FROM_SEEDS && twinLost === 0
      ? ['the unfenced twin lost no update: the faults had no teeth']
      : []),
  ];
}

function added(counts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const count of counts)
    for (const [name, more] of Object.entries(count)) sums[name] = (sums[name] ?? 0) + more;
  return Object.fromEntries(Object.entries(sums).sort(([, one], [, other]) => other - one));
}

function quantile(sorted: readonly number[], share: number): number {
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0);
}

export function tableOf(sums: Sums): string {
  const { recovery, failures } = sums;
  const each = (counts: Readonly<Record<string, number>>): string =>
    Object.entries(counts)
      .map(([name, count]) => `${name} ${count.toLocaleString('en')}`)
      .join(', ') || 'none';
  const rows: [string, string][] = [
    ['seeds', `${sums.seeds.toLocaleString('en')} (${sums.invalid.length} with too little traffic)`],
    ['client-seconds simulated', Math.round(sums.clientSeconds).toLocaleString('en')],
    ['messages', sums.messages.toLocaleString('en')],
    ['operations', sums.operations.toLocaleString('en')],
    ['granted', sums.granted.toLocaleString('en')],
    ['refused', each(sums.refused)],
    ['unknown outcomes', sums.unknown.toLocaleString('en')],
    ['faults injected', each(sums.faults)],
    ['recovery after the heal', `p50 ${recovery.p50Ms} ms, p99 ${recovery.p99Ms} ms of ${recovery.count}`],
    ['updates the unfenced twin lost', sums.twinLost.toLocaleString('en')],
    ['overlaps excused (clock jumps)', sums.excused.toLocaleString('en')],
    ['mended', each(sums.mended)],
    ['violations', failures.length === 0 ? '0' : each(sums.violations)],
  ];
  const wide = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `  ${name.padEnd(wide)}  ${value}`).join('\n');
}
