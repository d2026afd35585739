/**
 * The waiting line of a node: what it may be asked about waiters, and what it tells. Goes on where node.ts ends.
 *
 * A node remembers, besides what node.ts says,
 *   per waiter id  its PLACE and its deadline; it is LIVE while now < deadline <= now + the place's livenessMs;
 *   per resource   the LINE: entries of waiters, ordered by (order, id), the lowest first. A waiter has an entry in the
 *                  line of each of its place's resources until the entry is taken off: by a HOLD of that resource that
 *                  succeeds, by LEAVE, or when the waiter is found dead at the front. Whether a waiter of several
 *                  resources has joined the line since it was last empty (CROSSED).
 *
 * STEP 3 of every vote operation, after steps 1 and 2 of node.ts, for each resource that the operation or its place
 * names: while the first entry of the line is not that of a live waiter, it is taken off and that waiter forgotten.
 * Dead ones behind a live one count as standing until they come to the front. Not done by `look`, `list`, `watch`,
 * `waits`, `tell` and `ping`.
 *
 * Two modes CONFLICT unless both are shared. Entries AHEAD of a place: those of other live waiters with a lower
 * (order, id); to whoever has no place all are ahead. FREE for a place or for an asker: a resource without a
 * conflicting holder and without a live conflicting entry ahead.
 *
 * A deadline further away than the liveness was written before the clock was set back, by whoever may be dead since; it
 * is not cut, as a holder's expiry is by step 2, but counts as dead at once: only the first of a line is looked at each
 * time, so a cut would delay who is behind many dead ones by a liveness for each. Who lives takes its place anew, with
 * its order, well within its liveness, and loses no more than that. What was never taken off may count as live again
 * when the clock comes near its deadline, for one liveness at most.
 *
 * The line never decides who holds (node.ts does); it only ever makes a hold wait. So nothing here bears on safety.
 */
import type { Mode } from '../domain/lease.ts';

/** Where a waiter stands, the same words at every node. */
export interface Place {
  /** Names the waiter: the same at every replica when the request is repeated. No `|`, space or control character. */
  readonly id: string;
  /** When it began to wait, in microseconds of the nodes' clocks; also breaks cycles: the youngest gives way. */
  readonly ticket: number;
  /** The ticket less the head start of its priority: whoever is lowest is next. */
  readonly order: number;
  readonly priority: number;
  /** The replica to wake. */
  readonly replica: string;
  readonly owner: string;
  readonly mode: Mode;
  /** 0: wants all `resources`; else how many of them. */
  readonly any: number;
  readonly resources: readonly string[];
  /** How long the place lasts unless it is taken again. */
  readonly livenessMs: number;
  /** How many entries a line may have. */
  readonly most: number;
}

/**
 * JOIN: takes a place, or keeps it. A live waiter of this id keeps the lower of the two orders, with its ticket and
 * priority, and everything else is as the operation says. Otherwise, if one line of `resources` has `most` entries or
 * more -> crowded, and nothing changes. Else: deadline = now + livenessMs, an entry in each line (and the line CROSSED
 * if the place names several resources), news `queued` for each resource if the waiter was not live.
 * -> queued(line).
 */
export interface JoinOp {
  readonly kind: 'join';
  readonly place: Place;
}

/**
 * LEAVE: forgets the waiter `id` and takes its entries off the lines of `resources`; nothing of a live waiter that has
 * come to wait at another replica than `replica` meanwhile.
 * -> left(matched: a live waiter was there, line: as it stood just before, or, without one, as to somebody without a
 * place; holders: those of `resources` that conflict with `mode`). Not stopped by suspicion.
 */
export interface LeaveOp {
  readonly kind: 'leave';
  readonly id: string;
  readonly replica: string;
  readonly mode: Mode;
  readonly resources: readonly string[];
}

/** WAITS: the live waiters of one owner, by (order, id). A read. -> waiting(waiters). */
export interface WaitsOp {
  readonly kind: 'waits';
  readonly owner: string;
}

/**
 * SETTLE: steps 2 and 3 for `resources`, nothing else: for those who count down a lease's end. -> settled. With `deep`
 * step 3 is done for each of the first entries of a line (`limits.waitersShown`), not only for those before the first
 * live one.
 */
export interface SettleOp {
  readonly kind: 'settle';
  readonly resources: readonly string[];
  readonly deep?: true;
}

/** WATCH: somebody wants the node's news until now + forMs; a later end stands. -> watching. */
export interface WatchOp {
  readonly kind: 'watch';
  readonly forMs: number;
}

/** TELL: news `lost` of a lease that a replica found without a majority, for each resource. Changes nothing. -> told. */
export interface TellOp {
  readonly kind: 'tell';
  readonly resources: readonly string[];
  readonly token: bigint;
  readonly leaseRef: string;
  readonly owner: string;
  readonly reason: string;
}

/** A line as one waiter sees it from its place. */
export interface LineView {
  /** Counted from 1, with dead ones that still stand; of several resources the worst. 0 without a place. */
  readonly position: number;
  /** Entries of the line in which the position is worst; without a place those of the longest line. */
  readonly length: number;
  /** Of the place that counts: an earlier one may have been kept. 0 without a place. */
  readonly ticket: number;
  readonly order: number;
  /** The resources of the place that are FREE for it. Empty without a place. */
  readonly free: readonly string[];
  /**
   * Whether this wait may be part of a cycle: a conflicting holder's owner waits itself, or is the place's own owner
   * (behind a live entry of another mode every holder counts), or one of the lines is CROSSED. False is certain, as far as this node knows.
   */
  readonly tangled: boolean;
}

/** A waiter as views show it. */
export interface NodeWaiter {
  readonly id: string;
  readonly owner: string;
  readonly ticket: number;
  readonly order: number;
  readonly priority: number;
  readonly mode: Mode;
  readonly any: number;
  readonly resources: readonly string[];
}

/**
 * The line in a NodeView: `length` entries stand, less the dead ones among the first `line` of the question; these
 * are shown without the dead ones.
 */
export interface NodeLine {
  readonly length: number;
  readonly waiters: readonly NodeWaiter[];
}

/**
 * WAKE: whenever an operation lets a holder go (step 2 included), takes off the first entry of a line otherwise than by
 * an exclusive hold, and the first entry is then of a live waiter with whose mode no holder conflicts, the node
 * tells the replica of that waiter. It does not where a `released` of that very replica let go: who releases looks at
 * its own waiters itself. May be lost.
 */
export interface Wake {
  readonly resource: string;
  readonly id: string;
  /** The fence that a token has to pass; 0 for none. */
  readonly fence: bigint;
}

export type NewsType = 'queued' | 'held' | 'renewed' | 'undone' | 'released' | 'expired' | 'forced' | 'lost';

/** NEWS: told to everybody who listens, while somebody watches: every event of a record as it is written, and more. May be lost. */
export interface News {
  readonly type: NewsType;
  readonly timeMicros: number;
  readonly resource: string;
  readonly token: bigint;
  /** With `queued` the id of the waiter. */
  readonly leaseRef: string;
  readonly owner: string;
  readonly reason: string;
  /** What is left to a lease that was held or renewed just now; else 0. */
  readonly remainingMs: number;
}

/** Who hears what nodes tell; none of it may throw. */
export interface Ears {
  /** Only wakes for this replica. */
  readonly replica: string;
  wake(wake: Wake): void;
  news(news: News): void;
  /** FORCED: a FORCE ended this lease; told to everybody who listens, whether or not somebody watches. May be lost. */
  forced(leaseRef: string): void;
  /** What was told since the last word may have been missed. */
  missed(): void;
}
