/** HOLD, RENEW, REPAIR, RELEASE and FORCE as the contract in node.ts states them, one small function a rule. */
import type { Mode } from '../domain/lease.ts';
import type { LostWhy } from '../domain/refusals.ts';
import { maxToken, NO_TOKEN, type Token } from '../domain/token.ts';
import { endWait, mustWait, prepare, queue } from './memory-line.ts';
import {
  closedFence,
  deleteMarkerOf,
  highestAdmissible,
  holderBy,
  holdersIn,
  install,
  letGo,
  note,
  remainingMsOf,
  secretOf,
  setFence,
  shown,
  shownInTheWay,
  shutBelow,
  type Turn,
} from './memory-record.ts';
import type { Fence, Holder, ResourceRecord } from './memory-store.ts';
import type { Answer, ForceOp, HoldOp, Marker, NodeHolder, ReleaseOp, RenewOp, RepairOp } from './node.ts';

export function hold(turn: Turn, op: HoldOp): Answer {
  prepare(turn, [...new Set([...op.resources, ...(op.place?.resources ?? [])])]);
  const known = byMarker(turn, op);
  if (known !== undefined) return known;
  if (holdsAll(turn, op)) return { kind: 'dup' };
  const holders = holdersInTheWay(turn, op);
  if (holders.length > 0) return queue(turn, op, holders);
  const refused = byFences(turn, op) ?? byClock(turn, op, op.seen);
  if (refused !== undefined) return refused;
  if (mustWait(turn, op)) return queue(turn, op, undefined);
  grant(turn, op, { type: 'held', binding: 0, progress: '' });
  if (op.marker !== undefined) markLive(turn, op.marker, op.value);
  endWait(turn, op);
  return { kind: 'held' };
}

export function renew(turn: Turn, op: RenewOp): Answer {
  prepare(turn, op.resources);
  if (op.resources.length === 0 || !holdsAll(turn, op)) return { kind: 'missing', why: lostWhy(turn, op) };
  const records = op.resources.map((resource) => turn.store.recordFor(resource));
  const holders = op.resources.map((resource) => holderBy(turn, resource, op.value)!);
  const refused = byBinding(holders, op);
  if (refused !== undefined) return refused;
  for (const [index, holder] of holders.entries()) {
    // An extension never shortens.
    holder.expiryMicros = Math.max(holder.expiryMicros, turn.nowMicros + op.ttlMs * 1000);
    if (op.progress !== undefined) holder.progress = op.progress;
    if (op.binding !== undefined) holder.binding = op.binding;
    note(turn, records[index]!, 'renewed', holder, '', remainingMsOf(turn, holder));
  }
  const { markerKey, markerDigest } = holders[0]!;
  const waited = records.some(({ line }) => line.length > 0);
  return { kind: 'extended', holder: shown(turn, holders[0]!), markerKey, markerDigest, waited };
}

/** RENEW: a stream that has lost the lease to a newer one, or a second resumer with the same binding. */
function byBinding(holders: readonly Holder[], { binding, binds }: RenewOp): Answer | undefined {
  if (binding === undefined) return undefined;
  const newest = Math.max(...holders.map((holder) => holder.binding));
  const isOlder = binding < newest || (binds === true && binding === newest);
  return isOlder ? { kind: 'bound', binding: newest } : undefined;
}

export function repair(turn: Turn, op: RepairOp): Answer {
  prepare(turn, op.resources);
  if (holdsAll(turn, op)) return { kind: 'dup' };
  const holders = holdersInTheWay(turn, op);
  if (holders.length > 0) return { kind: 'conflict', holders };
  const refused = byFences(turn, op);
  if (refused !== undefined) return refused;
  const { binding, progress, marker } = op;
  grant(turn, op, { type: 'renewed', binding, progress });
  // What this node already knows of the request is newer than what another node remembers of it.
  if (marker !== undefined && turn.store.marker(marker.key, turn.nowMicros) === undefined) {
    markLive(turn, marker, op.value);
  }
  return { kind: 'held' };
}

export function release(turn: Turn, op: ReleaseOp): Answer {
  prepare(turn, op.resources);
  let matched = false;
  for (const resource of op.resources) {
    const holder = holderBy(turn, resource, op.value);
    if (holder !== undefined) {
      // A newer binding: the lease was resumed elsewhere, and this message is of the stream it left.
      if (turn.rules.bindings && op.binding !== undefined && holder.binding > op.binding) continue;
      letGo(turn, turn.store.recordFor(resource), holder, op);
      matched = true;
    } else if (op.closing && turn.rules.closing) {
      close(turn, op, resource);
    }
  }
  if (op.markerKey !== undefined && op.why === 'undone' && !holdsAny(turn, op)) {
    deleteMarkerOf(turn, op.markerKey, op.value);
  }
  return { kind: 'released', matched };
}

export function force(turn: Turn, op: ForceOp): Answer {
  prepare(turn, [op.resource]);
  const holder = holdersIn(turn.store.record(op.resource)).find(
    ({ leaseRef }) => op.leaseRef === '' || op.leaseRef === leaseRef,
  );
  if (holder === undefined) return { kind: 'forced', value: '', holder: null };
  const before = shown(turn, holder);
  const { value, token } = holder;
  turn.forced.push(holder.leaseRef);
  for (const resource of cardResources(holder.card, op.resource)) {
    prepare(turn, [resource]);
    const held = holderBy(turn, resource, value);
    if (held === undefined) continue;
    letGo(turn, turn.store.recordFor(resource), held, { why: 'forced', token, reason: op.reason });
  }
  return { kind: 'forced', value, holder: before };
}

interface Attempt {
  readonly value: string;
  readonly resources: readonly string[];
}

function holdsAll(turn: Turn, { value, resources }: Attempt): boolean {
  return resources.every((resource) => holderBy(turn, resource, value) !== undefined);
}

/** A lease that was resumed under a newer binding keeps its request id. */
export function holdsAny(turn: Turn, { value, resources }: Attempt): boolean {
  return resources.some((resource) => holderBy(turn, resource, value) !== undefined);
}

/** HOLD a: a request id that is known with another value. */
function byMarker(turn: Turn, op: HoldOp): Answer | undefined {
  if (op.marker === undefined) return undefined;
  const known = turn.store.marker(op.marker.key, turn.nowMicros);
  if (known === undefined || known.value === op.value) return undefined;
  if (known.digest !== op.marker.digest) return { kind: 'mismatch' };
  if (known.ended !== undefined) return { kind: 'ended', value: known.value, why: known.ended.why };
  const held = [...new Set([...op.resources, ...(op.among ?? [])])]
    .flatMap((resource) => holdersIn(turn.store.record(resource)))
    .filter(({ value }) => value === known.value);
  const [first] = held;
  if (first === undefined) return { kind: 'ended', value: known.value, why: 'unknown' };
  // An earlier attempt of this very call: its undo is on the way, and b and c say what to do until then.
  if (secretOf(known.value) === op.secret) return undefined;
  for (const holder of held) holder.binding += 1;
  return { kind: 'replay', value: known.value, holder: shown(turn, first) };
}

interface Proposal extends Attempt {
  readonly secret: string;
  readonly token: Token;
  readonly mode?: 'shared';
}

/** HOLD c: somebody whom this cannot hold beside, be it another attempt of this lease, or this one, holding a part. */
function holdersInTheWay(turn: Turn, { secret, resources, mode }: Proposal): readonly NodeHolder[] {
  const excludesReaders = mode !== 'shared' && turn.rules.readersExclude;
  const inTheWay = (holder: Holder) =>
    excludesReaders || holder.mode === 'exclusive' || secretOf(holder.value) === secret;
  return resources.flatMap((resource) => shownInTheWay(turn, resource, inTheWay));
}

/** HOLD d: the highest of all fences and floors that refuse this token. */
function byFences(turn: Turn, op: HoldOp | RepairOp): Answer | undefined {
  let highest: Token | undefined;
  for (const resource of op.resources) {
    const record = turn.store.record(resource);
    if (op.kind === 'repair' && readsBelow(turn, op, record)) continue;
    const refusing = refusingFence(turn, op, record?.fence);
    if (refusing !== undefined) highest = highest === undefined ? refusing : maxToken(highest, refusing);
  }
  return highest === undefined ? undefined : { kind: 'stale', fence: highest };
}

/** HOLD d for one resource: the floor, and the fence unless this very lease opened it; such a repair passes both. */
export function refusingFence(
  turn: Turn,
  op: Pick<HoldOp | RepairOp, 'kind' | 'token' | 'secret'>,
  fence: Fence | undefined,
): Token | undefined {
  if (fence !== undefined && op.token === fence.token && fence.state === 'open') {
    const passes = op.kind === 'repair' || op.token > floorOf(turn);
    if (passes && (fence.opener === op.secret || !turn.rules.equalTokenOtherOpener)) return undefined;
  }
  const highest = maxToken(fence?.token ?? NO_TOKEN, floorOf(turn));
  return op.token <= highest ? highest : undefined;
}

function floorOf(turn: Turn): Token {
  return turn.rules.floor ? turn.store.floor : NO_TOKEN;
}

/** REPAIR: a reader that other readers passed, with no writer since, and that nobody closed. */
export function readsBelow(
  turn: Turn,
  { token, mode }: Proposal,
  record: ResourceRecord | undefined,
): boolean {
  if (mode !== 'shared' || record?.fence === undefined || token >= record.fence.token) return false;
  if (token <= record.writer || token <= floorOf(turn)) return false;
  return !turn.rules.readerRepairShut || record.shut.every((one) => one.token !== token);
}

/** HOLD e: a broken clock may not poison a fence. */
function byClock(turn: Turn, op: Proposal, seen: Token): Answer | undefined {
  if (!turn.rules.ahead) return undefined;
  const ahead = op.resources.some(
    (resource) => op.token > highestAdmissible(turn, turn.store.record(resource)?.fence, seen),
  );
  return ahead ? { kind: 'ahead', nowMicros: turn.nowMicros } : undefined;
}

/** HOLD f, for all resources; the marker is the caller's part. */
function grant(
  turn: Turn,
  op: HoldOp | RepairOp,
  as: { type: 'held' | 'renewed'; binding: number; progress: string },
): void {
  const { value, leaseRef, token, owner, card, secret } = op;
  const { binding, progress } = as;
  const marked = { markerKey: op.marker?.key ?? '', markerDigest: op.marker?.digest ?? '' };
  const expiryMicros = turn.nowMicros + op.ttlMs * 1000;
  const mode: Mode = op.mode ?? 'exclusive';
  for (const resource of op.resources) {
    const record = turn.store.recordFor(resource);
    // A reader may be repaired below the fence of a later one, which stays.
    if (record.fence === undefined || record.fence.token <= token) {
      setFence(record, { token, state: 'open', opener: secret }, mode);
    }
    const lease = { resource, value, leaseRef, token, owner, card, mode, ...marked };
    const holder: Holder = { ...lease, expiryMicros, binding, progress };
    install(record, holder);
    note(turn, record, as.type, holder, '', remainingMsOf(turn, holder));
  }
}

function markLive(turn: Turn, marker: Marker, value: string): void {
  turn.store.putMarker(marker.key, { value, digest: marker.digest });
}

/** RENEW that found nothing: the newest event of this lease on the first resource says why. */
function lostWhy(turn: Turn, op: RenewOp): LostWhy {
  const history = turn.store.record(op.resources[0] ?? '')?.history ?? [];
  switch (history.findLast((event) => event.leaseRef === op.leaseRef)?.type) {
    case 'released':
    case 'undone':
      return 'released';
    case 'forced':
      return 'forced';
    case 'expired':
      return 'expired';
    default:
      return 'unknown';
  }
}

type Closing = Pick<ReleaseOp, 'token' | 'secret' | 'why' | 'seen'>;

/** RELEASE with `closing` where nothing matched: a hold of this token that arrives later must find it closed. */
export function close(turn: Turn, op: Closing, resource: string): void {
  const record = turn.store.record(resource);
  const fence = record?.fence;
  if (mayClose(turn, op, fence)) setFence(turn.store.recordFor(resource), closedFence(op), 'exclusive');
  if (record !== undefined) shutBelow(turn, record, op.token);
}

/** What a close may touch: a lower fence, the one it opened, or none; and never beyond what HOLD e admits. */
function mayClose(turn: Turn, op: Closing, fence: Fence | undefined): boolean {
  if (turn.rules.ahead && op.token > highestAdmissible(turn, fence, op.seen)) return false;
  if (fence === undefined) return op.token > turn.store.floor;
  if (fence.token !== op.token) return fence.token < op.token;
  return fence.state === 'open' && fence.opener === op.secret;
}

/** The resource that the caller pointed at, and all others that the card of its holder names. */
function cardResources(card: string, resource: string): readonly string[] {
  try {
    const parsed: unknown = JSON.parse(card);
    const named = (parsed as { resources?: unknown } | null)?.resources;
    if (Array.isArray(named)) return [...new Set([resource, ...named.map(String)])];
  } catch {
    // Not JSON: nothing but what the caller pointed at is known to belong to this lease.
  }
  return [resource];
}
