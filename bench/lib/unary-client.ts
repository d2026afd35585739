/** One process of callers: keeps so many pairs of unary calls in flight for as long as it is told. */
import type { AcquireRequest } from '../../src/edge/gen/holdfast/v1/AcquireRequest.ts';
import type { AcquireResponse__Output } from '../../src/edge/gen/holdfast/v1/AcquireResponse.ts';
import type { ReleaseRequest } from '../../src/edge/gen/holdfast/v1/ReleaseRequest.ts';
import type { ReleaseResponse__Output } from '../../src/edge/gen/holdfast/v1/ReleaseResponse.ts';
import { serveParent } from './children.ts';
import { caller, connected, lockService, SAMPLED } from './light-calls.ts';
import type { LightClient } from './light-client.ts';
import { type Pair, timed } from './load.ts';
import { noopDefinition } from './noop.ts';
import type { Slice } from './stats.ts';

export interface Run {
  /** `sampled`: locks, and their callers trace every call. */
  readonly what: 'locks' | 'sampled' | 'noop';
  readonly ms: number;
}

const [address = '', name = '', inFlight = '1'] = process.argv[2]!.split(' ');
const locks = lockService();
const client = await connected(address);
const noop = caller<object, object>(client, noopDefinition, 'Noop');

function lockPair(through: LightClient): Pair {
  const acquire = caller<AcquireRequest, AcquireResponse__Output>(through, locks, 'Acquire');
  const release = caller<ReleaseRequest, ReleaseResponse__Output>(through, locks, 'Release');
  return async (loop) => {
    const resource = `bench/${name}/${loop}`;
    const { lease } = await acquire({
      resources: [resource],
      owner: resource,
      ttl: { seconds: '30', nanos: 0 },
    });
    if (lease == null) throw new Error(`${resource} is held by somebody else`);
    const { released } = await release({ lease_id: lease.lease_id });
    if (!released) throw new Error(`${resource} was not released`);
  };
}

const pairs: Record<Run['what'], Pair> = {
  locks: lockPair(client),
  sampled: lockPair(await connected(address, SAMPLED)),
  async noop() {
    await noop({});
    await noop({});
  },
};

const idle: Slice = { done: 0, tookMs: 0, cpu: {}, latenciesMs: [] };
serveParent<Run, Slice>(idle, ({ what, ms }) => timed(pairs[what], Number(inFlight), {})(ms));
