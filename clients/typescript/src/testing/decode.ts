/** Requests in: each message becomes a checked ask, or the refusal that names all its bad fields. */

import { durationMs } from '../durations.ts';
import type {
  AcquireRequestRead,
  CheckTokenRequestRead,
  DurationRead,
  ForceReleaseRequestRead,
  HeartbeatRequestRead,
  HoldRequestRead,
  InspectRequestRead,
  ListRequestRead,
  ReleaseRequestRead,
} from '../gen/messages.ts';
import { wideToBigint } from '../wire/wide.ts';
import type { AcquireAsk } from './model.ts';
import { invalid, type Refusal } from './refusals.ts';
import { bounds, Rules, type TtlRange } from './rules.ts';

/** A value, or why there is none. */
export type Decoded<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly refusal: Refusal };

function judged<Value>(rules: Rules, value: Value): Decoded<Value> {
  return rules.violations.length === 0
    ? { ok: true, value }
    : { ok: false, refusal: invalid(rules.violations) };
}

/** A span in milliseconds, fractions included; undefined if it is absent. */
export function spanMs(span: DurationRead | null): number | undefined {
  return span === null ? undefined : durationMs(span);
}

function acquireAsk(rules: Rules, request: AcquireRequestRead, range: TtlRange, path = ''): AcquireAsk {
  const { resources, owner, mode, any, priority, request_id: requestId, labels } = request;
  rules.names(`${path}resources`, resources);
  rules.text(`${path}owner`, owner, 1, bounds.owner);
  const ttlMs = rules.ttl(`${path}ttl`, spanMs(request.ttl), range) ?? range.defaultTtlMs;
  const waitMs = rules.wait(`${path}wait`, spanMs(request.wait));
  if (mode > 2 || mode < 0) rules.fault(`${path}mode`, `must be a known Mode, not ${mode}`);
  if (any > resources.length) {
    const most = resources.length;
    rules.fault(`${path}any`, `must be at most the number of resources, ${most}, not ${any}`);
  }
  rules.most(`${path}priority`, priority, bounds.priority);
  rules.text(`${path}request_id`, requestId, 0, bounds.requestId);
  rules.labels(`${path}labels`, labels);
  return {
    resources: [...resources],
    owner,
    ttlMs,
    waitMs,
    mode: mode === 2 ? 'shared' : 'exclusive',
    any: any === resources.length ? 0 : any,
    priority,
    requestId,
    labels: { ...labels },
  };
}

export function decodeAcquire(request: AcquireRequestRead, range: TtlRange): Decoded<AcquireAsk> {
  const rules = new Rules();
  return judged(rules, acquireAsk(rules, request, range));
}

export interface HeartbeatAsk {
  readonly leaseId: string;
  readonly ttlMs: number | undefined;
  readonly progress: string;
}

export function decodeHeartbeat(request: HeartbeatRequestRead, range: TtlRange): Decoded<HeartbeatAsk> {
  const rules = new Rules();
  const { lease_id: leaseId, progress } = request;
  rules.leaseId('lease_id', leaseId);
  const ttlMs = rules.ttl('ttl', spanMs(request.ttl), range);
  rules.text('progress', progress, 0, bounds.progress);
  return judged(rules, { leaseId, ttlMs, progress });
}

export function decodeRelease(request: ReleaseRequestRead): Decoded<{ leaseId: string; reason: string }> {
  const rules = new Rules();
  const { lease_id: leaseId, reason } = request;
  rules.leaseId('lease_id', leaseId);
  rules.text('reason', reason, 0, bounds.reason);
  return judged(rules, { leaseId, reason });
}

export function decodeLeaseId(field: string, leaseId: string): Decoded<string> {
  const rules = new Rules();
  rules.leaseId(field, leaseId);
  return judged(rules, leaseId);
}

export function decodeGrace(field: string, span: DurationRead | null, range: TtlRange): Decoded<number> {
  const rules = new Rules();
  return judged(rules, rules.grace(field, spanMs(span), range));
}

export interface HoldAsk {
  readonly acquire: AcquireAsk | undefined;
  readonly resume: string;
  readonly graceMs: number;
}

export function decodeHold(request: HoldRequestRead, range: TtlRange): Decoded<HoldAsk> {
  const rules = new Rules();
  const { acquire: wanted, resume_lease_id: resume } = request;
  let acquire: AcquireAsk | undefined;
  if (wanted !== null && resume !== '') {
    rules.fault('acquire', 'must be absent where resume_lease_id is set');
  } else if (wanted !== null) {
    acquire = acquireAsk(rules, wanted, range, 'acquire.');
    // Whoever says nothing of a wait has the stream, which ends when it no longer wants to wait.
    if (wanted.wait === null) acquire = { ...acquire, waitMs: Infinity };
  } else if (resume === '') rules.fault('acquire', 'or resume_lease_id must be set');
  else rules.leaseId('resume_lease_id', resume);
  const graceMs = rules.grace('grace', spanMs(request.grace), range);
  return judged(rules, { acquire, resume, graceMs });
}

export function decodeCheckToken(
  request: CheckTokenRequestRead,
): Decoded<{ resource: string; token: bigint }> {
  const rules = new Rules();
  const token = wideToBigint(request.fencing_token);
  rules.name('resource', request.resource);
  if (token === 0n) rules.fault('fencing_token', 'must not be 0, which is never a token');
  return judged(rules, { resource: request.resource, token });
}

export function decodeInspect(
  request: InspectRequestRead,
): Decoded<{ resource: string; historyMost: number }> {
  const rules = new Rules();
  const { resource, history_limit: historyMost } = request;
  rules.name('resource', resource);
  rules.most('history_limit', historyMost, bounds.history);
  return judged(rules, { resource, historyMost });
}

export interface ListAsk {
  readonly prefix: string;
  readonly owner: string;
  readonly pageSize: number;
  readonly after: string;
}

/** The page token names the last resource of the page before, and the question that it belongs to. */
export function pageTokenAfter(last: string, { prefix, owner }: Pick<ListAsk, 'prefix' | 'owner'>): string {
  return Buffer.from(JSON.stringify([last, prefix, owner])).toString('base64url');
}

function lastOf(token: string, prefix: string, owner: string): string | undefined {
  if (token === '') return '';
  const text = Buffer.from(token, 'base64url').toString();
  const last = /^\["([^"]*)"/.exec(text)?.[1];
  return last !== undefined && pageTokenAfter(last, { prefix, owner }) === token ? last : undefined;
}

export function decodeList(request: ListRequestRead): Decoded<ListAsk> {
  const rules = new Rules();
  const { prefix, owner, page_size: size, page_token: token } = request;
  rules.prefix('prefix', prefix);
  rules.text('owner', owner, 0, bounds.owner);
  rules.most('page_size', size, bounds.page);
  const after = lastOf(token, prefix, owner);
  if (after === undefined) rules.fault('page_token', 'is not from this service for this prefix and owner');
  return judged(rules, { prefix, owner, pageSize: size === 0 ? 100 : size, after: after ?? '' });
}

export interface ForceAsk {
  readonly resource: string;
  readonly leaseRef: string;
  readonly reason: string;
}

export function decodeForceRelease(request: ForceReleaseRequestRead): Decoded<ForceAsk> {
  const rules = new Rules();
  const { resource, lease_ref: leaseRef, reason } = request;
  rules.name('resource', resource);
  rules.leaseRef('lease_ref', leaseRef);
  rules.text('reason', reason, 1, bounds.reason);
  return judged(rules, { resource, leaseRef, reason });
}
