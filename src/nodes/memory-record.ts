/** The rules of a memory node that every operation shares: expiry, matching, fences, events, markers (node.ts). */
import { limits, requestMemoryMs, tokenLeadMicros, tokenSlackMicros } from '../domain/limits.ts';
import { maxToken, NO_TOKEN, type Token } from '../domain/token.ts';
import type { Fence, Holder, ResourceRecord, Store } from './memory-store.ts';
import type { ClosedWhy, NodeEvent, NodeEventType, NodeHolder, NodeView } from './node.ts';

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
}

export const allRules: Rules = {
  expiryInclusive: true,
  uniquePerAttempt: true,
  closing: true,
  equalTokenOtherOpener: true,
  floor: true,
  ahead: true,
};

/** One operation's view of the node: its memory, and the one time it reads. */
export interface Turn {
  readonly store: Store;
  readonly nowMicros: number;
  readonly longestTtlMs: number;
  readonly rules: Rules;
}

/** Step 2 for one resource: cut what reaches too far, then forget who is past. Whether somebody was forgotten. */
export function settle(turn: Turn, resource: string): boolean {
  const record = turn.store.record(resource);
  const holder = record?.holder;
  if (record === undefined || holder === undefined) return false;
  holder.expiryMicros = cutExpiry(turn, holder);
  if (!isPast(turn, holder)) return false;
  // The fence stays as it is: an expired lease was not closed, so its own late messages are not refused by it.
  record.holder = undefined;
  note(turn, record, 'expired', holder, '');
  endMarker(turn, holder, 'expired');
  return true;
}

/** Step 2: no promise reaches further than the longest ttl, so a clock that stepped back keeps nobody for longer. */
function cutExpiry(turn: Turn, holder: Holder): number {
  return Math.min(holder.expiryMicros, turn.nowMicros + turn.longestTtlMs * 1000);
}

/** Step 2: a holder whose expiry <= now counts no longer. */
export function isPast(turn: Turn, holder: Holder): boolean {
  return turn.rules.expiryInclusive
    ? holder.expiryMicros <= turn.nowMicros
    : holder.expiryMicros < turn.nowMicros;
}

export function holderOf(turn: Turn, resource: string): Holder | undefined {
  return turn.store.record(resource)?.holder;
}

/** Exactly `value`: another attempt of the same lease is somebody else. */
export function matches(turn: Turn, holder: Holder | undefined, value: string): holder is Holder {
  if (holder === undefined) return false;
  return turn.rules.uniquePerAttempt ? holder.value === value : secretOf(holder.value) === secretOf(value);
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
  record.holder = undefined;
  if (record.fence.token <= close.token) record.fence = closedFence(close);
  note(turn, record, close.why, holder, close.reason);
  if (close.why === 'undone') deleteMarkerOf(turn, holder.markerKey, holder.value);
  else endMarker(turn, holder, close.why);
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
    remainingMs: Math.floor((holder.expiryMicros - turn.nowMicros) / 1000),
    card: holder.card,
    binding: holder.binding,
    progress: holder.progress,
  };
}

/** LOOK: reads only, so an expired holder is left out rather than forgotten, and an expiry too far away cut in the copy. */
export function viewOf(turn: Turn, record: ResourceRecord, events: number): NodeView {
  const { holder } = record;
  const live = holder !== undefined && !isPast(turn, holder);
  return {
    resource: record.resource,
    ...(live ? { holder: shown(turn, { ...holder, expiryMicros: cutExpiry(turn, holder) }) } : {}),
    fence: { token: record.fence.token, state: record.fence.state },
    history: record.history.slice(Math.max(0, record.history.length - events)).reverse(),
  };
}
