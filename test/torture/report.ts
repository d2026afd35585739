/** What a run says of itself, for people. */
import { formatViolation } from '../harness/history/format.ts';
import type { Ran } from './run.ts';

const DETAILS = 10;

function quantile(values: readonly number[], share: number): string {
  const sorted = [...values].sort((a, b) => a - b);
  const value = sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  return value === undefined ? '-' : `${Math.round(value)} ms`;
}

function counts(of: Readonly<Record<string, number>>): string {
  const pairs = Object.entries(of).sort(([a], [b]) => (a < b ? -1 : 1));
  return pairs.length === 0 ? 'none' : pairs.map(([name, count]) => `${name} ${count}`).join(', ');
}

const sum = (of: Readonly<Record<string, number>>): number =>
  Object.values(of).reduce((total, count) => total + count, 0);

/** The line that repeats it. */
export function commandOf({ options }: Ran): string {
  const { seed, seconds, subject, nodes, plain, clocks, env } = options;
  const off = env.TORTURE_OFF;
  return [
    `node test/torture/main.ts --seconds ${seconds} --seed ${seed} --nodes ${nodes}`,
    ...(subject === 'holdfast' ? [] : [`--with ${subject}`]),
    ...(plain && subject === 'holdfast' ? ['--plain'] : []),
    ...(clocks ? ['--clocks'] : []),
    ...(off === undefined ? [] : [`--off ${off}`]),
  ].join(' ');
}

export function reportOf(ran: Ran): string {
  const { tally, violations, refused, lag, options, invalid, crashes, excused } = ran;
  const rules: Record<string, number> = {};
  for (const { rule } of violations) rules[rule] = (rules[rule] ?? 0) + 1;
  const rows: readonly (readonly [string, string | number])[] = [
    ['subject', `${options.subject}, ${options.nodes} nodes`],
    ['operations', `${tally.operations}, of them ${tally.granted} grants`],
    ['faults', `${sum(tally.faults)}: ${counts(tally.faults)}`],
    ['violations', `${violations.length}: ${counts(rules)}`],
    ['excused (clock steps, machine stood still)', excused],
    ['unknown outcomes', tally.unknown],
    ['refused or unknown, by reason', counts(refused)],
    [
      'recovery after the heal',
      `p50 ${quantile(tally.recoveryMs, 0.5)}, p99 ${quantile(tally.recoveryMs, 0.99)}`,
    ],
    ['updates lost by the unfenced twin', tally.twinLost],
    [
      'updates lost by the fenced register',
      options.subject === 'holdfast' ? (rules['fenced-lost'] ?? 0) : 'no tokens',
    ],
    [
      'lag of event loops',
      `${(100 * lag.share).toFixed(1)} % of the time, worst ${Math.round(lag.worstMs)} ms`,
    ],
    ['repeat', commandOf(ran)],
  ];
  return [
    ...rows.map(([name, value]) => `${name.padEnd(42)} ${value}`),
    ...violations.slice(0, DETAILS).map(formatViolation),
    ...crashes.map((crash) => `CRASH ${crash}`),
    ...invalid.map((why) => `INVALID ${why}`),
    '',
  ].join('\n');
}
