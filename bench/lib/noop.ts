/** The services that do nothing and whose cost is the floor, for the server and for its callers. */
import { fileURLToPath } from 'node:url';
import type { handleServerStreamingCall, handleUnaryCall, ServiceDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { ExtraService } from '../../src/edge/server.ts';

interface IdleRequest {
  readonly every_ms: number;
  readonly size: number;
}

export const noopDefinition = loadSync(fileURLToPath(new URL('noop.proto', import.meta.url)), {
  keepCase: true,
  defaults: true,
})['holdfast.bench.NoopService'] as ServiceDefinition;

const noop: handleUnaryCall<object, object> = (_call, callback) => callback(null, {});

const idle: handleServerStreamingCall<IdleRequest, { filling: Buffer }> = (call) => {
  const { every_ms: everyMs, size } = call.request;
  const filling = Buffer.alloc(size);
  call.write({ filling });
  if (everyMs === 0) return;
  const timer = setInterval(() => call.write({ filling }), everyMs);
  call.on('close', () => clearInterval(timer));
};

export const noopService: ExtraService = {
  definition: noopDefinition,
  implementation: { Noop: noop, Idle: idle },
};
