/** A server of grpc-js with bounds on what one connection may cost. */
import { Server, type ServerInterceptor, type ServerOptions } from '@grpc/grpc-js';
import { limits } from '../domain/limits.ts';
import { HEADER_BYTES } from './connections.ts';

export interface Keepalive {
  readonly timeMs: number;
  readonly timeoutMs: number;
}

/** Bounds the memory that one connection can claim; clients queue what goes beyond. */
const STREAMS_PER_CONNECTION = 4096;
/**
 * How many calls a client may cancel at once, and in a second for longer. To cancel a Hold is to release its lease,
 * and Node takes more than a thousand for an attack and closes the connection, under all the others on it.
 */
const RESETS = { streamResetBurst: 4 * STREAMS_PER_CONNECTION, streamResetRate: 2000 } as const;
function serverOptions(keepalive: Keepalive): ServerOptions {
  return {
    'grpc.keepalive_time_ms': keepalive.timeMs,
    'grpc.keepalive_timeout_ms': keepalive.timeoutMs,
    'grpc.keepalive_permit_without_calls': 1,
    'grpc.max_receive_message_length': limits.messageBytes,
    'grpc.max_send_message_length': limits.messageBytes,
    'grpc.max_concurrent_streams': STREAMS_PER_CONNECTION,
    // Its counters cost every call something and nobody here reads them.
    'grpc.enable_channelz': 0,
  };
}

export function boundedServer(keepalive: Keepalive, interceptors: ServerInterceptor[]): Server {
  const server = new Server({ ...serverOptions(keepalive), interceptors });
  // grpc-js has no options for them. If the field goes, test/fault/disconnects-many.test.ts says so.
  const { commonServerOptions } = server as unknown as { commonServerOptions?: { settings?: object } };
  if (commonServerOptions !== undefined) {
    const { settings } = commonServerOptions;
    const bounded = { ...settings, maxHeaderListSize: HEADER_BYTES };
    Object.assign(commonServerOptions, RESETS, { settings: bounded });
  }
  return server;
}
