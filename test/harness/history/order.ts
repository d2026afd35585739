/** G5 in a history: who stands in line is not passed by who came later with no higher priority. */
import type { Asked, History, Ms, Violation } from './history.ts';
import { type Granted, isGranted, requestOf } from './leases.ts';

export interface OrderOptions {
  /** HOLDFAST_PRIORITY_STEP. */
  readonly priorityStepMs: number;
  /** HOLDFAST_WAITER_LIVENESS: what a fault has left in a line is gone so long after it. */
  readonly livenessMs: number;
  /**
   * How far two arrivals, or an answer and what it tells of, may lie apart and still be in any order: the 50 ms after
   * which a waiter is told to the nodes, a round trip with its answer to the client, and what the replicas' readings
   * of the nodes' clocks differ by.
   */
  readonly slackMs: number;
  /** Intervals without faults; absent: the whole run was without. */
  readonly stable?: readonly Window[];
}

export interface Window {
  readonly fromMs: Ms;
  readonly untilMs: Ms;
}

/**
 * X was passed by Y where all of this holds, and only there is it certain:
 *   - X asked for one resource, once (a repeat may take the place with it when it leaves), stood in line from `queuedMs`
 *     and got an answer that is known, so that it stood there until shortly before;
 *   - Y was granted that resource in a mode that conflicts, by a lease that is new (a repeat may meet an old one);
 *   - no call of Y's request began before X.queuedMs + slack, plus one step for each level that Y has more priority;
 *   - Y had its answer more than slack before X had its own, so that X still stood in line when Y was granted;
 *   - from X's call to Y's answer nothing was broken, nor within one liveness before.
 * What exempts a waiter ahead (it died, was cut off, stands in several lines) only makes others wait, so Y may be
 * anybody: who does not wait, or asks for several, does not overtake either.
 */
export function passed(history: History, options: OrderOptions): Violation[] {
  const calls = new Map<string, { count: number; firstMs: Ms }>();
  for (const entry of history) {
    const request = entry.kind === 'acquire' ? requestOf(entry) : undefined;
    if (request === undefined || entry.kind !== 'acquire') continue;
    const known = calls.get(request);
    if (known === undefined) calls.set(request, { count: 1, firstMs: entry.calledMs });
    else calls.set(request, { count: known.count + 1, firstMs: Math.min(known.firstMs, entry.calledMs) });
  }
  const callsOf = (asked: Asked): { count: number; firstMs: Ms } =>
    calls.get(requestOf(asked) ?? '') ?? { count: 1, firstMs: asked.calledMs };

  const classes = classesOf(history.filter(isGranted), (granted) => callsOf(granted).firstMs);
  return history.flatMap((entry): Violation[] => {
    if (entry.kind !== 'acquire' || !stands(entry) || callsOf(entry).count > 1) return [];
    const window = windowOf(entry, options);
    if (window === undefined) return [];
    return passing(entry, window, classes.get(entry.resources[0]!) ?? [], options);
  });
}

type Standing = Asked & { readonly queuedMs: Ms; readonly answeredMs: Ms };

function stands(asked: Asked): asked is Standing {
  return (
    asked.resources.length === 1 &&
    asked.queuedMs !== undefined &&
    asked.answeredMs !== undefined &&
    asked.outcome !== 'unknown'
  );
}

/** Within which Y must have had its answer. A window that begins with the history has no fault before it. */
function windowOf(asked: Standing, { stable, livenessMs, slackMs }: OrderOptions): Window | undefined {
  const everything = { fromMs: Number.NEGATIVE_INFINITY, untilMs: Number.POSITIVE_INFINITY };
  const window =
    stable === undefined
      ? everything
      : stable.find(
          ({ fromMs, untilMs }) =>
            asked.calledMs >= (fromMs > 0 ? fromMs + livenessMs : fromMs) && asked.calledMs < untilMs,
        );
  if (window === undefined) return undefined;
  return { fromMs: asked.queuedMs, untilMs: Math.min(asked.answeredMs, window.untilMs) - slackMs };
}

/** The grants of one resource in one mode with one priority, by their answers. */
interface Class {
  readonly mode: Asked['mode'];
  readonly priority: number;
  readonly grants: readonly Arrived[];
  /** The one of the first i + 1 that arrived last. */
  readonly latest: readonly Arrived[];
}

interface Arrived {
  readonly granted: Granted;
  readonly arrivedMs: Ms;
}

function classesOf(grants: readonly Granted[], arrival: (granted: Granted) => Ms): Map<string, Class[]> {
  const fresh = grants
    .filter(({ grant }) => !grant.replayed)
    .sort((one, other) => one.answeredMs - other.answeredMs);
  const sorted = new Map<string, Map<string, Arrived[]>>();
  for (const granted of fresh) {
    for (const resource of granted.grant.resources) {
      const those = sorted.get(resource) ?? new Map<string, Arrived[]>();
      sorted.set(resource, those);
      const name = `${granted.mode} ${granted.priority}`;
      const arrived = { granted, arrivedMs: arrival(granted) };
      const known = those.get(name);
      if (known === undefined) those.set(name, [arrived]);
      else known.push(arrived);
    }
  }
  return new Map(
    [...sorted].map(([resource, those]) => [resource, [...those.values()].map((all) => classOf(all))]),
  );
}

function classOf(grants: readonly Arrived[]): Class {
  const { mode, priority } = grants[0]!.granted;
  let last = grants[0]!;
  const latest = grants.map((arrived) => {
    if (arrived.arrivedMs > last.arrivedMs) last = arrived;
    return last;
  });
  return { mode, priority, grants, latest };
}

/** At most one violation for each who was passed. */
function passing(
  asked: Standing,
  { untilMs }: Window,
  classes: readonly Class[],
  { priorityStepMs, slackMs }: OrderOptions,
): Violation[] {
  for (const { mode, priority, grants, latest } of classes) {
    if (mode === 'shared' && asked.mode === 'shared') continue;
    const headStartMs = Math.max(0, priority - asked.priority) * priorityStepMs;
    const other = latest[before(grants, untilMs) - 1];
    if (other === undefined || other.arrivedMs <= asked.queuedMs + slackMs + headStartMs) continue;
    const { granted } = other;
    return [
      {
        rule: 'order',
        resource: asked.resources[0]!,
        atMs: granted.answeredMs,
        detail:
          `${asked.client} (priority ${asked.priority}) stood in line from ${asked.queuedMs} to ${asked.answeredMs}; ` +
          `${granted.client} (priority ${priority}) came at ${other.arrivedMs} and was granted by ${granted.answeredMs}`,
        entries: [asked, granted],
      },
    ];
  }
  return [];
}

/** How many were answered before `ms`. */
function before(grants: readonly Arrived[], ms: Ms): number {
  let low = 0;
  let high = grants.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (grants[middle]!.granted.answeredMs < ms) low = middle + 1;
    else high = middle;
  }
  return low;
}
