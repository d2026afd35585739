/** Typed unary calls over a light client: the messages by proto-loader, the frames by hand. */
import { fileURLToPath } from 'node:url';
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import { loadSync, type Options } from '@grpc/proto-loader';
import { LightClient } from './light-client.ts';

const OPTIONS: Options = { keepCase: true, longs: String, enums: String, defaults: true, oneofs: true };

/** `folder` is told from here. */
export function serviceOf(folder: string, file: string, name: string): ServiceDefinition {
  const includeDirs = [fileURLToPath(new URL(folder, import.meta.url))];
  return loadSync(file, { ...OPTIONS, includeDirs })[name] as ServiceDefinition;
}

export const lockService = (): ServiceDefinition =>
  serviceOf('../../proto', 'holdfast/v1/lock.proto', 'holdfast.v1.LockService');

/** `path` where the service is called otherwise than its definition says. */
export function caller<Request, Response>(
  client: LightClient,
  definition: ServiceDefinition,
  method: string,
  path = definition[method]!.path,
): (request: Request) => Promise<Response> {
  const { requestSerialize, responseDeserialize } = definition[method] as MethodDefinition<Request, Response>;
  const call = client.method(path);
  return async (request) => responseDeserialize(await call(requestSerialize(request)));
}

/** The headers of a caller that has sampled its call. */
export const SAMPLED = { traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` };

export async function connected(
  address: string,
  headersToo: Readonly<Record<string, string>> = {},
): Promise<LightClient> {
  const client = new LightClient(address, headersToo);
  await client.connected();
  return client;
}
