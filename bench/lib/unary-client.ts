/** One process of callers: keeps so many pairs of unary calls in flight for as long as it is told. */
import { fileURLToPath } from 'node:url';
import { credentials, loadPackageDefinition, type ServiceError } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { AcquireRequest } from '../../src/edge/gen/holdfast/v1/AcquireRequest.ts';
import type { AcquireResponse__Output } from '../../src/edge/gen/holdfast/v1/AcquireResponse.ts';
import type { ReleaseRequest } from '../../src/edge/gen/holdfast/v1/ReleaseRequest.ts';
import type { ReleaseResponse__Output } from '../../src/edge/gen/holdfast/v1/ReleaseResponse.ts';
import { serveParent } from './children.ts';
import { type Pair, timed } from './load.ts';
import { noopDefinition } from './noop.ts';
import type { Slice } from './stats.ts';

export interface Run {
  readonly what: 'locks' | 'noop';
  readonly ms: number;
}

type Callback<Response> = (error: ServiceError | null, response?: Response) => void;
type Method<Request, Response> = (request: Request, callback: Callback<Response>) => unknown;

const [address = '', name = '', inFlight = '1'] = process.argv[2]!.split(' ');
const options = { keepCase: true, longs: String, enums: String, defaults: true, oneofs: true };
const { LockService } = (
  loadPackageDefinition(
    loadSync('holdfast/v1/lock.proto', {
      ...options,
      includeDirs: [fileURLToPath(new URL('../../proto', import.meta.url))],
    }),
  ) as unknown as { holdfast: { v1: { LockService: new (...args: unknown[]) => object } } }
).holdfast.v1;
const { NoopService } = loadPackageDefinition({ NoopService: noopDefinition }) as unknown as {
  NoopService: new (...args: unknown[]) => object;
};

function caller<Request, Response>(client: object, method: string): (request: Request) => Promise<Response> {
  const call = (client as Record<string, Method<Request, Response>>)[method]!.bind(client);
  return (request) =>
    new Promise((resolve, reject) => {
      call(request, (error, response) => (error === null ? resolve(response as Response) : reject(error)));
    });
}

const locks = new LockService(address, credentials.createInsecure());
const noops = new NoopService(address, credentials.createInsecure());
const acquire = caller<AcquireRequest, AcquireResponse__Output>(locks, 'Acquire');
const release = caller<ReleaseRequest, ReleaseResponse__Output>(locks, 'Release');
const noop = caller<object, object>(noops, 'Noop');

const pairs: Record<Run['what'], Pair> = {
  async locks(loop) {
    const resource = `bench/${name}/${loop}`;
    const { lease } = await acquire({
      resources: [resource],
      owner: resource,
      ttl: { seconds: '30', nanos: 0 },
    });
    if (lease == null) throw new Error(`${resource} is held by somebody else`);
    const { released } = await release({ lease_id: lease.lease_id });
    if (!released) throw new Error(`${resource} was not released`);
  },
  async noop() {
    await noop({});
    await noop({});
  },
};

const idle: Slice = { done: 0, tookMs: 0, cpu: {}, latenciesMs: [] };
serveParent<Run, Slice>(idle, ({ what, ms }) => timed(pairs[what], Number(inFlight), {})(ms));
