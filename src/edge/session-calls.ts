/** The Session call: refused, or handed to a session that lives as long as it. */
import type { handleBidiStreamingCall } from '@grpc/grpc-js';
import type { LockServiceHandlers } from './gen/holdfast/v1/LockService.ts';
import type { SessionRequest__Output } from './gen/holdfast/v1/SessionRequest.ts';
import type { SessionResponse } from './gen/holdfast/v1/SessionResponse.ts';
import { Session, type SessionCall } from './session.ts';
import { draining, internal, toStatus } from './status.ts';
import type { StreamContext } from './streams.ts';

export function sessionHandler(context: StreamContext): Pick<LockServiceHandlers, 'Session'> {
  const serve: handleBidiStreamingCall<SessionRequest__Output, SessionResponse> = (call) => {
    try {
      const visit = context.visits.of(call);
      const refusal = context.draining() ? draining : (visit.pace(call) ?? visit.enterStream('session'));
      // `emit` because destroying a call would send no status.
      if (refusal !== undefined) call.emit('error', toStatus(refusal));
      // The generated type does not know that our requests come unread (protos.ts).
      else new Session(context, call as unknown as SessionCall, visit).begin();
    } catch (cause) {
      context.onDefect(call.getPath(), cause);
      call.emit('error', toStatus(internal));
    }
  };
  return { Session: serve };
}
