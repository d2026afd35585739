/** Both sides of the comparison: our path as the service composes it, and the redlock package used directly. */
import { Redis } from 'ioredis';
import Redlock from 'redlock';
import { parseLeaseId } from '../../src/domain/lease.ts';
import type { Probe } from '../../src/domain/probe.ts';
import { makeLocks } from '../../src/locks/desk.ts';
import type { Locks } from '../../src/locks/locks.ts';
import { Cluster } from '../../src/quorum/cluster.ts';
import { makeQuorum, type Quorum } from '../../src/quorum/quorum.ts';
import { systemClock } from '../../src/std/clock.ts';
import { systemRandom } from '../../src/std/random.ts';
import { asking, stays, usualWaiting } from '../../test/harness/asking.ts';
import type { Pair } from './load.ts';
import type { Servers } from './servers.ts';

const TTL_MS = 30_000;
const LONGEST_TTL_MS = 60_000;
const NODE_TIMEOUT_MS = 1000;

export interface OurSide {
  readonly quorum: Quorum;
  readonly locks: Locks;
  stop(): void;
}

export async function openCluster(
  urls: readonly string[],
  namespace: string,
  probe: Probe,
): Promise<Cluster> {
  const cluster = new Cluster({
    nodes: urls.map((url, index) => ({ id: `bench-${index}`, url })),
    namespace,
    longestTtlMs: LONGEST_TTL_MS,
    nodeTimeoutMs: NODE_TIMEOUT_MS,
    clockSkewMs: 500,
    bootstrap: true,
    clock: systemClock,
    random: systemRandom,
    probe,
  });
  await cluster.start();
  if (!cluster.ready()) throw new Error(`the cluster is not ready: ${JSON.stringify(cluster.status())}`);
  return cluster;
}

/** A bootstrapped cluster over the first `count` servers; `probe` hears of all its votes. */
export async function openOurs(servers: Servers, count: number, probe: Probe): Promise<OurSide> {
  const urls = servers.all.slice(0, count).map(({ tcpUrl }) => tcpUrl);
  const cluster = await openCluster(urls, `bench${count}`, probe);
  const quorum = makeQuorum({
    nodes: cluster.nodes,
    clock: systemClock,
    probe,
    longestTtlMs: LONGEST_TTL_MS,
    retryAfterMs: 500,
    replica: 'bench',
  });
  const locks = makeLocks({ quorum, random: systemRandom, probe, waiting: usualWaiting });
  return { quorum, locks, stop: () => cluster.stop() };
}

export async function hold(locks: Locks, resource: string, waitMs = 0): Promise<string> {
  const answer = await locks.acquire(
    asking({ resources: [resource], owner: resource, ttlMs: TTL_MS, waitMs }),
    stays,
  );
  if (answer.kind !== 'lease') throw new Error(`acquire ${resource}: ${JSON.stringify(answer)}`);
  return answer.leaseId;
}

/** The id travels as text, as it does to a client and back. */
export function ourPair(locks: Locks, waitMs = 0): Pair {
  return async (loop) => {
    const leaseId = await hold(locks, `bench/${loop}`, waitMs);
    const answer = await locks.release({ lease: parseLeaseId(leaseId)!, reason: '' });
    if (answer.kind !== 'released' || !answer.released) throw new Error(`release: ${JSON.stringify(answer)}`);
  };
}

export interface TheirSide {
  readonly pair: Pair;
  stop(): void;
}

/** The package as its README uses it: its own scripts, one ioredis client a server. */
export function openTheirs(urls: readonly string[], enableAutoPipelining = false): TheirSide {
  const clients = urls.map((url) => new Redis(url, { enableAutoPipelining }));
  const redlock = new Redlock(clients as unknown as ConstructorParameters<typeof Redlock>[0], {
    retryCount: 0,
  });
  return {
    pair: async (loop) => {
      const lock = await redlock.acquire([`peer/${loop}`], TTL_MS);
      await lock.release();
    },
    stop() {
      for (const client of clients) client.disconnect();
    },
  };
}
