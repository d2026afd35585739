/** Calls that keep nothing: each goes to the address that is connected, and to the next one while none answers. */
import { Metadata, type ServiceError } from '@grpc/grpc-js';
import { deadlineIn } from './clock.ts';
import type { HoldfastError } from './errors.ts';
import type { Link } from './session/link.ts';
import { UNSENT_MS } from './session/op.ts';
import type { Session } from './session/session.ts';
import type { Method } from './wire/codec.ts';
import { errorOfStatus } from './wire/details.ts';

const DEADLINE_EXCEEDED = 4;
const UNAVAILABLE = 14;
/** A link that has just failed may not know it yet. */
const AGAIN_MS = 50;

function once<Request, Response>(
  link: Link,
  { path, write, read }: Method<Request, Response>,
  request: Request,
  deadline: Date,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    link.client.makeUnaryRequest(
      path,
      write,
      read,
      request,
      new Metadata(),
      { deadline },
      (error: ServiceError | null, response?: Response) => {
        if (error === null) resolve(response as Response);
        else reject(errorOfStatus(error));
      },
    );
  });
}

/** Repeated at the next address while a replica cannot be reached, or says that it shuts down. */
export async function call<Request, Response>(
  session: Session,
  method: Method<Request, Response>,
  request: Request,
): Promise<Response> {
  const untilMs = session.nowMs() + UNSENT_MS;
  for (;;) {
    const link = await session.link(untilMs);
    try {
      const response = await once(link, method, request, deadlineIn(UNSENT_MS));
      session.connector.onServing();
      return response;
    } catch (error) {
      const { reason, code, message } = error as HoldfastError;
      const draining = reason === 'DRAINING';
      if (code === DEADLINE_EXCEEDED) throw session.connector.unreachable();
      if (!draining && (code !== UNAVAILABLE || reason !== '')) throw error;
      session.onLinkFailed(link, message, draining);
      if (session.nowMs() >= untilMs) throw session.connector.unreachable();
      await new Promise<void>((resolve) => {
        session.clock.after(AGAIN_MS, resolve, true);
      });
    }
  }
}
