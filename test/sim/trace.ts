/** A failure for people: what broke, the smallest plan that breaks it, and what was seen around it. */
import { formatHistory, formatViolation } from '../harness/history/format.ts';
import type { Entry, Violation } from '../harness/history/history.ts';
import type { Defect, Judged } from './judge.ts';
import type { ClientPlan, Fault, Plan } from './plan.ts';

const ENTRIES_MOST = 60;
/** How long before a violation begins what explains it, in longest ttls. */
const BEFORE_TTLS = 2;

export function traceOf(plan: Plan, shrunk: Plan, rule: Defect, judged: Judged): string {
  const violation = judged.violations.find((one) => one.rule === rule);
  const broken = judged.verdict.broken.find((one) => one.rule === rule);
  return [
    `smallest plan found (${shrunk.faults.length} of ${plan.faults.length} faults, ` +
      `${shrunk.clients.length} of ${plan.clients.length} clients, ` +
      `${seconds(shrunk.endMs)} of ${seconds(plan.endMs)} s):`,
    ...planLines(shrunk).map((line) => `  ${line}`),
    `there: ${violation === undefined ? `${rule}: ${broken?.detail}` : formatViolation(violation)}`,
    ...(violation === undefined ? [] : [around(judged.history, violation, shrunk)]),
  ].join('\n');
}

/** What happened to the resource of the violation shortly before it. */
function around(history: readonly Entry[], violation: Violation, { longestTtlMs }: Plan): string {
  const fromMs = violation.atMs - BEFORE_TTLS * longestTtlMs;
  const untilMs = violation.atMs + longestTtlMs;
  const refs = new Set(violation.entries.flatMap((entry) => ('leaseRef' in entry ? [entry.leaseRef] : [])));
  const near = history.filter((entry) => {
    const [beginMs, endMs] = spanOf(entry);
    return (
      beginMs <= untilMs && endMs >= fromMs && (touches(entry, violation.resource) || ofLease(entry, refs))
    );
  });
  return formatHistory(near.slice(-ENTRIES_MOST));
}

function ofLease(entry: Entry, refs: ReadonlySet<string>): boolean {
  return 'leaseRef' in entry && refs.has(entry.leaseRef);
}

function spanOf(entry: Entry): [number, number] {
  if ('fromMs' in entry) return [entry.fromMs, entry.untilMs];
  if ('calledMs' in entry) return [entry.calledMs, entry.answeredMs ?? Number.POSITIVE_INFINITY];
  return [entry.atMs, 'untilMs' in entry ? (entry.untilMs ?? entry.atMs) : entry.atMs];
}

function touches(entry: Entry, resource: string): boolean {
  if (entry.kind === 'fault' || entry.kind === 'healed') return true;
  if ('resources' in entry) return entry.resources.includes(resource);
  return 'resource' in entry && entry.resource === resource;
}

/** A plan, compactly. */
export function planLines(plan: Plan): string[] {
  const { nodes, replicas, resources, longestTtlMs, nodeTimeoutMs, livenessMs, delayMs } = plan;
  return [
    `${nodes} nodes, ${replicas} replicas, ${resources.join(' ')}; longest ttl ${longestTtlMs} ms, ` +
      `node timeout ${nodeTimeoutMs} ms, liveness ${livenessMs} ms, delay ${delayMs.join('-')} ms, ` +
      `heal at ${seconds(plan.healMs)} s`,
    ...plan.clients.map(clientLine),
    ...(plan.adoption === undefined ? [] : [adoptionLine(plan.adoption)]),
    ...(plan.mends === undefined ? [] : [mendsLine(plan.mends)]),
    ...plan.faults.map(faultLine),
  ];
}

function adoptionLine({ atMs, untilMs, longestTtlMs }: NonNullable<Plan['adoption']>): string {
  return `${seconds(atMs)}-${seconds(untilMs)} s: adoption to a longest ttl of ${longestTtlMs} ms`;
}

function mendsLine({ everyMs, minAgeMs }: NonNullable<Plan['mends']>): string {
  return `all replicas mend every ${everyMs.join('-')} ms what is at least ${minAgeMs} ms old`;
}

function clientLine({ name, replica, habits }: ClientPlan): string {
  const parts = Object.entries(habits).flatMap(
    ([habit, value]: [string, string | number | readonly number[]]) => {
      if (typeof value === 'string') return [value];
      if (typeof value === 'number') return value > 0 ? [`${habit} ${value}`] : [];
      return value[1] === 0 ? [] : [`${habit} ${value.join('-')}`];
    },
  );
  return `${name} at replica ${replica}: ${parts.join(', ')}`;
}

export function faultLine(fault: Fault): string {
  const { kind, atMs, ...rest } = fault;
  const when = 'untilMs' in fault ? `${seconds(atMs)}-${seconds(fault.untilMs)} s` : `${seconds(atMs)} s`;
  const words = Object.entries(rest)
    .filter(([name]) => name !== 'untilMs')
    .map(([name, value]: [string, string | number | readonly number[]]) =>
      typeof value === 'string' ? value : `${name} ${typeof value === 'number' ? value : value.join('-')}`,
    );
  return `${when}: ${kind} ${words.join(' ')}`;
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(3);
}
