/** Requests in: every message of v1 becomes the checked ask of the locks, or one refusal that names all bad fields. */
import { type LeaseName, type Mode, withTtl } from '../domain/lease.ts';
import { limits } from '../domain/limits.ts';
import type { Refusal } from '../domain/refusals.ts';
import type {
  AcquireAsk,
  ForceAsk,
  HeartbeatAsk,
  HistoryAsk,
  ListAsk,
  ReleaseAsk,
  WatchAsk,
} from '../locks/locks.ts';
import { Fields, type TtlSettings, within } from './fields.ts';
import type { AcquireRequest__Output } from './gen/holdfast/v1/AcquireRequest.ts';
import type { CheckTokenRequest__Output } from './gen/holdfast/v1/CheckTokenRequest.ts';
import type { ForceReleaseRequest__Output } from './gen/holdfast/v1/ForceReleaseRequest.ts';
import type { HeartbeatRequest__Output } from './gen/holdfast/v1/HeartbeatRequest.ts';
import type { HistoryRequest__Output } from './gen/holdfast/v1/HistoryRequest.ts';
import type { HoldRequest__Output } from './gen/holdfast/v1/HoldRequest.ts';
import type { InspectRequest__Output } from './gen/holdfast/v1/InspectRequest.ts';
import type { ListRequest__Output } from './gen/holdfast/v1/ListRequest.ts';
import type { ReleaseRequest__Output } from './gen/holdfast/v1/ReleaseRequest.ts';
import type { ResumeOp__Output } from './gen/holdfast/v1/ResumeOp.ts';
import type { WatchRequest__Output } from './gen/holdfast/v1/WatchRequest.ts';
import { readPageToken } from './page-token.ts';
import { isRefusal } from './status.ts';

export interface InspectAsk {
  readonly resource: string;
  readonly historyLimit: number;
}

export interface CheckTokenAsk {
  readonly resource: string;
  readonly token: bigint;
}

/** By name from proto-loader, by number where it had no part in the reading (UnreadRequest). */
const MODES: Readonly<Record<string | number, Mode>> = {
  MODE_UNSPECIFIED: 'exclusive',
  MODE_EXCLUSIVE: 'exclusive',
  MODE_SHARED: 'shared',
  0: 'exclusive',
  1: 'exclusive',
  2: 'shared',
};

/** What a Hold asks for: a new lease, or one to take over; exactly one of both. */
export interface HoldAsk {
  readonly acquire: AcquireAsk | undefined;
  readonly resume: LeaseName | undefined;
  readonly graceMs: number;
}

export function decodeAcquire(request: AcquireRequest__Output, settings: TtlSettings): AcquireAsk | Refusal {
  const fields = new Fields();
  const resources = fields.resources('resources', request.resources);
  const owner = fields.text('owner', request.owner, 1, limits.ownerLength);
  const ttlMs = fields.ttl('ttl', request.ttl, settings) ?? settings.defaultTtlMs;
  const waitMs = fields.wait('wait', request.wait);
  const mode = MODES[request.mode];
  if (mode === undefined) fields.fault('mode', `must be a known Mode, not ${request.mode}`);
  if (request.any > resources.length) {
    fields.fault('any', `must be at most the number of resources, ${resources.length}, not ${request.any}`);
  }
  const priority = fields.count('priority', request.priority, limits.priorityMax);
  const requestId = fields.text('request_id', request.request_id, 0, limits.requestIdLength);
  const labels = fields.labels('labels', request.labels);
  return (
    fields.refusal ?? {
      resources,
      owner,
      ttlMs,
      waitMs,
      mode: mode ?? 'exclusive',
      // Any three of three are all three: one question, so that a request id knows both spellings for the same.
      any: request.any === resources.length ? 0 : request.any,
      priority,
      requestId,
      labels,
    }
  );
}

export function decodeHeartbeat(
  request: HeartbeatRequest__Output,
  settings: TtlSettings,
): HeartbeatAsk | Refusal {
  const fields = new Fields();
  const lease = fields.leaseId('lease_id', request.lease_id);
  const ttlMs = fields.ttl('ttl', request.ttl, settings);
  const progress = fields.text('progress', request.progress, 0, limits.progressLength);
  // The id is in its holder's hands and its checksum is no secret: nodes would cut such a ttl, and our answer lie.
  if (ttlMs === undefined && lease !== undefined && lease.ttlMs > settings.maxTtlMs) {
    fields.fault('lease_id', `names a ttl above ${settings.maxTtlMs} ms; give ttl`);
  }
  if (fields.refusal !== undefined) return fields.refusal;
  const ask = { lease: lease as LeaseName, progress };
  return ttlMs === undefined ? ask : { ...ask, ttlMs };
}

/** `known`: the lease, where the caller is known to have it by this very id. */
export function decodeRelease(request: ReleaseRequest__Output, known?: LeaseName): ReleaseAsk | Refusal {
  const fields = new Fields();
  const lease = known ?? fields.leaseId('lease_id', request.lease_id);
  const reason = fields.text('reason', request.reason, 0, limits.reasonLength);
  return fields.refusal ?? { lease: lease as LeaseName, reason };
}

export function decodeHold(request: HoldRequest__Output, settings: TtlSettings): HoldAsk | Refusal {
  const fields = new Fields();
  const { acquire: wanted, resume_lease_id: leaseId } = request;
  let acquire: AcquireAsk | undefined;
  let resume: LeaseName | undefined;
  if (wanted !== null && leaseId !== '') {
    fields.fault('acquire', 'must be absent where resume_lease_id is set');
  } else if (wanted === null) {
    if (leaseId === '') fields.fault('acquire', 'or resume_lease_id must be set');
    else resume = resumed(fields, 'resume_lease_id', leaseId, settings);
  } else {
    const ask = decodeAcquire(wanted, settings);
    if (isRefusal(ask)) fields.faults(within('acquire', ask));
    // Whoever says nothing of a wait has the stream, which ends when it no longer wants to wait.
    else acquire = wanted.wait === null ? { ...ask, waitMs: Infinity } : ask;
  }
  const graceMs = fields.grace('grace', request.grace, settings.maxTtlMs);
  return fields.refusal ?? { acquire, resume, graceMs };
}

export function decodeResume(request: ResumeOp__Output, settings: TtlSettings): LeaseName | Refusal {
  const fields = new Fields();
  const lease = resumed(fields, 'lease_id', request.lease_id, settings);
  return fields.refusal ?? (lease as LeaseName);
}

/** The id is in its holder's hands: a ttl written into it would have nodes asked a hundred times a second, or never. */
function resumed(
  fields: Fields,
  field: string,
  leaseId: string,
  settings: TtlSettings,
): LeaseName | undefined {
  const lease = fields.leaseId(field, leaseId);
  if (lease === undefined) return undefined;
  const ttlMs = Math.min(Math.max(lease.ttlMs, settings.minTtlMs), settings.maxTtlMs);
  return ttlMs === lease.ttlMs ? lease : withTtl(lease, ttlMs);
}

export function decodeInspect(request: InspectRequest__Output): InspectAsk | Refusal {
  const fields = new Fields();
  const resource = fields.resource('resource', request.resource);
  const historyLimit = fields.count('history_limit', request.history_limit, limits.historyMax);
  return fields.refusal ?? { resource, historyLimit };
}

export function decodeList(request: ListRequest__Output): ListAsk | Refusal {
  const fields = new Fields();
  const prefix = fields.prefix('prefix', request.prefix);
  const owner = fields.text('owner', request.owner, 0, limits.ownerLength);
  const pageSize = fields.count('page_size', request.page_size, limits.pageSizeMax) || limits.pageSizeDefault;
  const after = readPageToken(request.page_token, prefix, owner);
  if (after === undefined) fields.fault('page_token', 'is not from this service for this prefix and owner');
  return fields.refusal ?? { prefix, owner, pageSize, after: after ?? '' };
}

/** `page_token` is the locks' own: what they cannot read, they refuse. */
export function decodeHistory(request: HistoryRequest__Output): HistoryAsk | Refusal {
  const fields = new Fields();
  const { resource, owner } = request;
  if ((resource === '') === (owner === '')) {
    fields.fault('resource', 'or owner must be set, and only one of them');
  } else if (resource !== '') fields.resource('resource', resource);
  else fields.text('owner', owner, 1, limits.ownerLength);
  const pageSize = fields.count('page_size', request.page_size, limits.pageSizeMax) || limits.pageSizeDefault;
  const after = fields.text('page_token', request.page_token, 0, limits.historyTokenLength);
  return fields.refusal ?? { resource, owner, prefixes: [], pageSize, after };
}

export function decodeWatch(request: WatchRequest__Output): WatchAsk | Refusal {
  const fields = new Fields();
  const { resources } = request;
  if (resources.length > 0) fields.resources('resources', resources);
  const prefix = fields.prefix('prefix', request.prefix);
  return fields.refusal ?? { resources, prefix };
}

export function decodeCheckToken(request: CheckTokenRequest__Output): CheckTokenAsk | Refusal {
  const fields = new Fields();
  const resource = fields.resource('resource', request.resource);
  const token = fields.token('fencing_token', request.fencing_token);
  return fields.refusal ?? { resource, token };
}

export function decodeForceRelease(request: ForceReleaseRequest__Output): ForceAsk | Refusal {
  const fields = new Fields();
  const resource = fields.resource('resource', request.resource);
  const leaseRef = fields.leaseRef('lease_ref', request.lease_ref);
  const reason = fields.text('reason', request.reason, 1, limits.reasonLength);
  return fields.refusal ?? { resource, leaseRef, reason };
}
