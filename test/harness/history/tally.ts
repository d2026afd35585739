/** What a run did, beside what it broke. */
import type { Healed, History, Ms, Tally } from './history.ts';
import { type Granted, isGranted } from './leases.ts';
import { lostUpdates } from './register.ts';

export function tally(history: History): Tally {
  const refused: Record<string, number> = {};
  const faults: Record<string, number> = {};
  let operations = 0;
  let granted = 0;
  let unknown = 0;
  for (const entry of history) {
    if ('calledMs' in entry) operations += 1;
    if (entry.kind === 'fault') count(faults, entry.name);
    if ('outcome' in entry && entry.outcome === 'unknown') unknown += 1;
    if (entry.kind !== 'acquire') continue;
    if (entry.outcome === 'granted') granted += 1;
    if (entry.outcome === 'busy') count(refused, 'BUSY');
    if (entry.outcome === 'refused') count(refused, entry.reason ?? 'UNNAMED');
  }
  return {
    operations,
    granted,
    refused,
    unknown,
    faults,
    recoveryMs: recoveries(history),
    twinLost: lostUpdates(history, 'twin').length,
  };
}

function count(counts: Record<string, number>, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}

/** For each heal and each resource the first answer that gave it, asked for before or after; none behind the next heal. */
function recoveries(history: History): number[] {
  const heals = history
    .filter((entry): entry is Healed => entry.kind === 'healed')
    .sort((one, other) => one.atMs - other.atMs);
  const grants = history
    .filter(isGranted)
    .filter(({ grant }) => !grant.replayed)
    .sort((one, other) => one.answeredMs - other.answeredMs);
  return heals.flatMap(({ atMs }, index) => {
    const untilMs = heals[index + 1]?.atMs ?? Number.POSITIVE_INFINITY;
    return [...firsts(grants, atMs, untilMs).values()].map((answeredMs) => answeredMs - atMs);
  });
}

function firsts(grants: readonly Granted[], fromMs: Ms, untilMs: Ms): Map<string, Ms> {
  const found = new Map<string, Ms>();
  for (const { grant, answeredMs } of grants) {
    if (answeredMs < fromMs || answeredMs >= untilMs) continue;
    for (const resource of grant.resources) if (!found.has(resource)) found.set(resource, answeredMs);
  }
  return found;
}
