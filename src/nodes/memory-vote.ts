/** HOLD, RENEW, REPAIR, RELEASE and FORCE as the contract in node.ts states them, one small function a rule. */
import type { LostWhy } from '../domain/refusals.ts';
import { maxToken, NO_TOKEN, type Token } from '../domain/token.ts';
import {
  closedFence,
  deleteMarkerOf,
  highestAdmissible,
  holderOf,
  letGo,
  matches,
  note,
  secretOf,
  settle,
  shown,
  type Turn,
} from './memory-record.ts';
import type { Fence, Holder } from './memory-store.ts';
import type { Answer, ForceOp, HoldOp, Marker, ReleaseOp, RenewOp, RepairOp } from './node.ts';

export function hold(turn: Turn, op: HoldOp): Answer {
  settleAll(turn, op.resources);
  const refused =
    byMarker(turn, op) ?? byHolders(turn, op) ?? byFences(turn, op) ?? byClock(turn, op, op.seen);
  if (refused !== undefined) return refused;
  grant(turn, op, { type: 'held', binding: 0, progress: '' });
  if (op.marker !== undefined) markLive(turn, op.marker, op.value);
  return { kind: 'held' };
}

export function renew(turn: Turn, op: RenewOp): Answer {
  settleAll(turn, op.resources);
  const [first] = op.resources;
  if (first === undefined || !holdsAll(turn, op)) return { kind: 'missing', why: lostWhy(turn, op) };
  for (const resource of op.resources) {
    const record = turn.store.record(resource)!;
    const holder = record.holder!;
    // An extension never shortens.
    holder.expiryMicros = Math.max(holder.expiryMicros, turn.nowMicros + op.ttlMs * 1000);
    if (op.progress !== undefined) holder.progress = op.progress;
    note(turn, record, 'renewed', holder, '');
  }
  const holder = holderOf(turn, first)!;
  return {
    kind: 'extended',
    holder: shown(turn, holder),
    markerKey: holder.markerKey,
    markerDigest: holder.markerDigest,
  };
}

export function repair(turn: Turn, op: RepairOp): Answer {
  settleAll(turn, op.resources);
  const refused = byHolders(turn, op) ?? byFences(turn, op);
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
  settleAll(turn, op.resources);
  let matched = false;
  for (const resource of op.resources) {
    const record = turn.store.record(resource);
    const holder = record?.holder;
    if (record !== undefined && matches(turn, holder, op.value)) {
      // A newer binding: the lease was resumed elsewhere, and this message is of the stream it left.
      if (op.binding !== undefined && holder.binding > op.binding) continue;
      letGo(turn, record, holder, op);
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
  settle(turn, op.resource);
  const holder = holderOf(turn, op.resource);
  if (holder === undefined || (op.leaseRef !== '' && holder.leaseRef !== op.leaseRef)) {
    return { kind: 'forced', value: '', holder: null };
  }
  const before = shown(turn, holder);
  const { value, token } = holder;
  for (const resource of cardResources(holder.card, op.resource)) {
    settle(turn, resource);
    const record = turn.store.record(resource);
    if (record === undefined || !matches(turn, record.holder, value)) continue;
    letGo(turn, record, record.holder, { why: 'forced', token, reason: op.reason });
  }
  return { kind: 'forced', value, holder: before };
}

function settleAll(turn: Turn, resources: readonly string[]): void {
  for (const resource of resources) settle(turn, resource);
}

interface Attempt {
  readonly value: string;
  readonly resources: readonly string[];
}

function holdsAll(turn: Turn, { value, resources }: Attempt): boolean {
  return resources.every((resource) => matches(turn, holderOf(turn, resource), value));
}

/** A lease that was resumed under a newer binding keeps its request id. */
function holdsAny(turn: Turn, { value, resources }: Attempt): boolean {
  return resources.some((resource) => matches(turn, holderOf(turn, resource), value));
}

/** HOLD a: a request id that is known with another value. */
function byMarker(turn: Turn, op: HoldOp): Answer | undefined {
  if (op.marker === undefined) return undefined;
  const known = turn.store.marker(op.marker.key, turn.nowMicros);
  if (known === undefined || known.value === op.value) return undefined;
  if (known.digest !== op.marker.digest) return { kind: 'mismatch' };
  if (known.ended !== undefined) return { kind: 'ended', value: known.value, why: known.ended.why };
  const held = op.resources
    .map((resource) => holderOf(turn, resource))
    .filter((holder): holder is Holder => holder?.value === known.value);
  const [first] = held;
  if (first === undefined) return { kind: 'ended', value: known.value, why: 'unknown' };
  // An earlier attempt of this very call: its undo is on the way, and b and c say what to do until then.
  if (secretOf(known.value) === op.secret) return undefined;
  for (const holder of held) holder.binding += 1;
  return { kind: 'replay', value: known.value, holder: shown(turn, first) };
}

/** HOLD b and c: this very attempt holds all, or somebody (be it another attempt of this lease) holds some. */
function byHolders(turn: Turn, op: Attempt): Answer | undefined {
  if (holdsAll(turn, op)) return { kind: 'dup' };
  const holders = op.resources
    .map((resource) => holderOf(turn, resource))
    .filter((holder) => holder !== undefined);
  if (holders.length === 0) return undefined;
  return { kind: 'conflict', holders: holders.map((holder) => shown(turn, holder)) };
}

interface Proposal extends Attempt {
  readonly secret: string;
  readonly token: Token;
}

/** HOLD d: the highest of all fences and floors that refuse this token. */
function byFences(turn: Turn, op: Proposal): Answer | undefined {
  let highest: Token | undefined;
  for (const resource of op.resources) {
    const refusing = refusingFence(turn, op, turn.store.record(resource)?.fence);
    if (refusing !== undefined) highest = highest === undefined ? refusing : maxToken(highest, refusing);
  }
  return highest === undefined ? undefined : { kind: 'stale', fence: highest };
}

/** HOLD d for one resource: the fence, unless this very lease opened it, and the floor. */
function refusingFence(turn: Turn, op: Proposal, fence: Fence | undefined): Token | undefined {
  if (fence !== undefined && op.token === fence.token && fence.state === 'open') {
    if (fence.opener === op.secret || !turn.rules.equalTokenOtherOpener) return undefined;
  }
  const floor = turn.rules.floor ? turn.store.floor : NO_TOKEN;
  const highest = maxToken(fence?.token ?? NO_TOKEN, floor);
  return op.token <= highest ? highest : undefined;
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
  for (const resource of op.resources) {
    const record = turn.store.fenced(resource, { token, state: 'open', opener: secret });
    record.holder = {
      resource,
      value,
      leaseRef,
      token,
      owner,
      card,
      ...marked,
      expiryMicros,
      binding,
      progress,
    };
    note(turn, record, as.type, op, '');
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

/** RELEASE with `closing` where nothing matched: a hold of this token that arrives later must find it closed. */
function close(turn: Turn, op: ReleaseOp, resource: string): void {
  const fence = turn.store.record(resource)?.fence;
  if (!mayClose(turn, op, fence)) return;
  turn.store.fenced(resource, closedFence(op));
}

/** What a close may touch: a lower fence, the one it opened, or none; and never beyond what HOLD e admits. */
function mayClose(turn: Turn, op: ReleaseOp, fence: Fence | undefined): boolean {
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
