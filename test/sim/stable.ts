/** When a plan leaves everything in order: only then does G5 promise who is served next. */
import type { CheckOptions, Window } from '../harness/history/check.ts';
import { returnMs } from './generate-losses.ts';
import type { Fault, Plan } from './plan.ts';
import { PRIORITY_STEP_MS } from './world/replica.ts';

/** A waiter behind another of its replica is told to the nodes this much later. */
const JOIN_LATE_MS = 50;
/** A look at the nodes, and a sweep. */
const NOTICED_MS = 1500;

export function checkOptionsOf(plan: Plan): CheckOptions {
  return {
    order: {
      priorityStepMs: PRIORITY_STEP_MS,
      livenessMs: plan.livenessMs,
      // Readings of the nodes' clocks are as wide as the answers that brought them.
      slackMs: JOIN_LATE_MS + 10 + 4 * plan.delayMs[1],
      stable: windowsOf(plan),
    },
  };
}

/** What lies between the faults, and long enough after each for its traces to be gone. */
export function windowsOf(plan: Plan): Window[] {
  const windows: Window[] = [];
  let fromMs = 0;
  for (const { atMs, overMs } of troublesOf(plan)) {
    if (atMs > fromMs) windows.push({ fromMs, untilMs: atMs });
    fromMs = Math.max(fromMs, overMs);
  }
  if (fromMs < plan.endMs) windows.push({ fromMs, untilMs: plan.endMs });
  return windows;
}

interface Trouble {
  readonly atMs: number;
  readonly overMs: number;
}

function troublesOf(plan: Plan): Trouble[] {
  const { adoption, faults } = plan;
  // Rates within 1 % are no fault of which the line knows.
  const troubles = faults
    .filter(({ kind }) => kind !== 'rate')
    .map((fault) => ({ atMs: fault.atMs, overMs: overMs(plan, fault) }));
  if (adoption !== undefined) {
    const { atMs, untilMs, longestTtlMs } = adoption;
    troubles.push({ atMs, overMs: untilMs + returnMs(longestTtlMs) });
  }
  return troubles.sort((one, other) => one.atMs - other.atMs);
}

function overMs(plan: Plan, fault: Fault): number {
  const longestTtlMs = longestOf(plan);
  const endMs = 'untilMs' in fault ? fault.untilMs : fault.atMs;
  const livedMs = endMs + plan.livenessMs + plan.nodeTimeoutMs + NOTICED_MS;
  switch (fault.kind) {
    // A message that was held up arrives that much later.
    case 'delay':
    case 'duplicate':
      return livedMs + fault.ms[1];
    case 'step':
      return livedMs + longestTtlMs;
    case 'flush':
    case 'crash':
      return Math.max(livedMs, endMs + returnMs(longestTtlMs));
    default:
      return livedMs;
  }
}

/** Of any lease of the run. */
export function longestOf({ longestTtlMs, adoption }: Plan): number {
  return Math.max(longestTtlMs, adoption?.longestTtlMs ?? 0);
}
