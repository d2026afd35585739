/** The same locks with the archive behind what nodes remember: Inspect and History know more, and say from where. */
import { limits } from '../../domain/limits.ts';
import { invalidField, type Refusal } from '../../domain/refusals.ts';
import { maxToken, NO_TOKEN } from '../../domain/token.ts';
import type {
  HistoryAsk,
  HistoryGap,
  HistoryPage,
  Inspection,
  LockEvent,
  Locks,
  Unknown,
} from '../../locks/locks.ts';
import type { Clock } from '../../std/clock.ts';
import type { Past } from './archive.ts';
import { cursorAt, placeOf } from './cursor.ts';
import { eventOfRow, isKnown, newestFirst, rowOfEvent } from './row.ts';
import type { Place, Question, Row } from './store.ts';

/** Names and owners of a tenant begin so, and nobody else's do. */
const TENANT = '~';
/** A third is spare for what a message carries besides. */
const PAGE_BYTES = (limits.messageBytes * 2) / 3;

interface Sources {
  readonly locks: Locks;
  /** Undefined: none is configured. */
  readonly past: Past | undefined;
  readonly clock: Clock;
}

export function withPast(sources: Sources): Locks {
  const { locks } = sources;
  return Object.assign(Object.create(locks) as Locks, {
    inspect: (resource: string, historyLimit: number) => inspect(sources, resource, historyLimit),
    history: (ask: HistoryAsk) => history(sources, ask),
  } satisfies Partial<Locks>);
}

async function inspect(
  { locks, past }: Sources,
  resource: string,
  historyLimit: number,
): Promise<Inspection | Unknown | Refusal> {
  const seen = await locks.inspect(resource, historyLimit);
  if (past === undefined) return seen;
  if (seen.kind === 'refusal') return 'nodes' in seen ? remembered(past, seen, resource, historyLimit) : seen;
  if (historyLimit === 0) return seen;
  const rows = await past.find(newestOf(resource, historyLimit));
  const history = merged(seen.history, rows ?? []).slice(0, historyLimit);
  return { ...seen, history: history.map(({ event }) => event) };
}

/** No node knows the name any more. */
async function remembered(
  past: Past,
  unknown: Unknown,
  resource: string,
  historyLimit: number,
): Promise<Inspection | Unknown> {
  // At least as many as surely hold a grant, for the last token.
  const limit = Math.max(historyLimit, limits.historyPerResource);
  const rows = await past.find(newestOf(resource, limit));
  const events = merged([], rows ?? []).map(({ event }) => event);
  if (events.length === 0) return unknown;
  return {
    kind: 'inspection',
    resource,
    state: 'free',
    holders: [],
    waiters: [],
    lastToken: events.reduce((most, { token }) => maxToken(most, token), NO_TOKEN),
    source: 'archive',
    nodes: unknown.nodes,
    history: events.slice(0, historyLimit),
  };
}

/** Events with their places; what nodes know is told as they know it. */
function merged(events: readonly LockEvent[], rows: readonly Row[]): Entry[] {
  const entries = new Map<string, Entry>();
  for (const row of rows) {
    if (isKnown(row)) entries.set(row.key, { place: row, event: eventOfRow(row, 'archive') });
  }
  for (const event of events) {
    const place = rowOfEvent(event);
    entries.set(place.key, { place, event });
  }
  return [...entries.values()].sort((a, b) => newestFirst(a.place, b.place));
}

interface Entry {
  readonly place: Place;
  readonly event: LockEvent;
}

type Subject = Pick<HistoryAsk, 'resource' | 'owner' | 'prefixes'>;

function newestOf(resource: string, limit: number): Question {
  return { by: 'resource', value: resource, prefixes: [], before: undefined, limit };
}

/** A tenant's owner has names of that tenant only, and nobody else sees any of these. Undefined: there are none to see. */
function questionOf(
  { resource, owner, prefixes }: Subject,
  before: Place | undefined,
  limit: number,
): Question | undefined {
  if (resource !== '') return { by: 'resource', value: resource, prefixes, before, limit };
  const tenant = owner.startsWith(TENANT) ? owner.slice(0, owner.indexOf('/') + 1) : '';
  const within = (prefixes.length === 0 ? [''] : prefixes).flatMap((prefix) => {
    if (tenant.startsWith(prefix)) return [tenant];
    return prefix.startsWith(tenant) ? [prefix] : [];
  });
  if (within.length === 0) return undefined;
  return { by: 'owner', value: owner, prefixes: within.includes('') ? [] : within, before, limit };
}

async function history(sources: Sources, ask: HistoryAsk): Promise<HistoryPage | Refusal> {
  const { locks, past } = sources;
  const before = ask.after === '' ? undefined : placeOf(ask.after, ask);
  if (ask.after !== '' && before === undefined) {
    return invalidField('page_token', 'is not from this service for this resource or owner');
  }
  const live = ask.resource === '' ? undefined : await nodesOf(locks, ask);
  // Of an owner, nodes know nothing: without an archive they say so.
  if (past === undefined && live === undefined) return locks.history({ ...ask, after: '' });
  const refused = live?.kind === 'refusal' ? live : undefined;
  if (refused !== undefined && (past === undefined || !mayPass(refused))) return refused;
  const events = live?.kind === 'past' ? live.events : [];
  // Nodes may know all of a page: then as many are needed again.
  const limit = ask.pageSize + 1 + events.length;
  const question = questionOf(ask, before, limit);
  const rows = past === undefined || question === undefined ? [] : await past.find(question);
  if (refused !== undefined && (rows === undefined || (rows.length === 0 && before === undefined))) {
    return refused;
  }
  const all = merged(events, rows ?? []).filter(
    ({ place, event }) => isVisible(event, ask) && (before === undefined || newestFirst(place, before) > 0),
  );
  const page = cut(all.slice(0, ask.pageSize));
  const next = page.length < all.length ? cursorAt(page.at(-1)!.place, ask) : '';
  return {
    kind: 'past',
    events: page.map(({ event }) => event),
    gaps: await gapsOf(sources, rows === undefined, before, next === '' ? undefined : page.at(-1)!.place),
    next,
  };
}

function nodesOf(locks: Locks, ask: HistoryAsk): Promise<HistoryPage | Refusal> {
  return locks.history({ ...ask, pageSize: limits.pageSizeMax, after: '' });
}

/** The archive may know a name that nodes do not, and can be asked while they are away. */
function mayPass({ reason }: Refusal): boolean {
  return reason === 'UNKNOWN_RESOURCE' || reason === 'NO_QUORUM';
}

/** The archive's answer is filtered there; what nodes said is not. */
function isVisible({ resource, owner }: LockEvent, { prefixes, ...ask }: HistoryAsk): boolean {
  if (ask.resource === '' && resource.startsWith(TENANT) !== owner.startsWith(TENANT)) return false;
  return prefixes.length === 0 || prefixes.some((prefix) => resource.startsWith(prefix));
}

/** At least one, so that whoever asks for the next page comes to an end. */
function cut(entries: readonly Entry[]): readonly Entry[] {
  let bytes = 0;
  const end = entries.findIndex(({ event }, at) => {
    const { resource, owner, reason } = event;
    // UTF-8 takes at most three bytes for a UTF-16 code unit.
    bytes += 96 + 3 * (resource.length + owner.length + reason.length);
    return at > 0 && bytes > PAGE_BYTES;
  });
  return end === -1 ? entries : entries.slice(0, end);
}

/** Those that overlap the time from the page before to the end of this one. */
async function gapsOf(
  { past, clock }: Sources,
  failed: boolean,
  before: Place | undefined,
  end: Place | undefined,
): Promise<readonly HistoryGap[]> {
  if (past === undefined) return [];
  const fromMs = end === undefined ? 0 : end.timeUs / 1000;
  const untilMs = before === undefined ? clock.wallMicros() / 1000 : before.timeUs / 1000;
  const gaps = failed ? undefined : await past.gaps(fromMs, untilMs);
  // What could not be looked up may be anything of that time.
  return gaps ?? [{ fromMs, untilMs, events: 0, reason: 'failed' }];
}
