/** Whose holders are killed: ours over streams, and the peers that wait for a ttl. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import Redlock from 'redlock';
import type { AcquireRequest } from '../../src/edge/gen/holdfast/v1/AcquireRequest.ts';
import type { AcquireResponse__Output } from '../../src/edge/gen/holdfast/v1/AcquireResponse.ts';
import type { InspectRequest } from '../../src/edge/gen/holdfast/v1/InspectRequest.ts';
import type { InspectResponse__Output } from '../../src/edge/gen/holdfast/v1/InspectResponse.ts';
import type { ReleaseRequest } from '../../src/edge/gen/holdfast/v1/ReleaseRequest.ts';
import type { ReleaseResponse__Output } from '../../src/edge/gen/holdfast/v1/ReleaseResponse.ts';
import { type Case, nodeHolder, pythonHolder } from './death-sample.ts';
import { openEtcd } from './handoff-grpc.ts';
import { caller, connected, lockService } from './light-calls.ts';

/** What the peers' locks last without their holder. */
export const PEER_TTL_S = 5;
const TTL_S = 30;
const WAIT_S = 60;
const LOOK_MS = 5;
/** Deaths come at any moment of the once-a-second looks of a waiter. */
const ALIVE_MS = 1200;

/** The waiter's side: unary, at a replica of its own. */
export async function waiterAt(address: string): Promise<Case['wait']> {
  const client = await connected(address);
  const service = lockService();
  const acquire = caller<AcquireRequest, AcquireResponse__Output>(client, service, 'Acquire');
  const release = caller<ReleaseRequest, ReleaseResponse__Output>(client, service, 'Release');
  const inspect = caller<InspectRequest, InspectResponse__Output>(client, service, 'Inspect');
  const inLine = async (lock: string): Promise<void> => {
    while ((await inspect({ resource: lock })).waiters.length === 0) await sleep(LOOK_MS);
  };
  return (lock) => {
    const granted = acquire({
      resources: [lock],
      owner: `waiter-${lock}`,
      wait: { seconds: String(WAIT_S), nanos: 0 },
    }).then(({ lease }) => {
      if (lease == null) throw new Error(`${lock}: busy after ${WAIT_S} s`);
      return () => release({ lease_id: lease.lease_id });
    });
    return { standing: inLine(lock), granted };
  };
}

/** Holders at one replica, the waiter at the other. */
export function ours(address: string, wait: Case['wait'], python: boolean): Case[] {
  const usual = { wait, aliveMs: ALIVE_MS };
  const inPython: Case = {
    name: 'Hold, Python',
    hold: (lock) => pythonHolder(lock, TTL_S, address),
    ...usual,
  };
  return [
    { name: 'Hold, TypeScript', hold: (lock) => nodeHolder('hold', lock, TTL_S, [address]), ...usual },
    ...(python ? [inPython] : []),
    { name: 'Session', hold: (lock) => nodeHolder('session', lock, TTL_S, [address]), ...usual },
  ];
}

/** One ttl's renewals: the holder dies at any moment between two of them. */
const PEER_ALIVE_MS = PEER_TTL_S * 1000;

export async function etcdCase(address: string, waiters: number): Promise<Case> {
  const names = Array.from({ length: waiters }, (_, index) => `waiter-${index}`);
  // A lease of its own for each waiter, longer than the bench.
  const takers = await openEtcd([address], names);
  let next = 0;
  return {
    name: `etcd, lease of ${PEER_TTL_S} s`,
    hold: (lock) => nodeHolder('etcd', lock, PEER_TTL_S, [address]),
    wait: (lock) => ({
      standing: Promise.resolve(),
      granted: takers[next++]!(lock).then(({ release }) => release),
    }),
    aliveMs: PEER_ALIVE_MS,
  };
}

/** Asks again so often that its own polling adds next to nothing. */
const POLL = { retryCount: -1, retryDelay: 20, retryJitter: 10 };

export function redlockCase(urls: readonly string[]): Case & { stop(): void } {
  const nodes = urls.map((url) => new Redis(url));
  const library = new Redlock(nodes as unknown as ConstructorParameters<typeof Redlock>[0], POLL);
  library.on('error', () => {});
  return {
    name: `redlock 5, ttl of ${PEER_TTL_S} s`,
    hold: (lock) => nodeHolder('redlock', lock, PEER_TTL_S, urls),
    wait: (lock) => ({
      standing: Promise.resolve(),
      granted: library.acquire([lock], PEER_TTL_S * 1000).then((taken) => () => taken.release()),
    }),
    aliveMs: PEER_ALIVE_MS,
    stop() {
      for (const node of nodes) node.disconnect();
    },
  };
}
