/** What the service shows of locks, as callers see it: bigint tokens, dates, milliseconds, words for enums. */
import { dateOf, durationMs } from './durations.ts';
import type {
  EventRead,
  HolderRead,
  InspectResponseRead,
  LockSummaryRead,
  NodeStatusRead,
  NodeViewRead,
  QueuedRead,
  StatusResponseRead,
  WaiterRead,
  YieldRequestRead,
} from './gen/messages.ts';
import { wideToBigint } from './wire/wide.ts';

/** How a lease shares its resources. */
export type Mode = 'exclusive' | 'shared';

/** Who holds a resource. */
export interface Holder {
  readonly resource: string;
  readonly owner: string;
  /** Names the lease in views and for `forceRelease`; no secret. */
  readonly leaseRef: string;
  readonly token: bigint;
  readonly mode: Mode;
  readonly acquireTime: Date | undefined;
  /** When it ends unless renewed, by the service's clock. */
  readonly expireTime: Date | undefined;
  readonly labels: Readonly<Record<string, string>>;
  /** What the holder last said of its work; empty if nothing. */
  readonly progress: string;
}

/** Who waits for a resource. */
export interface Waiter {
  readonly owner: string;
  /** From 1: the next to be served. */
  readonly position: number;
  readonly priority: number;
  readonly since: Date | undefined;
  readonly mode: Mode;
}

/** The place in line of an acquire that waits. */
export interface Queued {
  /** From 1: the next to be served. Of several resources, the worst. */
  readonly position: number;
  readonly queueLength: number;
  readonly holders: readonly Holder[];
}

/** Somebody of higher priority asks for the lock; the holder may ignore it. */
export interface YieldRequest {
  readonly owner: string;
  readonly priority: number;
  readonly waitedMs: number;
}

/** What one node says about a resource. */
export interface NodeView {
  readonly node: string;
  readonly vote: 'held' | 'free' | 'silent' | 'quarantined' | 'unknown';
  /** The largest token it has seen, granted or not. */
  readonly fence: bigint;
  readonly fenceClosed: boolean;
  readonly leaseRef: string;
  /** Undefined without a holder. */
  readonly remainingMs: number | undefined;
  readonly detail: string;
}

/** Something that happened to a resource. */
export interface LockEvent {
  readonly type: 'queued' | 'granted' | 'renewed' | 'released' | 'expired' | 'lost' | 'forced' | 'unknown';
  readonly time: Date | undefined;
  readonly resource: string;
  readonly owner: string;
  readonly leaseRef: string;
  readonly token: bigint;
  readonly reason: string;
}

export type State = 'free' | 'held' | 'unknown';

/** One resource, by `inspect`. */
export interface Inspection {
  readonly resource: string;
  readonly state: State;
  readonly holders: readonly Holder[];
  readonly waiters: readonly Waiter[];
  /** The largest token known to have been granted; 0n if none. */
  readonly lastToken: bigint;
  /** `live` while somebody holds or waits. */
  readonly source: 'live' | 'history';
  readonly nodes: readonly NodeView[];
  /** Newest first. */
  readonly history: readonly LockEvent[];
}

/** One resource, by `list`. */
export interface LockSummary {
  readonly resource: string;
  readonly state: State;
  readonly holders: readonly Holder[];
  readonly queueLength: number;
  readonly lastToken: bigint;
}

/** Whether a token is in force. */
export interface TokenCheck {
  readonly current: boolean;
  /** The largest token known to have been granted; 0n if none. */
  readonly lastToken: bigint;
}

/** How one node of the service is. */
export interface NodeStatus {
  readonly node: string;
  readonly state: 'ready' | 'silent' | 'quarantined' | 'suspect' | 'refused' | 'unknown';
  readonly detail: string;
  readonly voteLatencyMs: number | undefined;
  readonly quarantineLeftMs: number | undefined;
  readonly clockOffsetMs: number | undefined;
  readonly floor: string;
}

/** How the service is, as the replica sees it that was asked. */
export interface Status {
  readonly version: string;
  readonly nodes: readonly NodeStatus[];
  /** How many more nodes may be lost before there is no majority. */
  readonly quorumMargin: number;
  readonly embedded: boolean;
  readonly draining: boolean;
  readonly warnings: readonly string[];
}

const STATES = ['unknown', 'free', 'held', 'unknown'] as const;
const VOTES = ['unknown', 'held', 'free', 'silent', 'quarantined'] as const;
const NODE_STATES = ['unknown', 'ready', 'silent', 'quarantined', 'suspect', 'refused'] as const;
const EVENTS = ['unknown', 'queued', 'granted', 'renewed', 'released', 'expired', 'lost', 'forced'] as const;

export const modeOf = (mode: number): Mode => (mode === 2 ? 'shared' : 'exclusive');
const spanOf = (read: Parameters<typeof durationMs>[0]): number | undefined =>
  read === null ? undefined : durationMs(read);

export function holderOf(read: HolderRead): Holder {
  return {
    resource: read.resource,
    owner: read.owner,
    leaseRef: read.lease_ref,
    token: wideToBigint(read.fencing_token),
    mode: modeOf(read.mode),
    acquireTime: dateOf(read.acquire_time),
    expireTime: dateOf(read.expire_time),
    labels: { ...read.labels },
    progress: read.progress,
  };
}

function waiterOf(read: WaiterRead): Waiter {
  const { owner, position, priority, since, mode } = read;
  return { owner, position, priority, since: dateOf(since), mode: modeOf(mode) };
}

export function queuedOf({ position, queue_length, holders }: QueuedRead): Queued {
  return { position, queueLength: queue_length, holders: holders.map(holderOf) };
}

export function yieldOf({ owner, priority, waited }: YieldRequestRead): YieldRequest {
  return { owner, priority, waitedMs: durationMs(waited) };
}

function nodeOf(read: NodeViewRead): NodeView {
  return {
    node: read.node,
    vote: VOTES[read.vote] ?? 'unknown',
    fence: wideToBigint(read.fence),
    fenceClosed: read.fence_closed,
    leaseRef: read.lease_ref,
    remainingMs: spanOf(read.remaining),
    detail: read.detail,
  };
}

function eventOf(read: EventRead): LockEvent {
  return {
    type: EVENTS[read.type] ?? 'unknown',
    time: dateOf(read.time),
    resource: read.resource,
    owner: read.owner,
    leaseRef: read.lease_ref,
    token: wideToBigint(read.fencing_token),
    reason: read.reason,
  };
}

export function inspectionOf(read: InspectResponseRead): Inspection {
  return {
    resource: read.resource,
    state: STATES[read.state] ?? 'unknown',
    holders: read.holders.map(holderOf),
    waiters: read.waiters.map(waiterOf),
    lastToken: wideToBigint(read.last_token),
    source: read.source === 1 ? 'live' : 'history',
    nodes: read.nodes.map(nodeOf),
    history: read.history.map(eventOf),
  };
}

export function summaryOf(read: LockSummaryRead): LockSummary {
  return {
    resource: read.resource,
    state: STATES[read.state] ?? 'unknown',
    holders: read.holders.map(holderOf),
    queueLength: read.queue_length,
    lastToken: wideToBigint(read.last_token),
  };
}

function nodeStatusOf(read: NodeStatusRead): NodeStatus {
  return {
    node: read.node,
    state: NODE_STATES[read.state] ?? 'unknown',
    detail: read.detail,
    voteLatencyMs: spanOf(read.vote_latency),
    quarantineLeftMs: spanOf(read.quarantine_left),
    clockOffsetMs: spanOf(read.clock_offset),
    floor: read.floor,
  };
}

export function statusOf(read: StatusResponseRead): Status {
  return {
    version: read.version,
    nodes: read.nodes.map(nodeStatusOf),
    quorumMargin: read.quorum_margin,
    embedded: read.embedded,
    draining: read.draining,
    warnings: [...read.warnings],
  };
}
