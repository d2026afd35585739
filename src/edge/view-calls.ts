/** The calls that only look: Inspect and List. */

import { unary } from './calls.ts';
import { decodeHistory, decodeInspect, decodeList } from './decode.ts';
import { encodeInspection, encodePage, encodePast } from './encode.ts';
import type { LockServiceHandlers } from './gen/holdfast/v1/LockService.ts';
import { type CallContext, turnedAway } from './lock-calls.ts';
import { isRefusal } from './status.ts';

export function viewCalls(context: CallContext): Pick<LockServiceHandlers, 'Inspect' | 'List' | 'History'> {
  return {
    Inspect: unary(context, async (request, { visit }) => {
      const ask = decodeInspect(request);
      if (isRefusal(ask)) return turnedAway(context, visit, 'inspect', ask);
      const answer = await visit.locks.inspect(ask.resource, ask.historyLimit);
      return isRefusal(answer) ? answer : encodeInspection(answer);
    }),

    List: unary(context, async (request, { visit }) => {
      const ask = decodeList(request);
      if (isRefusal(ask)) return turnedAway(context, visit, 'list', ask);
      const answer = await visit.locks.list(ask);
      return isRefusal(answer) ? answer : encodePage(answer, ask.prefix, ask.owner);
    }),

    History: unary(context, async (request, { visit }) => {
      const ask = decodeHistory(request);
      if (isRefusal(ask)) return turnedAway(context, visit, 'history', ask);
      const answer = await visit.locks.history(ask);
      return isRefusal(answer) ? answer : encodePast(answer);
    }),
  };
}
