/** The no-op service whose cost is the floor, for the server and for its callers. */
import { fileURLToPath } from 'node:url';
import type { handleUnaryCall, ServiceDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { ExtraService } from '../../src/edge/server.ts';

export const noopDefinition = loadSync(fileURLToPath(new URL('noop.proto', import.meta.url)), {
  keepCase: true,
})['holdfast.bench.NoopService'] as ServiceDefinition;

const noop: handleUnaryCall<object, object> = (_call, callback) => callback(null, {});

export const noopService: ExtraService = { definition: noopDefinition, implementation: { Noop: noop } };
