/** Takers of the lock services, holdfast and etcd, over one light HTTP/2 connection a process. */
import type { AcquireRequest } from '../../src/edge/gen/holdfast/v1/AcquireRequest.ts';
import type { AcquireResponse__Output } from '../../src/edge/gen/holdfast/v1/AcquireResponse.ts';
import type { ReleaseRequest } from '../../src/edge/gen/holdfast/v1/ReleaseRequest.ts';
import type { ReleaseResponse__Output } from '../../src/edge/gen/holdfast/v1/ReleaseResponse.ts';
import { connectEtcd } from './etcd-calls.ts';
import { type Opener, TTL_MS, WAIT_S } from './handoff-taker.ts';
import { caller, connected, lockService } from './light-calls.ts';
import { LightSession } from './light-session.ts';

export const openHoldfast: Opener = async ([address = ''], clients) => {
  const service = lockService();
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

/** One Session carries all clients of the process. */
export const openHoldfastSession: Opener = async ([address = ''], clients) => {
  const session = new LightSession(address);
  await session.connected();
  return clients.map((owner) => async (lock) => {
    const { leaseId, token } = await session.acquire(lock, owner, TTL_MS / 1000, WAIT_S);
    return {
      token,
      async release() {
        if (!(await session.release(leaseId))) throw new Error('not released');
      },
    };
  });
};

/** Longer than the bench, so that no lease has to be kept alive. */
const LEASE_S = 3600;

/** A lease a client, for two waiters of one lease would be the same waiter. */
export const openEtcd: Opener = async ([address = ''], clients) => {
  const { grant, lock, unlock } = await connectEtcd(address);
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
