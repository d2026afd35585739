/** One operation of a session, from its asking to its answer, over as many streams as that takes. */

import { durationMs } from '../durations.ts';
import { type ErrorFacts, errorOf, type HoldfastError } from '../errors.ts';
import type { ErrorRead, SessionOp, SessionResultRead } from '../gen/messages.ts';
import type { Stream } from './stream.ts';

/** How long an operation may wait to be sent. */
export const UNSENT_MS = 10_000;

export abstract class Op {
  /** Names it on the stream that carries it; 0 while none does. */
  seq = 0;
  /** Before it was sent, by the last stream that did. */
  sentMs = 0;
  /** Streams that have carried it. */
  sent = 0;
  /** When it fails if no stream has carried it by then. */
  untilMs = Number.POSITIVE_INFINITY;
  /** Nobody waits for it: it is not sent (again). */
  dropped = false;
  /** Takes a lease into the session: a draining replica refuses it. */
  abstract readonly claims: boolean;
  /** From above, for most of them. */
  abstract readonly bytes: number;
  abstract message(seq: number, nowMs: number): SessionOp;
  abstract onResult(result: SessionResultRead, stream: Stream): void;
  abstract onFailed(error: HoldfastError): void;
}

export function factsOf(error: ErrorRead): ErrorFacts {
  return {
    reason: error.reason,
    code: error.code,
    metadata: { ...error.metadata },
    retryAfterMs: error.retry_after === null ? undefined : durationMs(error.retry_after),
    fields: error.field_violations.map(({ field, description }) => ({
      field: field.replace(/^(acquire|heartbeat|release|check_token|resume|cancel)\./, ''),
      description,
    })),
  };
}

export function thrown(error: ErrorRead): HoldfastError {
  return errorOf(error.message, factsOf(error));
}
