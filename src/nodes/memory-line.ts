/** The waiting line of a memory node: JOIN, LEAVE, WAITS, SETTLE, step 3 and what a line shows (line.ts). */
import { conflict, type Mode } from '../domain/lease.ts';
import { limits } from '../domain/limits.ts';
import { NO_TOKEN } from '../domain/token.ts';
import type { JoinOp, LeaveOp, LineView, NodeLine, NodeWaiter, Place, SettleOp, WaitsOp } from './line.ts';
import type { Told } from './memory-news.ts';
import { announce, expire, holdersIn, shownInTheWay, type Turn } from './memory-record.ts';
import { byBytes, isAhead, type LineEntry, type ResourceRecord, type Waiter } from './memory-store.ts';
import type { Answer, HoldOp, NodeHolder } from './node.ts';

/** Steps 2 and 3 for each resource; how many holders were forgotten. */
export function prepare(turn: Turn, resources: readonly string[]): number {
  let forgotten = 0;
  for (const resource of resources) {
    forgotten += expire(turn, resource);
    const record = turn.store.record(resource);
    if (record !== undefined) dropDead(turn, record);
  }
  return forgotten;
}

/** Step 3: dead ones behind a live one stay until they come to the front. */
function dropDead(turn: Turn, record: ResourceRecord): void {
  const { line } = record;
  for (
    let { first } = line;
    first !== undefined && liveWaiter(turn, first.id) === undefined;
    { first } = line
  ) {
    takeOff(turn, record, first.id);
    turn.store.forgetWaiter(first.id);
  }
}

/** SETTLE, deep: dead ones behind a live one go, too. */
function bury(turn: Turn, resource: string): void {
  const record = turn.store.record(resource);
  for (const { id } of record?.line.entries.slice(0, limits.waitersShown) ?? []) {
    if (record === undefined || liveWaiter(turn, id) !== undefined) continue;
    takeOff(turn, record, id);
    turn.store.forgetWaiter(id);
  }
}

function takeOff(turn: Turn, record: ResourceRecord, id: string): void {
  if (record.line.first?.id === id) turn.loosened.add(record.resource);
  record.line.remove(id);
}

function isLive(turn: Turn, waiter: Waiter): boolean {
  // Written before the clock was set back: nobody knows for how long it has been dead.
  if (waiter.deadlineMicros > turn.nowMicros + waiter.place.livenessMs * 1000) return false;
  return waiter.deadlineMicros > turn.nowMicros;
}

function liveWaiter(turn: Turn, id: string): Waiter | undefined {
  const waiter = turn.store.waiter(id);
  return waiter !== undefined && isLive(turn, waiter) ? waiter : undefined;
}

export function join(turn: Turn, op: JoinOp): Answer {
  prepare(turn, op.place.resources);
  const place = takePlace(turn, op.place);
  return place === undefined ? { kind: 'crowded' } : { kind: 'queued', line: lineFrom(turn, place) };
}

/** JOIN: the place that counts from now on, or undefined where it is crowded. */
function takePlace(turn: Turn, asked: Place): Place | undefined {
  const { store, nowMicros } = turn;
  const { id, resources, owner } = asked;
  const isNew = liveWaiter(turn, id) === undefined;
  const isFull = (resource: string) => (store.record(resource)?.line.length ?? 0) >= asked.most;
  if (isNew && resources.some(isFull)) return undefined;
  const place = placeThatCounts(turn, asked);
  store.putWaiter({ place, deadlineMicros: nowMicros + asked.livenessMs * 1000 });
  for (const resource of resources) {
    store.recordFor(resource).line.put({ id, order: place.order }, resources.length > 1);
    if (!isNew) continue;
    const who = { token: NO_TOKEN, leaseRef: id, owner, reason: '', remainingMs: 0 };
    announce(turn, { type: 'queued', timeMicros: nowMicros, resource, ...who });
  }
  return place;
}

/** JOIN: who waits already keeps the better of its two orders, with what led to it. */
function placeThatCounts(turn: Turn, asked: Place): Place {
  const kept = liveWaiter(turn, asked.id)?.place;
  if (kept === undefined || kept.order >= asked.order) return asked;
  const { order, ticket, priority } = kept;
  return { ...asked, order, ticket, priority };
}

/** HOLD w: does a live entry of a conflicting mode stand ahead of this hold's place, or, without one, at all? */
export function mustWait(turn: Turn, op: HoldOp): boolean {
  if (!turn.rules.lineKept) return false;
  const { resources, place } = op;
  const mode: Mode = op.mode ?? 'exclusive';
  const counts = place === undefined ? undefined : placeThatCounts(turn, place);
  return resources.some((resource) => hasRivalAhead(turn, resource, mode, counts));
}

function hasRivalAhead(turn: Turn, resource: string, mode: Mode, place: LineEntry | undefined): boolean {
  for (const entry of turn.store.record(resource)?.line.entries ?? []) {
    if (place !== undefined && !isAhead(entry, place)) return false;
    if (place?.id === entry.id) continue;
    const waiter = liveWaiter(turn, entry.id);
    if (waiter !== undefined && conflict(waiter.place.mode, mode)) return true;
  }
  return false;
}

/** HOLD c and w: the answer to who cannot have it now; JOIN comes first where there is a place. */
export function queue(turn: Turn, op: HoldOp, holders: readonly NodeHolder[] | undefined): Answer {
  const place = op.place === undefined ? undefined : takePlace(turn, op.place);
  if (op.place !== undefined && place === undefined) return { kind: 'crowded' };
  const line = place === undefined ? lineOutside(turn, op.resources) : lineFrom(turn, place);
  if (holders === undefined) return { kind: 'wait', line };
  return { kind: 'conflict', holders, ...(line.length > 0 ? { line } : {}) };
}

/** HOLD f: who has what it waited for waits no longer. */
export function endWait(turn: Turn, { resources, place, mode }: HoldOp): void {
  if (place === undefined) return;
  let stood = false;
  for (const resource of resources) {
    const record = turn.store.recordFor(resource);
    stood ||= record.line.positionOf(place.id) > 0;
    // Behind a writer nobody can go next; behind a reader another one may.
    if (mode === 'shared') takeOff(turn, record, place.id);
    else record.line.remove(place.id);
  }
  const all = place.resources.every((resource) => resources.includes(resource));
  if (stood && all) turn.store.forgetWaiter(place.id);
}

export function leave(turn: Turn, op: LeaveOp): Answer {
  const { id, mode, resources } = op;
  prepare(turn, resources);
  const waiter = liveWaiter(turn, id);
  const line =
    waiter === undefined ? lineOutside(turn, resources) : lineFrom(turn, { ...waiter.place, resources });
  if (waiter === undefined || waiter.place.replica === op.replica) {
    turn.store.forgetWaiter(id);
    for (const resource of resources) {
      const record = turn.store.record(resource);
      if (record !== undefined) takeOff(turn, record, id);
    }
  }
  const holders = resources.flatMap((resource) =>
    shownInTheWay(turn, resource, (holder) => conflict(holder.mode, mode)),
  );
  return { kind: 'left', matched: waiter !== undefined, line, holders };
}

export function waits(turn: Turn, op: WaitsOp): Answer {
  const waiters = turn.store
    .waitersOf(op.owner)
    .filter((waiter) => isLive(turn, waiter))
    .map(({ place }) => place)
    .sort((a, b) => a.order - b.order || byBytes(a.id, b.id));
  return { kind: 'waiting', waiters: waiters.map(shownWaiter) };
}

export function settle(turn: Turn, op: SettleOp): Answer {
  prepare(turn, op.resources);
  if (op.deep === true) for (const resource of op.resources) bury(turn, resource);
  return { kind: 'settled' };
}

/** A line as who has this place sees it. */
function lineFrom(turn: Turn, place: Place): LineView {
  const { resources, ticket, order } = place;
  let position = 0;
  let length = 0;
  for (const resource of resources) {
    const line = turn.store.record(resource)?.line;
    const here = line?.positionOf(place.id) ?? 0;
    if (line === undefined || here <= position) continue;
    position = here;
    length = line.length;
  }
  const free = resources.filter(
    (resource) =>
      rivalOwners(turn, resource, place.mode).length === 0 &&
      !hasRivalAhead(turn, resource, place.mode, place),
  );
  return { position, length, ticket, order, free, tangled: isTangled(turn, place) };
}

/** A line as somebody without a place sees it. */
function lineOutside(turn: Turn, resources: readonly string[]): LineView {
  const lengths = resources.map((resource) => turn.store.record(resource)?.line.length ?? 0);
  return { position: 0, length: Math.max(0, ...lengths), ticket: 0, order: 0, free: [], tangled: false };
}

/** May a cycle go through this place? It can only do so through a holder that waits, or through a CROSSED line. */
function isTangled(turn: Turn, place: Place): boolean {
  const { resources, owner, mode } = place;
  const waitsToo = (other: string) =>
    other === owner || turn.store.waitersOf(other).some((waiter) => isLive(turn, waiter));
  return resources.some((resource) => {
    if (turn.store.record(resource)?.line.crossed === true) return true;
    // A reader behind a writer waits for all that the writer waits for.
    const against = hasRivalAhead(turn, resource, mode, place) ? 'exclusive' : mode;
    return rivalOwners(turn, resource, against).some(waitsToo);
  });
}

function rivalOwners(turn: Turn, resource: string, mode: Mode): readonly string[] {
  const holders = holdersIn(turn.store.record(resource));
  return holders.filter((holder) => conflict(holder.mode, mode)).map(({ owner }) => owner);
}

function shownWaiter(place: Place): NodeWaiter {
  const { id, owner, ticket, order, priority, mode, any, resources } = place;
  return { id, owner, ticket, order, priority, mode, any, resources };
}

/** The line in a view: of `asked` entries the dead ones are told from the live ones, of later ones nobody looks. */
export function lineShown(turn: Turn, { line }: ResourceRecord, asked: number): NodeLine | undefined {
  const scanned = line.entries.slice(0, asked);
  const live = scanned.map(({ id }) => liveWaiter(turn, id)).filter((waiter) => waiter !== undefined);
  const length = line.length - (scanned.length - live.length);
  return length === 0 ? undefined : { length, waiters: live.map(({ place }) => shownWaiter(place)) };
}

/**
 * WAKE: for each resource that something was taken from, the first live one in line if no holder is in its way. Dead
 * ones that came to the front by it go first, or nobody would be woken behind a replica that died.
 */
export function wakesOf(turn: Turn): Told['wakes'] {
  const wakes: Told['wakes'][number][] = [];
  for (const resource of turn.loosened) {
    const record = turn.store.record(resource);
    if (record === undefined) continue;
    dropDead(turn, record);
    const { first } = record.line;
    const place = first === undefined ? undefined : liveWaiter(turn, first.id)?.place;
    if (place === undefined || rivalOwners(turn, resource, place.mode).length > 0) continue;
    const { id, replica } = place;
    wakes.push({ replica, wake: { resource, id, fence: record.fence?.token ?? NO_TOKEN } });
  }
  return wakes;
}
