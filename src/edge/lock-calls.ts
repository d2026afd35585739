/** The calls that take, keep and return locks: Acquire, Heartbeat, Release and CheckToken. */
import type { Lease } from '../domain/lease.ts';
import { parseLeaseId } from '../domain/lease.ts';
import type { Probe } from '../domain/probe.ts';
import type { Refusal } from '../domain/refusals.ts';
import type { AcquireAsk, Locks } from '../locks/locks.ts';
import { GONE, refusedStream, type UnaryCaller, unary, type Wrapping } from './calls.ts';
import { decodeAcquire, decodeCheckToken, decodeHeartbeat, decodeRelease } from './decode.ts';
import { encodeAcquired, encodeLease } from './encode.ts';
import type { TtlSettings } from './fields.ts';
import type { LockServiceHandlers } from './gen/holdfast/v1/LockService.ts';
import { draining, isRefusal } from './status.ts';

export interface CallContext extends Wrapping {
  readonly locks: Locks;
  readonly settings: TtlSettings;
  readonly probe: Probe;
  draining(): boolean;
}

/** A wait ends so long before the caller's deadline that its answer still arrives. */
const ANSWER_MS = 100;

type LockCalls = Pick<
  LockServiceHandlers,
  'Acquire' | 'Heartbeat' | 'Release' | 'CheckToken' | 'Hold' | 'Session'
>;

export function lockCalls(context: CallContext): LockCalls {
  const { locks, settings } = context;
  return {
    Acquire: unary(context, async (request, caller) => {
      if (context.draining()) return refused(context, 'acquire', draining);
      const ask = decodeAcquire(request, settings);
      if (isRefusal(ask)) return refused(context, 'acquire', ask);
      const answer = await locks.acquire(withinDeadline(ask, caller), caller);
      if (caller.gone()) {
        if (answer.kind === 'lease') await giveBack(context, answer);
        return GONE;
      }
      return isRefusal(answer) ? answer : encodeAcquired(answer);
    }),

    Heartbeat: unary(context, async (request) => {
      const ask = decodeHeartbeat(request, settings);
      if (isRefusal(ask)) return refused(context, 'heartbeat', ask);
      const answer = await locks.heartbeat(ask);
      return isRefusal(answer) ? answer : { lease: encodeLease(answer) };
    }),

    Release: unary(context, async (request) => {
      const ask = decodeRelease(request);
      if (isRefusal(ask)) return refused(context, 'release', ask);
      const answer = await locks.release(ask);
      return isRefusal(answer) ? answer : { released: answer.released };
    }),

    CheckToken: unary(context, async (request) => {
      const ask = decodeCheckToken(request);
      if (isRefusal(ask)) return refused(context, 'check_token', ask);
      const answer = await locks.checkToken(ask.resource, ask.token);
      if (isRefusal(answer)) return answer;
      return { current: answer.current, last_token: answer.lastToken.toString() };
    }),

    Hold: refusedStream('Hold'),
    Session: refusedStream('Session'),
  };
}

/** Announces a refusal that the locks never hear of, so that the counters miss nothing. */
export function refused(context: Pick<CallContext, 'probe'>, operation: string, refusal: Refusal): Refusal {
  context.probe.operation(operation, 'refused', 0, refusal.reason);
  return refusal;
}

/** A wait that was asked for stays at least a millisecond: none at all would mean something else. */
function withinDeadline(ask: AcquireAsk, caller: UnaryCaller): AcquireAsk {
  if (ask.waitMs === 0 || caller.deadlineMs === Infinity) return ask;
  const mostMs = Math.max(1, caller.leftMs() - ANSWER_MS);
  return ask.waitMs <= mostMs ? ask : { ...ask, waitMs: mostMs };
}

/** Not a lease that a repeated request met: the first request was answered by it, and somebody may be using it. */
async function giveBack(context: CallContext, lease: Lease): Promise<void> {
  if (lease.replayed) return;
  const name = parseLeaseId(lease.leaseId);
  if (name === undefined) throw new Error('the locks granted a lease whose id does not parse');
  await context.locks.giveBack(name);
}
