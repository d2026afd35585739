/**
 * What calls of locks cost at the very least: `edge` is the edge of the service alone, `relay` with URLs has real nodes
 * behind it and no rules, and otherwise votes are counted and no nodes stand behind them.
 */

import {
  formatLeaseId,
  type Lease,
  leaseNameOf,
  leaseRefOf,
  leaseValue,
  newSecret,
} from '../../src/domain/lease.ts';
import { silentProbe } from '../../src/domain/probe.ts';
import { startEdge } from '../../src/edge/server.ts';
import { makeLocks } from '../../src/locks/desk.ts';
import type { AcquireAsk, Locks } from '../../src/locks/locks.ts';
import type { Answer, LockNode, NodeOp } from '../../src/nodes/node.ts';
import { makeQuorum } from '../../src/quorum/quorum.ts';
import { systemClock } from '../../src/std/clock.ts';
import { systemRandom } from '../../src/std/random.ts';
import { usualWaiting } from '../../test/harness/asking.ts';
import { serveParent } from './children.ts';
import { ownCpuMicros } from './cpu.ts';
import { noopService } from './noop.ts';
import { relayed } from './relay.ts';
import { openCluster } from './sides.ts';
import type { ServerState } from './unary-server.ts';

const TTL_MS = 30_000;
const HELD: Answer = { kind: 'held' };
const RELEASED: Answer = { kind: 'released', matched: true };

/** Votes for everything, at once and remembering nothing. */
function yesNode(id: string): LockNode {
  const answer = (op: NodeOp): Answer => (op.kind === 'hold' ? HELD : RELEASED);
  return {
    id,
    ask: async (op) => answer(op),
    post: (op, heard) => queueMicrotask(() => heard(answer(op))),
  };
}

const quorum = makeQuorum({
  nodes: ['a', 'b', 'c'].map(yesNode),
  clock: systemClock,
  probe: silentProbe,
  longestTtlMs: 2 * TTL_MS,
  retryAfterMs: 500,
  replica: 'floor',
});
const voted = makeLocks({ quorum, random: systemRandom, probe: silentProbe, waiting: usualWaiting });

/** Without asking anybody; a lease id is made and read all the same. */
function lease({ resources, owner, ttlMs, mode, labels }: AcquireAsk): Lease {
  const secret = newSecret(systemRandom);
  const token = quorum.tokens.propose(0n);
  const nowMs = Number(token) / 1000;
  return {
    kind: 'lease',
    leaseId: formatLeaseId({ secret, token, ttlMs, resources }),
    leaseRef: leaseRefOf(leaseValue(secret, token)),
    resources,
    token,
    owner,
    mode,
    ttlMs,
    acquireTimeMs: nowMs,
    expireTimeMs: nowMs + ttlMs,
    labels,
    replayed: false,
  };
}

const granted: Locks = {
  ...voted,
  acquire: async (ask) => lease(ask),
  async hold(ask) {
    const made = lease(ask);
    return { kind: 'granted', lease: made, kept: { name: leaseNameOf(made), end: () => {} } };
  },
  release: async () => ({ kind: 'released', released: true }),
};

const [how = '', ...urls] = process.argv.slice(2);

async function locksOf(): Promise<Locks> {
  if (how === 'edge') return granted;
  if (how === 'relay')
    return { ...voted, ...relayed((await openCluster(urls, 'relay', silentProbe)).nodes, lease) };
  return voted;
}

const edge = await startEdge({
  locks: await locksOf(),
  settings: { minTtlMs: 1000, maxTtlMs: 2 * TTL_MS, defaultTtlMs: TTL_MS },
  addresses: ['127.0.0.1:0'],
  keepalive: { timeMs: 10_000, timeoutMs: 5000 },
  probe: silentProbe,
  version: 'floor',
  status: () =>
    ({ embedded: true, nodes: [], quorumMargin: 0, warnings: [], ready: true, floor: '' }) as never,
  extraServices: [noopService],
});
const state = (): ServerState => ({
  address: edge.addresses[0]!,
  httpAddress: '',
  cpuMicros: ownCpuMicros(),
});
serveParent<object, ServerState>(state(), state);
