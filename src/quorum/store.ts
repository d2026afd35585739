/** Where the locks live: several Redis nodes, or this one process. */
import { MemoryNode } from '../nodes/memory-node.ts';
import type { LockNode } from '../nodes/node.ts';
import type { Clock } from '../std/clock.ts';
import type { ClusterStatus } from './status.ts';

export interface Store {
  readonly nodes: readonly LockNode[];
  /** What this replica is called on the nodes; another one at each start. */
  readonly replica: string;
  ready(): boolean;
  mayPropose(): boolean;
  status(): ClusterStatus;
  stop(): void;
}

const status: ClusterStatus = {
  embedded: true,
  nodes: [
    {
      node: 'embedded',
      state: 'ready',
      detail: 'one process, not durable',
      voteLatencyMs: 0,
      quarantineLeftMs: 0,
      clockOffsetMs: 0,
      floor: '',
    },
  ],
  quorumMargin: 0,
  warnings: ['embedded store: one process, not durable'],
};

/** One node in memory, which is a majority by itself. */
export function embeddedStore(clock: Clock, longestTtlMs: number): Store {
  return {
    nodes: [MemoryNode.embedded(clock, longestTtlMs)],
    replica: 'embedded',
    ready: () => true,
    mayPropose: () => true,
    status: () => status,
    stop: () => {},
  };
}
