/** What grpc-js answers by itself, as a client of ours can act on it. */
import { type ServerInterceptingCallInterface, status } from '@grpc/grpc-js';
import { malformed } from './calls.ts';
import { internal, tooLarge, toStatus } from './status.ts';

// grpc-js does not export it by name.
export type PartialStatus = Parameters<ServerInterceptingCallInterface['sendStatus']>[0];

/**
 * Statuses that grpc-js makes itself carry no reason. Those about our calls get one, except CANCELLED and
 * DEADLINE_EXCEEDED, which belong to gRPC (error.proto).
 */
export function typed(sent: PartialStatus): PartialStatus {
  switch (sent.code) {
    case status.RESOURCE_EXHAUSTED:
      return toStatus(tooLarge);
    // No request or two of them; a bad grpc-timeout; a body that does not decompress: all the caller's doing.
    case status.UNIMPLEMENTED:
      return /^Received (no|a second) request/.test(sent.details) ? toStatus(malformed) : sent;
    case status.INTERNAL:
      return /decompress|grpc-timeout/.test(sent.details) ? toStatus(malformed) : toStatus(internal);
    case status.UNKNOWN:
      return toStatus(internal);
    default:
      return sent;
  }
}
