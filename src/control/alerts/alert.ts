/** What operators are told of: the kinds of alerts, how bad each is, and one alert with the words for it. */
import type { Observation } from './observation.ts';

/** docs/runbooks has a page for each. */
export const KINDS = [
  'force_release',
  'lease_lost',
  'held_too_long',
  'silent_holder',
  'starving_waiter',
  'node_quarantined',
  'quorum_margin_zero',
  'archive_gap',
  'audit_failed',
  'sink_failing',
  'auth_failures',
] as const;
export type Kind = (typeof KINDS)[number];

export type Severity = 'info' | 'warning' | 'critical';

/** `critical`: somebody gets up. Those of deploy/prometheus/alerts.yaml are the same. */
export const SEVERITIES: Readonly<Record<Kind, Severity>> = {
  force_release: 'info',
  lease_lost: 'warning',
  held_too_long: 'warning',
  silent_holder: 'warning',
  starving_waiter: 'warning',
  node_quarantined: 'warning',
  quorum_margin_zero: 'critical',
  archive_gap: 'warning',
  audit_failed: 'critical',
  sink_failing: 'warning',
  auth_failures: 'warning',
};

/** An event is over as it happens; a condition is `firing` until it is `resolved`. */
export type Status = 'event' | 'firing' | 'resolved';

export interface Alert {
  readonly kind: Kind;
  /** The same for the same thing, also from another replica: for whoever removes doubles. */
  readonly key: string;
  /** One line, for people. */
  readonly summary: string;
  readonly timeMs: number;
  /** What it is about, as texts: `resource`, `owner`, `node`... Never a lease's id. */
  readonly facts: Readonly<Record<string, string>>;
}

/** Names are their callers' choice: long ones are cut, or one alert would fill a message. */
const SHOWN_MAX = 120;
/** Also what looks like an end of line to a reader, or turns the direction of what follows it. */
const UNSHOWABLE = /[\p{Cc}\p{Cf}\u2028\u2029]/gu;

export function shown(text: string): string {
  const plain = text.toWellFormed().replace(UNSHOWABLE, '\ufffd');
  return plain.length <= SHOWN_MAX ? plain : `${plain.slice(0, SHOWN_MAX - 1).toWellFormed()}…`;
}

/** Of names that nodes know with their tenant. */
function place(name: string): { readonly tenant: string; readonly name: string } {
  const match = /^~([A-Za-z0-9._-]{1,64})\/(.*)$/s.exec(name);
  return match === null
    ? { tenant: '', name: shown(name) }
    : { tenant: match[1] ?? '', name: shown(match[2] ?? '') };
}

const RESOURCES_SHOWN = 5;

/** `a, b and 3 more`, of the first one's tenant: a lease has one. */
export function resourcesText(resources: readonly string[]): string {
  const names = resources.slice(0, RESOURCES_SHOWN).map((name) => place(name).name);
  const more = resources.length - names.length;
  return more > 0 ? `${names.join(', ')} and ${more} more` : names.join(', ');
}

/** `resource` and `owner` as people know them, and `tenant` where there is one. */
export function namesOf(resources: readonly string[], owner: string): Record<string, string> {
  const tenant = place(resources[0] ?? '').tenant;
  return {
    resource: resourcesText(resources),
    owner: place(owner).name,
    ...(tenant === '' ? {} : { tenant }),
  };
}

const OBSERVED_WORDS: Readonly<Record<Observation['kind'], (who: string, what: string) => string>> = {
  held_too_long: (who, what) => `${who} has held ${what}`,
  silent_holder: (who, what) => `${who}, who holds ${what}, has shown no progress`,
  starving_waiter: (who, what) => `${who} has waited for ${what}`,
};

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
] as const;

/** `3 d 4 h`: the two largest units; less than a second is `250 ms`. */
export function spanText(ms: number): string {
  let left = Math.max(0, Math.round(ms));
  if (left < 1000) return `${left} ms`;
  const first = UNITS.findIndex(([, size]) => left >= size);
  const parts: string[] = [];
  for (const [unit, size] of UNITS.slice(first, first + 2)) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count > 0) parts.push(`${count} ${unit}`);
  }
  return parts.join(' ');
}

export function observedKey({ kind, resource, owner, leaseRef }: Observation): string {
  return `${kind} ${resource} ${owner} ${leaseRef}`;
}

export function observedAlert(seen: Observation, timeMs: number): Alert {
  const names = namesOf([seen.resource], seen.owner);
  const words = OBSERVED_WORDS[seen.kind](names.owner || 'somebody', names.resource ?? '');
  return {
    kind: seen.kind,
    key: observedKey(seen),
    summary: `${words} for ${spanText(seen.forMs)}`,
    timeMs,
    facts: {
      ...names,
      class: seen.class,
      ...(seen.leaseRef === '' ? {} : { lease_ref: seen.leaseRef }),
      since: new Date(seen.sinceMs).toISOString(),
      ...(seen.detail === '' ? {} : { detail: shown(seen.detail) }),
    },
  };
}
