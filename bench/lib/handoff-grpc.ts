/** Takers of the lock services, holdfast and etcd, over one light HTTP/2 connection a process. */
import { fileURLToPath } from 'node:url';
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import { loadSync, type Options } from '@grpc/proto-loader';
import type { AcquireRequest } from '../../src/edge/gen/holdfast/v1/AcquireRequest.ts';
import type { AcquireResponse__Output } from '../../src/edge/gen/holdfast/v1/AcquireResponse.ts';
import type { ReleaseRequest } from '../../src/edge/gen/holdfast/v1/ReleaseRequest.ts';
import type { ReleaseResponse__Output } from '../../src/edge/gen/holdfast/v1/ReleaseResponse.ts';
import { type Opener, TTL_MS, WAIT_S } from './handoff-taker.ts';
import { LightClient } from './light-client.ts';

const OPTIONS: Options = { keepCase: true, longs: String, enums: String, defaults: true, oneofs: true };

function serviceOf(folder: string, file: string, name: string): ServiceDefinition {
  const includeDirs = [fileURLToPath(new URL(folder, import.meta.url))];
  return loadSync(file, { ...OPTIONS, includeDirs })[name] as ServiceDefinition;
}

/** `path` where the service is called otherwise than its definition says. */
function caller<Request, Response>(
  client: LightClient,
  definition: ServiceDefinition,
  method: string,
  path = definition[method]!.path,
): (request: Request) => Promise<Response> {
  const { requestSerialize, responseDeserialize } = definition[method] as MethodDefinition<Request, Response>;
  const call = client.method(path);
  return async (request) => responseDeserialize(await call(requestSerialize(request)));
}

async function connected(address: string): Promise<LightClient> {
  const client = new LightClient(address);
  await client.connected();
  return client;
}

export const openHoldfast: Opener = async ([address = ''], clients) => {
  const service = serviceOf('../../proto', 'holdfast/v1/lock.proto', 'holdfast.v1.LockService');
  const client = await connected(address);
  const acquire = caller<AcquireRequest, AcquireResponse__Output>(client, service, 'Acquire');
  const release = caller<ReleaseRequest, ReleaseResponse__Output>(client, service, 'Release');
  return clients.map((owner) => async (lock) => {
    const { lease } = await acquire({
      resources: [lock],
      owner,
      ttl: { seconds: String(TTL_MS / 1000), nanos: 0 },
      wait: { seconds: String(WAIT_S), nanos: 0 },
    });
    if (lease == null) throw new Error('busy');
    return {
      // Microseconds since 1970 for some two centuries more: below 2^53.
      token: Number(lease.fencing_token),
      async release() {
        const { released } = await release({ lease_id: lease.lease_id });
        if (!released) throw new Error('not released');
      },
    };
  });
};

interface Header {
  readonly header: { readonly revision: string };
}

/** Where etcd serves the calls of etcd.proto. */
const LEASE_GRANT = '/etcdserverpb.Lease/LeaseGrant';
const LOCK = '/v3lockpb.Lock/Lock';
const UNLOCK = '/v3lockpb.Lock/Unlock';
/** Longer than the bench, so that no lease has to be kept alive. */
const LEASE_S = 3600;

/** A lease a client, for two waiters of one lease would be the same waiter. */
export const openEtcd: Opener = async ([address = ''], clients) => {
  const service = serviceOf('.', 'etcd.proto', 'holdfast.bench.etcd.Calls');
  const client = await connected(address);
  const grant = caller<{ TTL: string }, { ID: string }>(client, service, 'LeaseGrant', LEASE_GRANT);
  const lock = caller<{ name: Buffer; lease: string }, Header & { key: Buffer }>(
    client,
    service,
    'Lock',
    LOCK,
  );
  const unlock = caller<{ key: Buffer }, Header>(client, service, 'Unlock', UNLOCK);
  return Promise.all(
    clients.map(async () => {
      const { ID: lease } = await grant({ TTL: String(LEASE_S) });
      return async (name: string) => {
        const { header, key } = await lock({ name: Buffer.from(name), lease });
        return {
          token: Number(header.revision),
          release: async () => void (await unlock({ key })),
        };
      };
    }),
  );
};
