/** What a lock means to its callers: the questions that the edge may ask, and the answers, free of gRPC and Redis. */
import type { Lease, LeaseName, Mode } from '../domain/lease.ts';
import type { LostWhy, Refusal } from '../domain/refusals.ts';
import type { Token } from '../domain/token.ts';

/** Who asks, and whether anybody still listens for the answer. */
export interface Caller {
  /** The authenticated identity; empty while there is no authentication. */
  readonly principal: string;
  /** Stands for it in the secrets of its leases (lease.ts); absent as the principal is empty. */
  readonly seal?: string;
  /** True once the call was cancelled or its deadline passed: a grant must then be given back. */
  gone(): boolean;
  /** Calls `act` once when the caller goes; the result takes that back. Only those who wait ask for it. */
  whenGone(act: () => void): () => void;
  /** Present if the caller wants to hear where it stands while it waits. Must not throw. */
  queued?(queued: Queued): void;
}

/** Where a caller stands that waits; told anew when it changes. */
export interface Queued {
  /** From 1; of several resources, the worst. */
  readonly position: number;
  readonly queueLength: number;
  readonly holders: readonly HolderView[];
}

/** A checked Acquire; durations in milliseconds. */
export interface AcquireAsk {
  readonly resources: readonly string[];
  readonly owner: string;
  readonly ttlMs: number;
  /** 0: do not wait. Infinity: until the caller is gone. */
  readonly waitMs: number;
  readonly mode: Mode;
  readonly any: number;
  readonly priority: number;
  /** Empty: no idempotence asked. */
  readonly requestId: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface HeartbeatAsk {
  readonly lease: LeaseName;
  /** Absent: the lease's own ttl. */
  readonly ttlMs?: number;
  /** Empty: keep what was reported before. */
  readonly progress: string;
}

export interface ReleaseAsk {
  readonly lease: LeaseName;
  readonly reason: string;
}

/** One holder as others may see it; times in wall-clock milliseconds since the Unix epoch. */
export interface HolderView {
  readonly resource: string;
  readonly owner: string;
  readonly leaseRef: string;
  readonly token: Token;
  readonly mode: Mode;
  readonly acquireTimeMs: number;
  readonly expireTimeMs: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly progress: string;
  /** W3C; empty unless the Acquire was sampled. */
  readonly traceparent: string;
  /** The identity that holds it, where it is authenticated. For this service alone: it is told to nobody. */
  readonly principal?: string;
}

/** Somebody of higher priority has waited for a while for what a lease holds. */
export interface Asker {
  readonly owner: string;
  readonly priority: number;
  readonly waitedMs: number;
}

/** The lease with its new times, and who would like to have it. */
export interface Renewed {
  readonly kind: 'renewed';
  readonly lease: Lease;
  readonly asker: Asker | undefined;
}

/** How a stream ended that kept leases: what then becomes of them. */
export type StreamEnd =
  /** By the client: they are released, now or after the grace. */
  | 'closed'
  /** Nobody knows whether the client lives: the promise stands until it expires, and nobody renews it. */
  | 'silent'
  /** By this replica, which shuts down: they stay, to be resumed elsewhere. */
  | 'drained';

/** A lease that a stream has lost; final. */
export interface Loss {
  readonly reason: LostWhy;
  readonly leaseRef: string;
  readonly token: Token;
  /** For people. */
  readonly detail: string;
  /** The lease lives on: another stream has it, or a repeat of its request. */
  readonly takenOver?: true;
}

/** What a stream hears of a lease that it keeps; none may throw or wait. Nothing is told after `lost` or `end`. */
export interface KeptNews {
  renewed(lease: Lease): void;
  lost(loss: Loss): void;
  /** Once for each who asks. */
  yieldRequested(asker: Asker): void;
}

/**
 * A lease as a stream is given it, and what the stream keeps of it. On one stream the `expireTimeMs` of the grant and
 * of its renewals are counted on one monotonic clock, so that their differences are true whatever the wall clock does.
 */
export interface Granted {
  readonly kind: 'granted';
  readonly lease: Lease;
  readonly kept: Kept;
}

/** A lease that a stream keeps: renewed until `end`. */
export interface Kept {
  readonly name: LeaseName;
  /** Once; `graceMs` matters to `closed` only. A lease that another stream has resumed is left alone. */
  end(how: StreamEnd, graceMs: number): void;
}

export interface Busy {
  readonly kind: 'busy';
  readonly holders: readonly HolderView[];
  readonly queueLength: number;
  readonly position: number;
  readonly waitElapsed: boolean;
  /** When trying again may make sense: the holders' remaining time. */
  readonly retryAfterMs: number;
}

export type LockState = 'free' | 'held' | 'unknown';

export interface NodeOpinion {
  readonly node: string;
  readonly vote: 'held' | 'free' | 'silent' | 'quarantined';
  readonly fence: Token;
  readonly fenceClosed: boolean;
  readonly leaseRef: string;
  readonly remainingMs: number;
  readonly detail: string;
}

export type EventType = 'queued' | 'granted' | 'renewed' | 'released' | 'expired' | 'lost' | 'forced';

export interface LockEvent {
  readonly type: EventType;
  readonly timeMs: number;
  readonly resource: string;
  readonly owner: string;
  readonly leaseRef: string;
  readonly token: Token;
  readonly reason: string;
  /** Where it was found; absent in Watch. */
  readonly source?: 'history' | 'archive';
}

/** One who waits, by its place in line; `sinceMs` in wall-clock milliseconds since the Unix epoch. */
export interface WaiterView {
  readonly owner: string;
  readonly position: number;
  readonly priority: number;
  readonly sinceMs: number;
  readonly mode: Mode;
}

export interface Inspection {
  readonly kind: 'inspection';
  readonly resource: string;
  readonly state: LockState;
  readonly holders: readonly HolderView[];
  /** In the order in which they will be served. */
  readonly waiters: readonly WaiterView[];
  readonly lastToken: Token;
  readonly source: 'live' | 'history' | 'archive';
  readonly nodes: readonly NodeOpinion[];
  readonly history: readonly LockEvent[];
}

/** No node that answered knows the name; what each of them said. */
export interface Unknown extends Refusal {
  readonly nodes: readonly NodeOpinion[];
}

export interface LockSummary {
  readonly resource: string;
  readonly state: LockState;
  readonly holders: readonly HolderView[];
  readonly queueLength: number;
  readonly lastToken: Token;
}

export interface ListAsk {
  readonly prefix: string;
  readonly owner: string;
  readonly pageSize: number;
  /** The last name of the page before; empty for the first page. */
  readonly after: string;
}

export interface ListPage {
  readonly kind: 'page';
  readonly locks: readonly LockSummary[];
  /** Empty at the end. */
  readonly next: string;
}

export interface TokenCheck {
  readonly kind: 'check';
  readonly current: boolean;
  readonly lastToken: Token;
}

/** Exactly one of `resource` and `owner`. */
export interface HistoryAsk {
  readonly resource: string;
  readonly owner: string;
  /** Only names that begin so: those that the caller may see. */
  readonly prefixes: readonly string[];
  readonly pageSize: number;
  /** Where the page before has ended; empty for the first page. Opaque. */
  readonly after: string;
}

/** A stretch of time of which the archive is known to be incomplete. */
export interface HistoryGap {
  readonly fromMs: number;
  readonly untilMs: number;
  readonly events: number;
  readonly reason: 'dropped' | 'failed';
}

export interface HistoryPage {
  readonly kind: 'past';
  /** Newest first. */
  readonly events: readonly LockEvent[];
  readonly gaps: readonly HistoryGap[];
  /** Empty at the end. */
  readonly next: string;
}

export interface ForceAsk {
  readonly resource: string;
  /** Empty: whoever holds it. */
  readonly leaseRef: string;
  readonly reason: string;
}

export interface WatchAsk {
  /** These names, and all that begin with `prefix`; both empty: all. */
  readonly resources: readonly string[];
  readonly prefix: string;
}

/** Whoever watches: neither may throw or wait. */
export interface Watcher {
  event(event: LockEvent): void;
  /** So many events, at least, were not told. */
  missed(count: number): void;
}

export interface Locks {
  acquire(ask: AcquireAsk, caller: Caller): Promise<Lease | Busy | Refusal>;
  /** As `acquire`, and keeps what it grants, also when a repeated request meets its lease again. */
  hold(ask: AcquireAsk, caller: Caller, news: KeptNews): Promise<Granted | Busy | Refusal>;
  /** Takes a lease over from whatever stream kept it: same lease, same token; that stream's end no longer touches it. */
  resume(lease: LeaseName, news: KeptNews): Promise<Granted | Refusal>;
  heartbeat(ask: HeartbeatAsk): Promise<Renewed | Refusal>;
  release(ask: ReleaseAsk): Promise<{ readonly kind: 'released'; readonly released: boolean } | Refusal>;
  /**
   * Takes back a grant that its caller never heard of (G4): as if it had not been made, so that a repeat of the
   * request may lock; and not at all where a repeat has met the lease since. True: a node let go of it.
   */
  giveBack(lease: LeaseName): Promise<boolean>;
  inspect(resource: string, historyLimit: number): Promise<Inspection | Unknown | Refusal>;
  list(ask: ListAsk): Promise<ListPage | Refusal>;
  history(ask: HistoryAsk): Promise<HistoryPage | Refusal>;
  checkToken(resource: string, token: Token): Promise<TokenCheck | Refusal>;
  forceRelease(
    ask: ForceAsk,
  ): Promise<{ readonly kind: 'forced'; readonly freed: readonly HolderView[] } | Refusal>;
  /** Tells `watcher` what happens once this has resolved, until the result is called. Does not reject. */
  watch(ask: WatchAsk, watcher: Watcher): Promise<() => void>;
  /** Answers everybody who waits with DRAINING; places in line stay for their liveness, so that a repeat finds them. */
  drain(): void;
  /** Resolves when the nodes have answered all that streams have asked of them: whoever ends before would cut off releases. */
  settled(): Promise<void>;
  /** How many leases streams keep here. */
  readonly keptCount: number;
}
