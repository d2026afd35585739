/** A replica without its edge: the same cluster, quorum and locks, with the hooks that tests need to switch rules off. */

import { parseRedisNodes } from '../../src/config/redis-nodes.ts';
import { connectionUrl } from '../../src/config.ts';
import type { Lease } from '../../src/domain/lease.ts';
import { parseLeaseId } from '../../src/domain/lease.ts';
import { silentProbe } from '../../src/domain/probe.ts';
import type { Refusal } from '../../src/domain/refusals.ts';
import { makeLocks } from '../../src/locks/desk.ts';
import type { LineSettings } from '../../src/locks/line.ts';
import type { AcquireAsk, Busy, Caller, Locks } from '../../src/locks/locks.ts';
import type { RedisNodeOptions } from '../../src/nodes/redis-node.ts';
import { Cluster, fingerprint } from '../../src/quorum/cluster.ts';
import { makeQuorum, type Quorum } from '../../src/quorum/quorum.ts';
import { type Clock, systemClock } from '../../src/std/clock.ts';
import { systemRandom } from '../../src/std/random.ts';
import { asking, stays, usualWaiting } from './asking.ts';

export interface DeskOptions {
  readonly clock?: Clock;
  readonly quarantineOff?: boolean;
  readonly scripts?: RedisNodeOptions['scripts'] | undefined;
  readonly maxTtlMs?: number;
  readonly nodeTimeoutMs?: number;
  readonly waiting?: Partial<LineSettings>;
}

const TTL_MS = 2000;
let desks = 0;

export class Desk {
  readonly cluster: Cluster;
  readonly quorum: Quorum;
  readonly locks: Locks;
  /** Of a lease that is asked for without one. */
  readonly #ttlMs: number;

  private constructor(cluster: Cluster, quorum: Quorum, locks: Locks) {
    this.cluster = cluster;
    this.quorum = quorum;
    this.locks = locks;
    this.#ttlMs = Math.min(TTL_MS, quorum.longestTtlMs);
  }

  /** `list` as HOLDFAST_REDIS_NODES takes it. */
  static async open(list: string, options: DeskOptions = {}): Promise<Desk> {
    const parsed = parseRedisNodes(list);
    if ('faults' in parsed) throw new Error(parsed.faults.join('\n'));
    const nodes = parsed.value.map((node) => ({ id: node.id, url: connectionUrl(node) }));
    const clock = options.clock ?? systemClock;
    const longestTtlMs = options.maxTtlMs ?? TTL_MS;
    const nodeTimeoutMs = options.nodeTimeoutMs ?? 500;
    desks += 1;
    const replica = `desk${desks}`;
    const cluster = new Cluster({
      replica,
      nodes,
      namespace: 'holdfast',
      longestTtlMs,
      nodeTimeoutMs,
      clockSkewMs: 50,
      bootstrap: false,
      clock,
      random: systemRandom,
      probe: silentProbe,
      ...(options.quarantineOff === undefined ? {} : { quarantineOff: options.quarantineOff }),
      ...(options.scripts === undefined ? {} : { scripts: options.scripts }),
    });
    await cluster.start();
    const quorum = makeQuorum({
      nodes: cluster.nodes,
      clock,
      probe: silentProbe,
      longestTtlMs,
      retryAfterMs: 2 * nodeTimeoutMs,
      mayPropose: () => cluster.mayPropose(),
      replica,
    });
    const locks = makeLocks({
      quorum,
      random: systemRandom,
      probe: silentProbe,
      waiting: { ...usualWaiting, ...options.waiting },
    });
    return new Desk(cluster, quorum, locks);
  }

  acquire(resources: string | readonly string[], more: Partial<AcquireAsk> = {}, caller: Caller = stays) {
    const ask = asking({ resources: [resources].flat(), ttlMs: this.#ttlMs, ...more });
    return this.locks.acquire(ask, caller);
  }

  async lock(resources: string | readonly string[], more: Partial<AcquireAsk> = {}): Promise<Lease> {
    const answer = await this.acquire(resources, more);
    if (answer.kind !== 'lease') throw new Error(`not granted: ${JSON.stringify(answer)}`);
    return answer;
  }

  async heartbeat({ leaseId }: Lease): Promise<Lease | Refusal> {
    const answer = await this.locks.heartbeat({ lease: parseLeaseId(leaseId)!, progress: '' });
    return answer.kind === 'renewed' ? answer.lease : answer;
  }

  async release({ leaseId }: Lease): Promise<boolean> {
    const answer = await this.locks.release({ lease: parseLeaseId(leaseId)!, reason: '' });
    return answer.kind === 'released' && answer.released;
  }

  get states(): string[] {
    return this.cluster.status().nodes.map(({ state }) => state);
  }

  close(): void {
    this.cluster.stop();
  }
}

export const granted = (answer: Lease | Busy | Refusal): answer is Lease => answer.kind === 'lease';

/** The fingerprint under which nodes named n1, n2... are bootstrapped. */
export function clusterOf(count: number): string {
  const ids = Array.from({ length: count }, (_, index) => ({ id: `n${index + 1}`, url: '' }));
  return fingerprint(ids, 'holdfast');
}

/** How many looks this desk has begun since. */
export function countLooks({ quorum: { votes } }: Desk): () => number {
  const all = votes.all.bind(votes);
  let looks = 0;
  votes.all = (op) => {
    if (op.kind === 'look') looks += 1;
    return all(op);
  };
  return () => looks;
}
