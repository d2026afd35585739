/** What the end of a stream means, and how a client ends its own. */
import { ClosedError, type HoldfastError } from '../errors.ts';
import { errorOfStatus, type WireStatus } from '../wire/details.ts';
import { CancelOp } from './lease-ops.ts';
import type { Op } from './op.ts';
import type { Stream } from './stream.ts';

const INVALID_ARGUMENT = 3;
const PERMISSION_DENIED = 7;
const UNIMPLEMENTED = 12;
const UNAUTHENTICATED = 16;
/** A stream that ended so would end so at every address. */
const HOPELESS = new Set([INVALID_ARGUMENT, PERMISSION_DENIED, UNIMPLEMENTED, UNAUTHENTICATED]);

export interface Ending {
  /** The replica is shutting down: this end releases nothing. */
  readonly draining: boolean;
  /** Why asking again is of no use; undefined where it is. */
  readonly hopeless: HoldfastError | undefined;
  /** For people. */
  readonly why: string;
}

export function endingOf(status: WireStatus): Ending {
  const error = errorOfStatus(status);
  return {
    draining: error.reason === 'DRAINING',
    hopeless: HOPELESS.has(status.code) ? error : undefined,
    why: status.details === '' ? `the stream ended with ${status.code}` : status.details,
  };
}

/**
 * The last words on all streams: waits are given up, and what is still to be said goes to `last`. What is kept is
 * released by the ends of the streams. Callers who wait for a lease hear that the client was closed.
 */
export function bidFarewell(
  streams: Iterable<Stream>,
  last: Stream | undefined,
  unsent: readonly Op[],
  nowMs: number,
): void {
  const failed = unsent.filter(({ claims }) => claims || last === undefined);
  const words = unsent.filter(({ claims }) => !claims);
  for (const stream of streams) {
    const waiting = stream.pending.values().filter(({ claims }) => claims);
    failed.push(...waiting);
    const cancels = waiting.map(({ seq }) => new CancelOp(seq));
    if (!stream.leaving) stream.bid(stream === last ? [...cancels, ...words] : cancels, nowMs);
  }
  for (const op of failed) op.onFailed(new ClosedError());
}
