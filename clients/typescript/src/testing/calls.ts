/** The fake's answers to calls that keep nothing: decoded, asked, and encoded, for a Session and for calls alike. */
import type {
  CheckTokenRequestRead,
  CheckTokenResponse,
  ForceReleaseRequestRead,
  ForceReleaseResponse,
  HeartbeatRequestRead,
  HeartbeatResponse,
  InspectRequestRead,
  InspectResponse,
  ListRequestRead,
  ListResponse,
  ReleaseRequestRead,
  ReleaseResponse,
  StatusResponse,
} from '../gen/messages.ts';
import { bigintToWide } from '../wire/wide.ts';
import {
  type Decoded,
  decodeCheckToken,
  decodeForceRelease,
  decodeHeartbeat,
  decodeInspect,
  decodeList,
  decodeRelease,
  pageTokenAfter,
} from './decode.ts';
import type { CallName, Desk } from './desk.ts';
import { encodeHolder, encodeInspection, encodeLease, encodeSummary, NODE } from './encode.ts';
import type { Keeper } from './model.ts';
import type { Refusal } from './refusals.ts';

export function isRefusal<Answer extends object>(answer: Answer | Refusal): answer is Refusal {
  return 'violations' in answer;
}

/** What was asked, if it can be answered; the refusal that a test has ordered comes before that of a bad field. */
function asked<Ask>(desk: Desk, name: CallName, decoded: Decoded<Ask>): Ask | Refusal {
  return desk.refusal(name) ?? (decoded.ok ? decoded.value : decoded.refusal);
}

export function heartbeat(desk: Desk, request: HeartbeatRequestRead): HeartbeatResponse | Refusal {
  const ask = asked(desk, 'heartbeat', decodeHeartbeat(request, desk.range));
  desk.log('heartbeat', { ...desk.locks.known(request.lease_id), progress: request.progress });
  if (isRefusal(ask)) return ask;
  const lease = desk.locks.heartbeat(ask.leaseId, ask.ttlMs, ask.progress);
  return isRefusal(lease) ? lease : { lease: encodeLease(lease) };
}

/** `by`: the stream that asks. */
export function release(desk: Desk, request: ReleaseRequestRead, by?: Keeper): ReleaseResponse | Refusal {
  const ask = asked(desk, 'release', decodeRelease(request));
  desk.log('release', { ...desk.locks.known(request.lease_id), reason: request.reason });
  return isRefusal(ask) ? ask : { released: desk.locks.release(ask.leaseId, ask.reason, by) };
}

export function checkToken(desk: Desk, request: CheckTokenRequestRead): CheckTokenResponse | Refusal {
  const ask = asked(desk, 'check_token', decodeCheckToken(request));
  desk.log('check_token', { resources: [request.resource] });
  if (isRefusal(ask)) return ask;
  const answer = desk.locks.records.checkToken(ask.resource, ask.token);
  if (isRefusal(answer)) return answer;
  return { current: answer.current, last_token: bigintToWide(answer.lastToken) };
}

export function inspect(desk: Desk, request: InspectRequestRead): InspectResponse | Refusal {
  const ask = asked(desk, 'inspect', decodeInspect(request));
  desk.log('inspect', { resources: [request.resource] });
  if (isRefusal(ask)) return ask;
  const seen = desk.locks.inspect(ask.resource, ask.historyMost);
  return isRefusal(seen) ? seen : encodeInspection(seen, desk.locks.wallMs());
}

export function list(desk: Desk, request: ListRequestRead): ListResponse | Refusal {
  const ask = asked(desk, 'list', decodeList(request));
  desk.log('list', { owner: request.owner });
  if (isRefusal(ask)) return ask;
  const { prefix, owner, pageSize, after } = ask;
  const found = desk.locks
    .live()
    .filter(({ resource }) => resource.startsWith(prefix) && resource > after)
    .filter(({ holders }) => owner === '' || holders.some((holder) => holder.owner === owner));
  const page = found.slice(0, pageSize);
  const more = found.length > page.length;
  return {
    locks: page.map(encodeSummary),
    next_page_token: more ? pageTokenAfter(page.at(-1)!.resource, ask) : '',
  };
}

export function forceRelease(desk: Desk, request: ForceReleaseRequestRead): ForceReleaseResponse | Refusal {
  const ask = asked(desk, 'force_release', decodeForceRelease(request));
  desk.log('force_release', { resources: [request.resource], reason: request.reason });
  if (isRefusal(ask)) return ask;
  const freed = desk.locks.lose(ask.resource, 'forced', ask.reason, ask.leaseRef);
  return isRefusal(freed) ? freed : { freed: freed.map(encodeHolder) };
}

const READY = 1;

export function status(desk: Desk): StatusResponse | Refusal {
  const refusal = desk.refusal('status');
  desk.log('status');
  return (
    refusal ?? {
      version: '0.0.0-fake',
      nodes: [{ node: NODE, state: READY }],
      embedded: true,
      draining: desk.drained,
      warnings: ['this is a fake for tests'],
    }
  );
}
