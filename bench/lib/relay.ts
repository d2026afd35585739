/** Locks that put each question to real nodes and decide nothing: a lock service over such nodes costs more than this. */
import { type Lease, leaseNameOf } from '../../src/domain/lease.ts';
import { NO_TOKEN } from '../../src/domain/token.ts';
import type { AcquireAsk, Locks } from '../../src/locks/locks.ts';
import { endOf } from '../../src/locks/release.ts';
import type { Answer, LockNode, NodeOp } from '../../src/nodes/node.ts';
import { majorityOf } from '../../src/quorum/ballot.ts';

/** No redlock, no rule, no line, nothing kept: only a count of those that gave the usual answer. */
function relay(nodes: readonly LockNode[], op: NodeOp, usual: Answer['kind']): Promise<void> {
  const majority = majorityOf(nodes.length);
  return new Promise((resolve, reject) => {
    let said = 0;
    const heard = (answer: Answer): void => {
      if (answer.kind !== usual) reject(new Error(`not ${usual}: ${JSON.stringify(answer)}`));
      said += 1;
      if (said === majority) resolve();
    };
    for (const node of nodes) node.post!(op, heard);
  });
}

/** `leaseOf` makes a lease without asking anybody. */
export function relayed(
  nodes: readonly LockNode[],
  leaseOf: (ask: AcquireAsk) => Lease,
): Pick<Locks, 'hold' | 'release'> {
  return {
    async hold(ask) {
      const lease = leaseOf(ask);
      const { ttlMs, owner } = ask;
      const card = `{"t":${ttlMs}}`;
      const name = leaseNameOf(lease);
      await relay(nodes, { kind: 'hold', ...name, ttlMs, owner, card, seen: NO_TOKEN }, 'held');
      return { kind: 'granted', lease, kept: { name, end: () => {} } };
    },
    async release({ lease }) {
      await relay(nodes, endOf(lease, 'released', '', false), 'released');
      return { kind: 'released', released: true };
    },
  };
}
