/** G5 and G9 in a history: after a heal everybody is answered and every resource can be had. */
import type { Asked, Healed, History, Ms, Violation } from './history.ts';
import { isGranted } from './leases.ts';

/**
 * Of the time from the heal to `aliveByMs` the first half belongs to what the faults left: leases of the dead, nodes
 * that do not vote yet, connections that are being made anew. Only what is asked in the second half, or still under way then, is judged.
 */
interface Trial {
  readonly healed: Healed;
  readonly halfMs: Ms;
  /** No later than the next fault, which ends the trial without a judgement. */
  readonly endMs: Ms;
}

/** The reason of an `unknown` whose caller itself gave up or died: nobody owes it an answer. */
const GIVEN_UP = 'CANCELLED';

export function stuck(history: History): Violation[] {
  const asked = history.filter((entry) => entry.kind === 'acquire');
  return trialsOf(history).flatMap((trial) => [
    ...unserved(history, asked, trial),
    ...unanswered(asked, trial),
  ]);
}

function trialsOf(history: History): Trial[] {
  const lastMs = history.reduce((last, entry) => Math.max(last, lastOf(entry)), Number.NEGATIVE_INFINITY);
  return history.flatMap((healed): Trial[] => {
    if (healed.kind !== 'healed') return [];
    const { atMs, aliveByMs } = healed;
    const next = history
      .filter((entry) => entry.kind === 'fault' && entry.atMs > atMs)
      .reduce((first, entry) => Math.min(first, lastOf(entry)), Number.POSITIVE_INFINITY);
    return [{ healed, halfMs: (atMs + aliveByMs) / 2, endMs: Math.min(lastMs, next) }];
  });
}

function lastOf(entry: History[number]): Ms {
  switch (entry.kind) {
    case 'held':
      return entry.untilMs;
    case 'fault':
    case 'healed':
    case 'rest':
      return entry.atMs;
    default:
      return entry.answeredMs ?? entry.calledMs;
  }
}

/** Those who asked for one resource, or for all of several, and not by their own will without an answer. */
function wants(ask: Asked, { healed, halfMs }: Trial): boolean {
  const enoughMs = (healed.aliveByMs - halfMs) / 2;
  return (
    (ask.any === 0 || ask.any === ask.resources.length) &&
    ask.reason !== GIVEN_UP &&
    ask.calledMs >= healed.atMs &&
    ask.calledMs <= halfMs + enoughMs &&
    (ask.answeredMs ?? Number.POSITIVE_INFINITY) >= halfMs
  );
}

function unserved(history: History, asked: readonly Asked[], trial: Trial): Violation[] {
  const { healed, halfMs, endMs } = trial;
  if (endMs < healed.aliveByMs) return [];
  const wanted = new Map<string, Asked>();
  const had = new Set<string>();
  for (const ask of asked) {
    if (isGranted(ask) && ask.answeredMs >= healed.atMs && ask.answeredMs <= healed.aliveByMs) {
      for (const resource of ask.grant.resources) had.add(resource);
    } else if (wants(ask, trial)) {
      for (const resource of ask.resources) if (!wanted.has(resource)) wanted.set(resource, ask);
    }
  }
  // How long somebody keeps it is nobody's promise (G5).
  for (const entry of history) {
    if (entry.kind === 'held' && entry.untilMs > halfMs && entry.fromMs < healed.aliveByMs) {
      for (const resource of entry.resources) had.add(resource);
    }
  }
  return [...wanted]
    .filter(([, ask]) => !ask.resources.some((resource) => had.has(resource)))
    .map(([resource, ask]) => ({
      rule: 'stuck',
      resource,
      atMs: healed.aliveByMs,
      detail:
        `healed at ${healed.atMs}, and nobody was granted it by ${healed.aliveByMs}; ` +
        `${ask.client} asked at ${ask.calledMs}`,
      entries: [healed, ask],
    }));
}

/** Called so late that it had no time for an answer: not judged. */
function unanswered(asked: readonly Asked[], { healed, halfMs, endMs }: Trial): Violation[] {
  const enoughMs = healed.aliveByMs - healed.atMs;
  return asked
    .filter(
      (ask) =>
        ask.outcome === 'unknown' &&
        ask.reason !== GIVEN_UP &&
        ask.calledMs >= halfMs &&
        (ask.answeredMs === undefined ? ask.calledMs + enoughMs <= endMs : ask.answeredMs <= endMs),
    )
    .map((ask) => ({
      rule: 'stuck',
      resource: ask.resources[0] ?? '',
      atMs: ask.calledMs,
      detail:
        ask.answeredMs === undefined
          ? `healed at ${healed.atMs}, and ${ask.client}, who asked at ${ask.calledMs}, was never answered`
          : `healed at ${healed.atMs}, and ${ask.client}, who asked at ${ask.calledMs}, was told ${ask.reason ?? 'nothing'}`,
      entries: [healed, ask],
    }));
}
