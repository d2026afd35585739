/** The rules of a memory node that every operation shares: holders, expiry, fences, events, markers (node.ts). */
import type { Mode } from '../domain/lease.ts';
import { limits, requestMemoryMs, tokenLeadMicros, tokenSlackMicros } from '../domain/limits.ts';
import { maxToken, NO_TOKEN, type Token } from '../domain/token.ts';
import type { News } from './line.ts';
import { byBytes, type Fence, type Holder, type ResourceRecord, type Store } from './memory-store.ts';
import type { ClosedWhy, NodeEvent, NodeEventType, NodeHolder } from './node.ts';

/**
 * TEST HOOK: each rule that is false here is switched off, so that a test can show the anomaly it prevents.
 * Nothing outside test/ sets one.
 */
export interface Rules {
  /** Step 2: a holder is forgotten at its expiry, not one microsecond later. */
  readonly expiryInclusive: boolean;
  /** A value answers only for itself, not for another attempt of the same lease. */
  readonly uniquePerAttempt: boolean;
  /** RELEASE with `closing` raises the fence where nothing matched. */
  readonly closing: boolean;
  /** HOLD d: a token equal to a fence that another secret opened is stale. */
  readonly equalTokenOtherOpener: boolean;
  /** HOLD d: the floor binds a resource without a fence. */
  readonly floor: boolean;
  /** HOLD e and RELEASE: no token passes lead and slack. */
  readonly ahead: boolean;
  /** HOLD c: readers are in the way of a writer. */
  readonly readersExclude: boolean;
  /** HOLD w: who waits goes first. */
  readonly lineKept: boolean;
  /** REPAIR: a reader that was shut below the fence does not come back. */
  readonly readerRepairShut: boolean;
  /** RELEASE: a lease that was resumed under a newer binding stays. */
  readonly bindings: boolean;
}

export const allRules: Rules = {
  expiryInclusive: true,
  uniquePerAttempt: true,
  closing: true,
  equalTokenOtherOpener: true,
  floor: true,
  ahead: true,
  readersExclude: true,
  lineKept: true,
  readerRepairShut: true,
  bindings: true,
};

/** One operation's view of the node: its memory, and the one time it reads; and what it will have to tell. */
export interface Turn {
  readonly store: Store;
  readonly nowMicros: number;
  readonly longestTtlMs: number;
  readonly rules: Rules;
  /** Whether anybody wants the news. */
  readonly watched: boolean;
  readonly news: News[];
  /** Leases that a FORCE ended. */
  readonly forced: string[];
  /** Where a holder or the first in line went: whoever is first there once the operation is complete may be woken. */
  readonly loosened: Set<string>;
}

/** Step 2 for one resource: cut what reaches too far, then forget who is past. How many were forgotten. */
export function expire(turn: Turn, resource: string): number {
  const record = turn.store.record(resource);
  if (record === undefined) return 0;
  let forgotten = 0;
  for (const holder of holdersIn(record)) {
    holder.expiryMicros = cutExpiry(turn, holder);
    if (!isPast(turn, holder)) continue;
    // The fence stays as it is: an expired lease was not closed, so its own late messages are not refused by it.
    vacate(turn, record, holder);
    note(turn, record, 'expired', holder, '');
    endMarker(turn, holder, 'expired');
    forgotten += 1;
  }
  return forgotten;
}

/** Step 2: no promise reaches further than the longest ttl, so a clock that stepped back keeps nobody for longer. */
export function cutExpiry(turn: Turn, holder: Holder): number {
  return Math.min(holder.expiryMicros, turn.nowMicros + turn.longestTtlMs * 1000);
}

/** Step 2: a holder whose expiry <= now counts no longer. */
export function isPast(turn: Turn, holder: Holder): boolean {
  return turn.rules.expiryInclusive
    ? holder.expiryMicros <= turn.nowMicros
    : holder.expiryMicros < turn.nowMicros;
}

/** The exclusive one or the readers, these by the bytes of their values. */
export function holdersIn(record: ResourceRecord | undefined): readonly Holder[] {
  if (record === undefined) return [];
  return record.holder === undefined ? record.readers : [record.holder, ...record.readers];
}

/** Exactly `value`: another attempt of the same lease is somebody else. */
export function holderBy(turn: Turn, resource: string, value: string): Holder | undefined {
  const holders = holdersIn(turn.store.record(resource));
  return turn.rules.uniquePerAttempt
    ? holders.find((holder) => holder.value === value)
    : holders.find((holder) => secretOf(holder.value) === secretOf(value));
}

/** A reader stands among the others by the bytes of its value. */
export function install(record: ResourceRecord, holder: Holder): void {
  if (holder.mode === 'exclusive') record.holder = holder;
  else record.readers = [...record.readers, holder].sort((a, b) => byBytes(a.value, b.value));
}

function vacate(turn: Turn, record: ResourceRecord, holder: Holder): void {
  if (record.holder === holder) record.holder = undefined;
  else record.readers = record.readers.filter((reader) => reader !== holder);
  turn.loosened.add(record.resource);
}

export function secretOf(value: string): string {
  return value.slice(0, value.indexOf('|'));
}

/** HOLD e and RELEASE: the highest token that a broken clock may bring in; no fence counts as 0. */
export function highestAdmissible(turn: Turn, fence: Fence | undefined, seen: Token): Token {
  const bySlack = maxToken(fence?.token ?? NO_TOKEN, seen) + BigInt(tokenSlackMicros);
  return maxToken(BigInt(turn.nowMicros + tokenLeadMicros), bySlack);
}

/** RELEASE on a match: the holder goes first, for a node without room must still let go; then the fence closes. */
export function letGo(
  turn: Turn,
  record: ResourceRecord,
  holder: Holder,
  close: { readonly why: ClosedWhy; readonly token: Token; readonly reason: string },
): void {
  vacate(turn, record, holder);
  if (record.fence === undefined || record.fence.token <= close.token) {
    setFence(record, closedFence(close), holder.mode);
  }
  shutBelow(turn, record, close.token);
  note(turn, record, close.why, holder, close.reason);
  if (close.why === 'undone') deleteMarkerOf(turn, holder.markerKey, holder.value);
  else endMarker(turn, holder, close.why);
}

/**
 * Below a fence that a reader set other readers may still be repaired, below a writer's nobody. To close a fence at its
 * own token makes it nobody else's.
 */
export function setFence(record: ResourceRecord, fence: Fence, by: Mode): void {
  if (by === 'exclusive' && (fence.state === 'open' || fence.token !== record.fence?.token)) {
    record.writer = fence.token;
  }
  record.fence = fence;
}

/**
 * A fence that is a later reader's, or becomes it, cannot say that this token was closed. What it outlives, two longest
 * ttls, no heartbeat does.
 */
export function shutBelow(turn: Turn, record: ResourceRecord, token: Token): void {
  const { nowMicros, longestTtlMs } = turn;
  if (token <= record.writer || token > (record.fence?.token ?? NO_TOKEN)) return;
  const kept = record.shut.filter(
    (one) => one.token !== token && one.timeMicros + 2 * longestTtlMs * 1000 > nowMicros,
  );
  record.shut = [...kept, { token, timeMicros: nowMicros }];
}

export function closedFence({ token, why }: { readonly token: Token; readonly why: ClosedWhy }): Fence {
  return { token, state: why, opener: '' };
}

/** Adds an event to the ring; `renewed` replaces a newest `renewed`, or a long lease would push out all the rest. */
export function note(
  turn: Turn,
  record: ResourceRecord,
  type: NodeEventType,
  of: { readonly token: Token; readonly leaseRef: string; readonly owner: string },
  reason: string,
  remainingMs = 0,
): void {
  const event: NodeEvent = {
    type,
    timeMicros: turn.nowMicros,
    token: of.token,
    leaseRef: of.leaseRef,
    owner: of.owner,
    reason,
  };
  if (type === 'renewed' && record.history.at(-1)?.type === 'renewed') record.history.pop();
  record.history.push(event);
  if (record.history.length > limits.historyPerResource) record.history.shift();
  announce(turn, { ...event, resource: record.resource, remainingMs });
}

export function announce(turn: Turn, news: News): void {
  if (turn.watched) turn.news.push(news);
}

export function remainingMsOf(turn: Turn, holder: Holder): number {
  return Math.floor((holder.expiryMicros - turn.nowMicros) / 1000);
}

/** Ends the holder's marker, if it is still this holder's: a later attempt may have taken the key over. */
function endMarker(turn: Turn, holder: Holder, why: 'released' | 'forced' | 'expired'): void {
  const entry = turn.store.marker(holder.markerKey, turn.nowMicros);
  if (entry === undefined || entry.value !== holder.value) return;
  const rememberMs = Math.max(requestMemoryMs, 2 * turn.longestTtlMs);
  turn.store.putMarker(holder.markerKey, {
    value: entry.value,
    digest: entry.digest,
    ended: { why, untilMicros: turn.nowMicros + rememberMs * 1000 },
  });
}

/** Undo: the request was never granted, so its marker goes if it holds this value, be its time over or not. */
export function deleteMarkerOf(turn: Turn, key: string, value: string): void {
  if (turn.store.anyMarker(key)?.value === value) turn.store.deleteMarker(key);
}

/** A holder as others may see it: without its value and its marker key. */
export function shown(turn: Turn, holder: Holder): NodeHolder {
  return {
    resource: holder.resource,
    leaseRef: holder.leaseRef,
    token: holder.token,
    owner: holder.owner,
    remainingMs: remainingMsOf(turn, holder),
    card: holder.card,
    binding: holder.binding,
    progress: holder.progress,
  };
}

/** A question about many readers is answered with so many of one resource. */
const READERS_SHOWN_MAX = 64;

/** Those of a resource's holders that are in somebody's way, as answers show them. */
export function shownInTheWay(
  turn: Turn,
  resource: string,
  inTheWay: (holder: Holder) => boolean,
): readonly NodeHolder[] {
  let readers = 0;
  return holdersIn(turn.store.record(resource))
    .filter((holder) => {
      if (!inTheWay(holder)) return false;
      if (holder.mode === 'shared') readers += 1;
      return readers <= READERS_SHOWN_MAX;
    })
    .map((holder) => shown(turn, holder));
}
