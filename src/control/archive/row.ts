/** Happenings and events as rows of the archive, and rows as events: what is the same event, and which is the later. */
import { hash } from 'node:crypto';
import type { Happening } from '../../domain/probe.ts';
import { NO_TOKEN } from '../../domain/token.ts';
import type { EventType, LockEvent } from '../../locks/locks.ts';
import type { NewRow, Place, Row } from './store.ts';

/** Of one lease, in the order of its life. */
const STEPS: Readonly<Record<EventType, number>> = {
  queued: 0,
  granted: 1,
  renewed: 2,
  released: 3,
  expired: 4,
  lost: 5,
  forced: 6,
};
const TOKEN_DIGITS = 20;
/** Sorts as the number does, to 2^64. */
const PLACE_DIGITS = 13;
/** 96 bits: no two events of one token meet by chance. */
const HASH_LENGTH = 16;

type Told = Omit<LockEvent, 'source'>;

/**
 * A lease is granted, released, lost... once; whoever waits has no lease yet, and may queue again. A key begins with
 * the token, which grows as time does, so that databases find the place of a new key at the end of their index: at random
 * places each event would touch, and write, a page of its own.
 */
function keyOf({ resource, token, type, leaseRef, owner }: Told, timeUs: number): string {
  const parts = [resource, String(token), type, leaseRef, ...(type === 'queued' ? [owner, timeUs] : [])];
  const place = (token === NO_TOKEN ? timeUs : token).toString(36).padStart(PLACE_DIGITS, '0');
  return place + hash('sha256', JSON.stringify(parts), 'base64url').slice(0, HASH_LENGTH);
}

export function rowOfEvent(event: Told): NewRow {
  const { timeMs, resource, owner, type, token, leaseRef, reason } = event;
  const timeUs = Math.round(timeMs * 1000);
  return {
    key: keyOf(event, timeUs),
    timeUs,
    resource,
    owner,
    type,
    step: STEPS[type],
    token: String(token).padStart(TOKEN_DIGITS, '0'),
    leaseRef,
    reason,
    grantKey: owner === '' && leaseRef !== '' ? keyOf({ ...event, type: 'granted' }, timeUs) : '',
  };
}

/** One for each resource. */
export function rowsOfHappening({ type, timeMs, resources, owner, lease, reason }: Happening): NewRow[] {
  // Of no lock, so of no history of one.
  if (type === 'quorum_lost' || type === 'quorum_regained') return [];
  const { token = NO_TOKEN, leaseRef = '' } = lease ?? {};
  return resources.map((resource) => rowOfEvent({ type, timeMs, resource, owner, leaseRef, token, reason }));
}

export function eventOfRow(row: Row, source: NonNullable<LockEvent['source']>): LockEvent {
  return {
    type: row.type as EventType,
    timeMs: row.timeUs / 1000,
    resource: row.resource,
    owner: row.owner,
    leaseRef: row.leaseRef,
    token: BigInt(row.token),
    reason: row.reason,
    source,
  };
}

/** A later release may know more kinds of events than this one can tell. */
export function isKnown({ type }: Row): boolean {
  return Object.hasOwn(STEPS, type);
}

/** Negative where `a` comes first, newest first. */
export function newestFirst(a: Place, b: Place): number {
  if (a.timeUs !== b.timeUs) return b.timeUs - a.timeUs;
  if (a.token !== b.token) return a.token > b.token ? -1 : 1;
  if (a.step !== b.step) return b.step - a.step;
  if (a.key === b.key) return 0;
  return a.key > b.key ? -1 : 1;
}
