/**
 * The interface of one lock node: what it may be asked, and what it may answer.
 *
 * A node decides alone and atomically. It answers for, against with a reason, or it is silent; `ask` never
 * rejects. The rules below are the contract that `memory-node.ts` and `lua/` both keep (docs/guarantees.md
 * says why each exists); one suite and one property test hold the two together.
 *
 * What a node remembers per resource, its RECORD:
 *   fence    (token, state, opener): the highest token it has admitted or closed. State is `open` or why it was
 *            closed (`released`, `forced`, `undone`); opener is the secret of the lease that opened it.
 *   holder   at most one exclusive: value, leaseRef, owner, expiry, binding, card, progress, marker key;
 *   readers  or any number of shared ones, each the same (in `record` below both are HOLDERS).
 *   writer   the token of the last change of the fence that was not a reader's, 0 before; and SHUT: tokens that
 *            were closed without a writer's fence to tell so; when another is shut, those older than two longest ttls
 *            (time + 2 x longest <= now) are dropped.
 *   history  a ring of the last `limits.historyPerResource` events.
 * and per node: request MARKERS (key -> value, digest, live or ended and why) and the META (see AdminOp).
 * All times are the node's own wall clock in microseconds (`now`), read once for each batch.
 *
 * BEFORE every vote operation (each but `look`, `list`, `waits`, `sweep`, `watch`, `tell`, `ping`) in this order:
 *   1. Another schema, cluster fingerprint, node id or longest ttl in the meta: silent `config`. Meta missing or
 *      of another process run: silent `amnesia`. `suspectUntil` > now: silent `suspect` (a suspicion further
 *      away than one longest ttl is cut to that). What reads or tidies (`look`, `list`, `waits`, `sweep`, `settle`,
 *      `leave`, `watch`, `tell`) is not stopped by suspicion, and
 *      `release` and `force` neither by suspicion nor by amnesia, for letting go is always safe; but where the
 *      meta is missing or of another run, a `release` or `force` that matched nothing (it has run all the same)
 *      answers silent `amnesia`: what a forgetful node does not hold proves nothing.
 *   2. For each named resource: an expiry further away than the longest ttl is cut to now + longest ttl; a
 *      holder whose expiry <= now is forgotten: event `expired`, its marker is ended with why `expired`, the
 *      fence stays as it is. What step 2 changed is kept even if the operation is then refused.
 *   3. The waiting line: see line.ts.
 */
import type { Token } from '../domain/token.ts';
import type { Answer } from './answer.ts';
import type { Ears, JoinOp, LeaveOp, Place, SettleOp, TellOp, WaitsOp, WatchOp } from './line.ts';

export type * from './answer.ts';
export type * from './line.ts';

/** Version of everything a node stores; a node that bears another is refused (docs/versioning.md). */
export const SCHEMA = 3;

/**
 * HOLD (Acquire). Decided over all `resources` together, all or none, in this order:
 *   a. `marker` given and known with another value, not ended-and-past-its-time:
 *        another digest                       -> mismatch
 *        ended                                -> ended(value, why)
 *        live, and held by that value (any of `resources`, or of `among`)
 *                                             -> binding + 1, replay(holder), unless the known value has the same
 *                                                secret as this one (an earlier attempt of ours): then go on at b
 *        live, but nobody holds that value    -> ended(value, `unknown`)
 *   b. exactly `value` holds every resource   -> dup
 *   c. any resource has a holder that is exclusive, or any at all if this is not shared, or another attempt of this
 *      secret (or, partly, this value)        -> conflict(these holders, in the order of `resources` and, of readers,
 *                                                of their values' bytes; at most 64 readers of one resource)
 *   d. for each resource: token <= floor, or token <= fence unless the fence is (token, open, this secret)
 *                                             -> stale(the highest fence or floor of these resources)
 *   e. for any resource: token > max(now + lead, fence + slack, seen + slack); no fence counts as 0
 *                                             -> ahead
 *   w. for any resource: a live entry of a conflicting mode stands ahead of `place` in line (of whoever, without
 *      a place)                               -> wait
 *   f. else: it holds all (binding 0, expiry now + ttl), each fence = (token, open, secret), event `held`, the
 *      marker (if given) is live with this value and digest; its entries in the lines of `resources` are taken off,
 *      and if one was there and its place names no others, it is forgotten as a waiter -> held
 * A conflict or wait with a `place` first does JOIN: crowded if that is refused. What it answers has the line in it;
 * without a place it has where one of the lines is not empty.
 */
export interface HoldOp {
  readonly kind: 'hold';
  readonly secret: string;
  readonly token: Token;
  /** `secret|token`: unique per attempt. */
  readonly value: string;
  readonly leaseRef: string;
  readonly resources: readonly string[];
  readonly ttlMs: number;
  readonly owner: string;
  /** JSON that nodes keep and return unread, except for its `resources` in `force`. */
  readonly card: string;
  /** The fence that refused the previous attempt, 0 when there was none. */
  readonly seen: Token;
  readonly marker?: Marker;
  /** Of which `resources` were picked; another call of the same request may have picked others. */
  readonly among?: readonly string[];
  /** Absent: exclusive. */
  readonly mode?: 'shared';
  /** Where to wait if it cannot be had now; its resources include those of the hold. */
  readonly place?: Place;
}

/** A request id on a node: the key is a hash of who asked, the digest one of what was asked. */
export interface Marker {
  readonly key: string;
  readonly digest: string;
}

/**
 * RENEW (first half of Heartbeat): never an acquire. Exactly `value` holds every resource: each expiry becomes
 * max(expiry, now + ttl), progress (if given) is replaced, event `renewed` (which replaces a newest event that
 * is `renewed`) -> extended(holder of the first resource; waited: whether one of the lines has an entry). Otherwise
 * nothing changes -> missing(why), why being read from the newest event of this leaseRef in the first resource's
 * history: released, forced or undone (told as released), expired, otherwise unknown.
 * With a `binding`: one that is older than that of any of its holders (with `binds`: older or equal) changes nothing
 * -> bound(the newest binding of these holders); else it becomes the binding of all of them. So each binding above 0
 * is given by each node to one resumer, and whoever lost the lease to a newer one keeps it alive no more.
 */
export interface RenewOp {
  readonly kind: 'renew';
  readonly value: string;
  readonly leaseRef: string;
  readonly token: Token;
  readonly resources: readonly string[];
  readonly ttlMs: number;
  readonly progress?: string;
  /** Of the stream that keeps it; absent: whoever knows the lease may renew it. */
  readonly binding?: number;
  /** Takes the lease over with this `binding`. */
  readonly binds?: boolean;
}

/**
 * REPAIR (second half of Heartbeat, sent only after another node matched): rules b, c and d of HOLD, not a, e, w;
 * where the fence is (token, open, this secret) the floor does not count, either;
 * then as HOLD f with the given binding, progress and marker key (a marker with a key that is unknown here is
 * written live; one that is known stays), no entry being taken off -> held. Event `renewed`.
 * A shared one below the fence is not stale by d if writer < token, token > floor and token is not SHUT: the fence then
 * stays as it is. Otherwise it is -> stale(the fence or floor).
 */
export interface RepairOp {
  readonly kind: 'repair';
  readonly secret: string;
  readonly token: Token;
  readonly value: string;
  readonly leaseRef: string;
  readonly resources: readonly string[];
  readonly ttlMs: number;
  readonly owner: string;
  readonly card: string;
  readonly binding: number;
  readonly progress: string;
  readonly marker?: Marker;
  readonly mode?: 'shared';
}

/**
 * RELEASE and undo. For each resource whose holder is exactly `value`, and whose binding is <= `binding` when
 * one is given: the holder goes, the fence becomes (token, why) unless it is higher; event `why` with `reason`.
 * Deletion is the first write: a node whose memory is full must still let go. The marker of the holder is then
 * ended with why (`released`, `forced`), or, when why is `undone`, deleted.
 * A resource that did not match: `closing` false: nothing changes. `closing` true: nothing changes if somebody
 * holds `value` with a newer binding; else the fence is raised to (token, why), as a writer's, if it is lower, or
 * closed if it is equal, still open and opened by this very secret; otherwise it stays; without a fence it is written
 * when token > floor. No close raises a fence above max(now + lead, fence + slack, seen + slack): then it stays.
 * Either way: if afterwards writer < token <= fence, the token is SHUT, for a later reader may take the fence over.
 * A given `markerKey` whose marker holds `value` is deleted when why is `undone`.
 * -> released(matched: any resource matched).
 */
export interface ReleaseOp {
  readonly kind: 'release';
  readonly secret: string;
  readonly token: Token;
  readonly value: string;
  readonly resources: readonly string[];
  readonly why: ClosedWhy;
  readonly reason: string;
  readonly closing: boolean;
  readonly binding?: number;
  readonly seen: Token;
  readonly markerKey?: string;
}

export type ClosedWhy = 'released' | 'forced' | 'undone';

/**
 * FORCE: the holder of `resource` (the exclusive one or the reader with the lowest value, or the one with `leaseRef`
 * when that is not empty) loses everything named in its card's `resources` that it holds here, as RELEASE does on a
 * match, with why `forced`. -> forced(the holder before, with its value; null when nothing matched). Told as FORCED
 * (line.ts) if it matched.
 */
export interface ForceOp {
  readonly kind: 'force';
  readonly resource: string;
  readonly leaseRef: string;
  readonly reason: string;
}

/**
 * LOOK: a read of one resource; changes nothing, an expired holder is left out. `history`: how many events, newest
 * first; `line` (absent: 0): how many waiters.
 */
export interface LookOp {
  readonly kind: 'look';
  readonly resource: string;
  readonly history: number;
  readonly line?: number;
}

/** LIST: up to `limit` known names after `after` with `prefix`, in byte order, each as `look` without history. */
export interface ListOp {
  readonly kind: 'list';
  readonly prefix: string;
  readonly after: string;
  readonly limit: number;
}

/**
 * SWEEP: of up to `limit` names after `after`: forgets expired holders as step 2 and does step 3; drops a record
 * without holders and with an empty line if it has no fence, or one that is older than `fenceAgeMicros` (token + age <
 * now), and raises the floor to that token in the same script. -> swept(next: the last name seen, '' at the end; expired, dropped: how many).
 */
export interface SweepOp {
  readonly kind: 'sweep';
  readonly after: string;
  readonly limit: number;
}

/**
 * REVEAL: -> revealed(value, holder) of the holder of `resource` with `leaseRef`; '' and null without one. For whoever
 * mends: the value goes to nodes only, and never leaves the service.
 */
export interface RevealOp {
  readonly kind: 'reveal';
  readonly resource: string;
  readonly leaseRef: string;
}

/**
 * BAR: shuts a value out where it is not held, and never lets go. Somebody holds one of `resources` by exactly `value`:
 * nothing changes -> barred(held: true, barred: false). Else the token is closed at each resource as by RELEASE with
 * `closing`, why `undone` and seen 0 -> barred(held: false, barred: each resource would refuse a REPAIR of this value
 * by its rule d, and so a HOLD by d, too). As fences never fall, whoever is barred never holds here again.
 */
export interface BarOp {
  readonly kind: 'bar';
  readonly secret: string;
  readonly token: Token;
  readonly value: string;
  readonly resources: readonly string[];
  /** Absent: exclusive. */
  readonly mode?: 'shared';
}

/** PING: answers with the node's time if it may vote and can write; what probes send. */
export interface PingOp {
  readonly kind: 'ping';
}

export type NodeOp =
  | HoldOp
  | RenewOp
  | RepairOp
  | ReleaseOp
  | ForceOp
  | LookOp
  | ListOp
  | SweepOp
  | RevealOp
  | BarOp
  | PingOp
  | JoinOp
  | LeaveOp
  | WaitsOp
  | SettleOp
  | WatchOp
  | TellOp;

/** Who a voter is supposed to be; sent with every batch and compared with the node's meta in the same script. */
export interface Stamp {
  readonly runId: string;
  readonly nodeId: string;
  readonly cluster: string;
  readonly longestTtlMs: number;
}

/** One independent voter. */
export interface LockNode {
  readonly id: string;
  /** Never rejects; `silent` when the node may not or did not vote within the deadline. */
  ask(op: NodeOp): Promise<Answer>;
  /** `ask` without a promise, where a node can: a vote asks so often that they count. Calls `heard` once, later. */
  post?(op: NodeOp, heard: (answer: Answer) => void): void;
  /** From now on `ears` hear what the node tells. */
  hear?(ears: Ears): void;
  /** What the node's clock shows now, in microseconds, as near as its answers tell; undefined before the first. */
  nowMicros?(): number | undefined;
}
