/** Answers out: what the locks say, as protobuf messages. Kept lean, because every grant passes through here. */
import type { Lease, Mode } from '../domain/lease.ts';
import type { LostWhy } from '../domain/refusals.ts';
import type { Token } from '../domain/token.ts';
import type {
  Asker,
  Busy,
  EventType,
  HistoryPage,
  HolderView,
  Inspection,
  ListPage,
  LockEvent,
  LockState,
  LockSummary,
  Loss,
  NodeOpinion,
  Queued,
  Renewed,
  WaiterView,
} from '../locks/locks.ts';
import { bytesOfEvent, bytesOfHolder, bytesOfWaiter, fitting } from './fit.ts';
import type { Duration } from './gen/google/protobuf/Duration.ts';
import type { Timestamp } from './gen/google/protobuf/Timestamp.ts';
import type { AcquireResponse } from './gen/holdfast/v1/AcquireResponse.ts';
import type { Busy as BusyMessage } from './gen/holdfast/v1/Busy.ts';
import type { Event } from './gen/holdfast/v1/Event.ts';
import type { HeartbeatResponse } from './gen/holdfast/v1/HeartbeatResponse.ts';
import type { HistoryResponse } from './gen/holdfast/v1/HistoryResponse.ts';
import type { Holder } from './gen/holdfast/v1/Holder.ts';
import type { InspectResponse } from './gen/holdfast/v1/InspectResponse.ts';
import type { Lease as LeaseMessage } from './gen/holdfast/v1/Lease.ts';
import type { ListResponse } from './gen/holdfast/v1/ListResponse.ts';
import type { LockSummary as LockSummaryMessage } from './gen/holdfast/v1/LockSummary.ts';
import type { Lost } from './gen/holdfast/v1/Lost.ts';
import type { NodeView } from './gen/holdfast/v1/NodeView.ts';
import type { Queued as QueuedMessage } from './gen/holdfast/v1/Queued.ts';
import type { Waiter } from './gen/holdfast/v1/Waiter.ts';
import type { WatchResponse } from './gen/holdfast/v1/WatchResponse.ts';
import type { YieldRequest } from './gen/holdfast/v1/YieldRequest.ts';
import { pageTokenAfter } from './page-token.ts';

/** Mode by number: answers of the hot calls are written without a look at names (protos.ts). */
const MODES = { exclusive: 1, shared: 2 } as const satisfies Record<Mode, number>;

/** By number, as Mode. */
const LOST_REASONS = { expired: 1, released: 2, forced: 3, unknown: 4 } as const satisfies Record<
  LostWhy,
  number
>;

const STATES = {
  free: 'STATE_FREE',
  held: 'STATE_HELD',
  unknown: 'STATE_UNKNOWN',
} as const satisfies Record<LockState, string>;

const SOURCES = { live: 'SOURCE_LIVE', history: 'SOURCE_HISTORY', archive: 'SOURCE_ARCHIVE' } as const;

const VOTES = {
  held: 'VOTE_HELD',
  free: 'VOTE_FREE',
  silent: 'VOTE_SILENT',
  quarantined: 'VOTE_QUARANTINED',
} as const satisfies Record<NodeOpinion['vote'], string>;

const EVENTS = {
  queued: 'EVENT_TYPE_QUEUED',
  granted: 'EVENT_TYPE_GRANTED',
  renewed: 'EVENT_TYPE_RENEWED',
  released: 'EVENT_TYPE_RELEASED',
  expired: 'EVENT_TYPE_EXPIRED',
  lost: 'EVENT_TYPE_LOST',
  forced: 'EVENT_TYPE_FORCED',
} as const satisfies Record<EventType, string>;

/** Seconds as a number: exact far beyond any date, and the encoder need not parse a text. */
export function duration(ms: number): Duration {
  const seconds = Math.trunc(ms / 1000);
  const nanos = Math.round((ms - seconds * 1000) * 1e6);
  // A fraction may round up to a whole second.
  return Math.abs(nanos) < 1e9 ? { seconds, nanos } : { seconds: seconds + Math.sign(nanos), nanos: 0 };
}

/** Nanos count forward from the second also before 1970. */
export function timestamp(ms: number): Timestamp {
  const seconds = Math.floor(ms / 1000);
  const nanos = Math.round((ms - seconds * 1000) * 1e6);
  return nanos < 1e9 ? { seconds, nanos } : { seconds: seconds + 1, nanos: 0 };
}

/** As a number where that is exact: the encoder need not parse a text. */
function uint64(token: Token): number | string {
  const number = Number(token);
  return number <= Number.MAX_SAFE_INTEGER ? number : token.toString();
}

export function encodeLease(lease: Lease): LeaseMessage {
  return {
    lease_id: lease.leaseId,
    lease_ref: lease.leaseRef,
    // The encoder only reads: a copy would be made for nothing.
    resources: lease.resources as string[],
    fencing_token: uint64(lease.token),
    owner: lease.owner,
    mode: MODES[lease.mode],
    ttl: duration(lease.ttlMs),
    acquire_time: timestamp(lease.acquireTimeMs),
    expire_time: timestamp(lease.expireTimeMs),
    labels: lease.labels,
    replayed: lease.replayed,
  };
}

export function encodeHolder(holder: HolderView): Holder {
  return {
    resource: holder.resource,
    owner: holder.owner,
    lease_ref: holder.leaseRef,
    fencing_token: uint64(holder.token),
    mode: MODES[holder.mode],
    acquire_time: timestamp(holder.acquireTimeMs),
    expire_time: timestamp(holder.expireTimeMs),
    labels: holder.labels,
    progress: holder.progress,
    traceparent: holder.traceparent,
  };
}

export function encodeAcquired(answer: Lease | Busy): AcquireResponse {
  return answer.kind === 'lease' ? { lease: encodeLease(answer) } : { busy: encodeBusy(answer) };
}

export function encodeBusy(busy: Busy): BusyMessage {
  return {
    holders: fitting(busy.holders, bytesOfHolder).map(encodeHolder),
    queue_length: busy.queueLength,
    position: busy.position,
    wait_elapsed: busy.waitElapsed,
    retry_after: duration(Math.max(0, busy.retryAfterMs)),
  };
}

export function encodeQueued({ position, queueLength, holders }: Queued): QueuedMessage {
  return {
    position,
    queue_length: queueLength,
    holders: fitting(holders, bytesOfHolder).map(encodeHolder),
  };
}

export function encodeRenewed({ lease, asker }: Renewed): HeartbeatResponse {
  const message = encodeLease(lease);
  return asker === undefined ? { lease: message } : { lease: message, yield_request: encodeYield(asker) };
}

export function encodeLost({ reason, leaseRef, token, detail }: Loss): Lost {
  return { reason: LOST_REASONS[reason], lease_ref: leaseRef, fencing_token: uint64(token), detail };
}

export function encodeYield({ owner, priority, waitedMs }: Asker): YieldRequest {
  return { owner, priority, waited: duration(Math.max(0, waitedMs)) };
}

function encodeNode(node: NodeOpinion): NodeView {
  return {
    node: node.node,
    vote: VOTES[node.vote],
    fence: node.fence.toString(),
    fence_closed: node.fenceClosed,
    lease_ref: node.leaseRef,
    // Without a holder nothing remains; an absent field says so, a zero would not.
    remaining: node.leaseRef === '' ? null : duration(node.remainingMs),
    detail: node.detail,
  };
}

function encodeWaiter(waiter: WaiterView): Waiter {
  return {
    owner: waiter.owner,
    position: waiter.position,
    priority: waiter.priority,
    since: timestamp(waiter.sinceMs),
    mode: MODES[waiter.mode],
  };
}

export function encodeEvent(event: LockEvent): Event {
  return {
    type: EVENTS[event.type],
    time: timestamp(event.timeMs),
    resource: event.resource,
    owner: event.owner,
    lease_ref: event.leaseRef,
    fencing_token: event.token.toString(),
    reason: event.reason,
    ...(event.source === undefined ? {} : { source: SOURCES[event.source] }),
  };
}

export function encodeInspection(inspection: Inspection): InspectResponse {
  return {
    resource: inspection.resource,
    state: STATES[inspection.state],
    holders: fitting(inspection.holders, bytesOfHolder).map(encodeHolder),
    waiters: fitting(inspection.waiters, bytesOfWaiter).map(encodeWaiter),
    last_token: inspection.lastToken.toString(),
    source: SOURCES[inspection.source],
    nodes: inspection.nodes.map(encodeNode),
    history: fitting(inspection.history, bytesOfEvent).map(encodeEvent),
  };
}

/** A page is as long as fits into one message: whoever made it has seen to that, for its token goes on from its end. */
export function encodePast({ events, gaps, next }: HistoryPage): HistoryResponse {
  return {
    events: events.map(encodeEvent),
    gaps: gaps.map((gap) => ({
      from: timestamp(gap.fromMs),
      until: timestamp(gap.untilMs),
      events: gap.events,
      reason: gap.reason,
    })),
    next_page_token: next,
  };
}

export function encodeNews(events: readonly LockEvent[], missed: number): WatchResponse {
  return { events: events.map(encodeEvent), missed };
}

function encodeSummary(summary: LockSummary): LockSummaryMessage {
  return {
    resource: summary.resource,
    state: STATES[summary.state],
    holders: summary.holders.map(encodeHolder),
    queue_length: summary.queueLength,
    last_token: summary.lastToken.toString(),
  };
}

const bytesOfSummary = (summary: LockSummary): number =>
  summary.holders.reduce((sum, holder) => sum + bytesOfHolder(holder), summary.resource.length + 64);

/** A page that would not fit into one message ends early; its token goes on from where it ended. */
export function encodePage(page: ListPage, prefix: string, owner: string): ListResponse {
  const locks = fitting(page.locks, bytesOfSummary);
  const next = locks.length < page.locks.length ? locks.at(-1)!.resource : page.next;
  return { locks: locks.map(encodeSummary), next_page_token: pageTokenAfter(next, prefix, owner) };
}
