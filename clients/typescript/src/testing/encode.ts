/** Answers out: what the fake's locks say, as messages of holdfast.v1, and refusals as gRPC statuses. */
import { Metadata } from '@grpc/grpc-js';
import protobuf from 'protobufjs/minimal.js';
import { duration } from '../durations.ts';
import type {
  Busy as BusyMessage,
  Error as ErrorMessage,
  Event as EventMessage,
  Holder as HolderMessage,
  InspectResponse,
  Lease as LeaseMessage,
  LockSummary,
  Lost as LostMessage,
  Queued as QueuedMessage,
  YieldRequest,
} from '../gen/messages.ts';
import { bigintToWide } from '../wire/wide.ts';
import type { Busy, Holder, Inspection, Lease, LockEvent, Loss, Queued, YieldAsker } from './model.ts';
import type { Refusal } from './refusals.ts';

const MODES = { exclusive: 1, shared: 2 } as const;
const LOST = { expired: 1, released: 2, forced: 3, unknown: 4 } as const;
const EVENTS = { queued: 1, granted: 2, renewed: 3, released: 4, expired: 5, lost: 6, forced: 7 } as const;
const [FREE, HELD] = [1, 2] as const;
const [LIVE, HISTORY] = [1, 2] as const;
const [VOTE_HELD, VOTE_FREE] = [1, 2] as const;

export function encodeLease(lease: Lease, replayed = false): LeaseMessage {
  return {
    lease_id: lease.leaseId,
    lease_ref: lease.leaseRef,
    resources: lease.resources,
    fencing_token: bigintToWide(lease.token),
    owner: lease.owner,
    mode: MODES[lease.mode],
    ttl: duration(lease.ttlMs),
    acquire_time: duration(lease.acquireTimeMs),
    expire_time: duration(lease.expireTimeMs),
    labels: lease.labels,
    replayed,
  };
}

export function encodeHolder(holder: Holder): HolderMessage {
  return {
    resource: holder.resource,
    owner: holder.owner,
    lease_ref: holder.leaseRef,
    fencing_token: bigintToWide(holder.token),
    mode: MODES[holder.mode],
    acquire_time: duration(holder.acquireTimeMs),
    expire_time: duration(holder.expireTimeMs),
    labels: holder.labels,
    progress: holder.progress,
  };
}

export function encodeQueued({ position, queueLength, holders }: Queued): QueuedMessage {
  return { position, queue_length: queueLength, holders: holders.map(encodeHolder) };
}

export function encodeBusy(busy: Busy): BusyMessage {
  const { waitElapsed, retryAfterMs } = busy;
  return { ...encodeQueued(busy), wait_elapsed: waitElapsed, retry_after: duration(retryAfterMs) };
}

export function encodeLost({ reason, leaseRef, token, detail }: Loss): LostMessage {
  return { reason: LOST[reason], lease_ref: leaseRef, fencing_token: bigintToWide(token), detail };
}

export function encodeYield({ owner, priority, waitedMs }: YieldAsker): YieldRequest {
  return { owner, priority, waited: duration(waitedMs) };
}

function encodeEvent(event: LockEvent): EventMessage {
  return {
    type: EVENTS[event.type],
    time: duration(event.timeMs),
    resource: event.resource,
    owner: event.owner,
    lease_ref: event.leaseRef,
    fencing_token: bigintToWide(event.token),
    reason: event.reason,
  };
}

/** The fake as the one node that there is. */
export const NODE = 'fake';

export function encodeInspection(seen: Inspection, nowMs: number): InspectResponse {
  const holder = seen.holders[0];
  const live = holder !== undefined || seen.waiters.length > 0;
  const fence = bigintToWide(seen.lastToken);
  const node = { node: NODE, vote: VOTE_FREE, fence, fence_closed: seen.lastToken > 0n };
  const remaining = duration(Math.max(0, (holder?.expireTimeMs ?? 0) - nowMs));
  return {
    resource: seen.resource,
    state: holder === undefined ? FREE : HELD,
    holders: seen.holders.map(encodeHolder),
    waiters: seen.waiters.map(({ sinceMs, mode, ...rest }) => {
      return { ...rest, since: duration(sinceMs), mode: MODES[mode] };
    }),
    last_token: fence,
    source: live ? LIVE : HISTORY,
    nodes: [
      holder === undefined
        ? node
        : { ...node, vote: VOTE_HELD, fence_closed: false, lease_ref: holder.leaseRef, remaining },
    ],
    history: seen.history.map(encodeEvent),
  };
}

export function encodeSummary(seen: Inspection): LockSummary {
  return {
    resource: seen.resource,
    state: seen.holders.length === 0 ? FREE : HELD,
    holders: seen.holders.map(encodeHolder),
    queue_length: seen.waiters.length,
    last_token: bigintToWide(seen.lastToken),
  };
}

/** The refusal of one operation of a Session. */
export function encodeError({
  code,
  reason,
  message,
  metadata,
  violations,
  retryAfterMs,
}: Refusal): ErrorMessage {
  const error = { code, reason, message, metadata, field_violations: violations };
  return retryAfterMs === undefined ? error : { ...error, retry_after: duration(retryAfterMs) };
}

export interface Status {
  readonly code: number;
  readonly details: string;
  readonly metadata: Metadata;
}

/** Fields of google.rpc messages, by number: a varint, or something with a length. */
const varint = (field: number): number => field << 3;
const sized = (field: number): number => (field << 3) | 2;

function detail(out: protobuf.Writer, type: string, write: (message: protobuf.Writer) => void): void {
  const message = protobuf.Writer.create();
  write(message);
  out.uint32(sized(3)).fork();
  out.uint32(sized(1)).string(`type.googleapis.com/google.rpc.${type}`);
  out.uint32(sized(2)).bytes(message.finish());
  out.ldelim();
}

function pair(out: protobuf.Writer, field: number, one: string, other: string): void {
  out.uint32(sized(field)).fork();
  out.uint32(sized(1)).string(one).uint32(sized(2)).string(other);
  out.ldelim();
}

/** A call's refusal: the status, with google.rpc.Status in the trailer `grpc-status-details-bin`. */
export function statusOf(refusal: Refusal): Status {
  const { code, reason, violations, retryAfterMs } = refusal;
  const metadata = new Metadata();
  if (reason === '') return { code, details: refusal.message, metadata };
  const details = `${reason}: ${refusal.message}`;
  const out = protobuf.Writer.create();
  out.uint32(varint(1)).int32(code).uint32(sized(2)).string(details);
  detail(out, 'ErrorInfo', (info) => {
    info.uint32(sized(1)).string(reason).uint32(sized(2)).string('holdfast');
    for (const [key, value] of Object.entries(refusal.metadata)) pair(info, 3, key, value);
  });
  if (violations.length > 0) {
    detail(out, 'BadRequest', (bad) => {
      for (const { field, description } of violations) pair(bad, 1, field, description);
    });
  }
  if (retryAfterMs !== undefined) {
    const { seconds, nanos } = duration(retryAfterMs);
    detail(out, 'RetryInfo', (retry) => {
      retry.uint32(sized(1)).fork();
      retry
        .uint32(varint(1))
        .int64(Number(seconds))
        .uint32(varint(2))
        .int32(nanos ?? 0);
      retry.ldelim();
    });
  }
  metadata.set('grpc-status-details-bin', Buffer.from(out.finish()));
  return { code, details, metadata };
}
