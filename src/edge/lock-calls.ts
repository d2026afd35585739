/** The calls that take, keep and return locks: Acquire, Heartbeat, Release and CheckToken. */
import { type Lease, leaseNameOf } from '../domain/lease.ts';
import type { Probe } from '../domain/probe.ts';
import type { Refusal } from '../domain/refusals.ts';
import type { Locks } from '../locks/locks.ts';
import type { Visit, Visits } from './access/visit.ts';
import { GONE, unary, type Wrapping } from './calls.ts';
import { decodeAcquire, decodeCheckToken, decodeHeartbeat, decodeRelease } from './decode.ts';
import { encodeAcquired, encodeRenewed } from './encode.ts';
import type { LockServiceHandlers } from './gen/holdfast/v1/LockService.ts';
import { draining, isRefusal } from './status.ts';

export interface CallContext extends Wrapping {
  readonly visits: Visits;
  readonly probe: Probe;
  draining(): boolean;
}

type LockCalls = Pick<LockServiceHandlers, 'Acquire' | 'Heartbeat' | 'Release' | 'CheckToken'>;

export function lockCalls(context: CallContext): LockCalls {
  return {
    Acquire: unary(context, async (request, caller) => {
      if (context.draining()) return refused(context, 'acquire', draining);
      const { visit } = caller;
      const { locks, settings } = visit;
      const ask = decodeAcquire(request, settings);
      if (isRefusal(ask)) return turnedAway(context, visit, 'acquire', ask);
      const answer = await locks.acquire(caller.deadline.cut(ask), caller);
      if (caller.gone()) {
        if (answer.kind === 'lease') await giveBack(locks, answer);
        return GONE;
      }
      return isRefusal(answer) ? answer : encodeAcquired(answer);
    }),

    Heartbeat: unary(context, async (request, { visit }) => {
      const ask = decodeHeartbeat(request, visit.settings);
      if (isRefusal(ask)) return turnedAway(context, visit, 'heartbeat', ask);
      const answer = await visit.locks.heartbeat(ask);
      return isRefusal(answer) ? answer : encodeRenewed(answer);
    }),

    Release: unary(context, async (request, { visit }) => {
      const ask = decodeRelease(request);
      if (isRefusal(ask)) return turnedAway(context, visit, 'release', ask);
      const answer = await visit.locks.release(ask);
      return isRefusal(answer) ? answer : { released: answer.released };
    }),

    CheckToken: unary(context, async (request, { visit }) => {
      const ask = decodeCheckToken(request);
      if (isRefusal(ask)) return turnedAway(context, visit, 'check_token', ask);
      const answer = await visit.locks.checkToken(ask.resource, ask.token);
      if (isRefusal(answer)) return answer;
      return { current: answer.current, last_token: answer.lastToken.toString() };
    }),
  };
}

/** Announces a refusal that the locks never hear of, so that the counters miss nothing. */
export function refused(context: Pick<CallContext, 'probe'>, operation: string, refusal: Refusal): Refusal {
  context.probe.operation(operation, 'refused', 0, refusal.reason);
  return refusal;
}

/** What was asked cannot be: written down as well, for a name that is none may be a try at another's. */
export function turnedAway(
  context: Pick<CallContext, 'probe'>,
  visit: Visit,
  operation: string,
  refusal: Refusal,
): Refusal {
  visit.turnedAway(operation, refusal);
  return refused(context, operation, refusal);
}

/** Not a lease that a repeated request met: the first request was answered by it, and somebody may be using it. */
async function giveBack(locks: Locks, lease: Lease): Promise<void> {
  if (lease.replayed) return;
  await locks.giveBack(leaseNameOf(lease));
}
