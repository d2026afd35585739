/** The two nodes that keep the contract, each behind the same handful of levers: clock, memory, admission. */

import { Redis } from 'ioredis';
import type { AdminAnswer, AdminOp, NewMeta } from '../../src/nodes/admin.ts';
import { MemoryNode } from '../../src/nodes/memory-node.ts';
import type { Rules } from '../../src/nodes/memory-record.ts';
import { type LockNode, SCHEMA, type Stamp } from '../../src/nodes/node.ts';
import { RedisNode } from '../../src/nodes/redis-node.ts';
import { ManualClock, systemClock } from '../../src/std/clock.ts';
import { enlist } from '../harness/enlist.ts';
import { startRedis } from '../harness/redis-server.ts';
import { StillClock } from '../harness/still-clock.ts';

export interface UnderTest {
  readonly node: LockNode & {
    admit(stamp: Stamp | undefined): void;
    admin(op: AdminOp): Promise<AdminAnswer>;
  };
  readonly runId: string;
  /** The node's time stands still there until the next call. */
  setClock(micros: number): void;
  /** Takes all that the node remembers, as FLUSHALL does: the process stays the same. */
  forget(): Promise<void>;
  close(): Promise<void>;
}

export const nodeId = 'node';
export const startMicros = 1_800_000_000_000_000;
export const longestTtlMs = 60_000;

export function stampOf(runId: string, cluster = 'c0', ttlMs = longestTtlMs): Stamp {
  return { runId, nodeId, cluster, longestTtlMs: ttlMs };
}

export function metaOf(runId: string): NewMeta {
  return { ...stampOf(runId), schema: SCHEMA, durable: true };
}

/** As at the beginning: it is `startMicros`, nothing is known, and the node may vote. */
export async function reset(under: UnderTest): Promise<void> {
  under.setClock(startMicros);
  await under.forget();
  await enlist(under.node, metaOf(under.runId));
  under.node.admit(stampOf(under.runId));
}

export function openMemory(runId = 'run-0', rules: Partial<Rules> = {}): UnderTest {
  const clock = new ManualClock(startMicros);
  const node = new MemoryNode({ id: nodeId, clock, runId, rules });
  return {
    node,
    runId,
    setClock: (micros) => clock.setWall(micros),
    forget: async () => node.restart('lost', runId),
    close: async () => {},
  };
}

export async function openRedis(): Promise<UnderTest> {
  const clock = new StillClock();
  const server = await startRedis({ env: clock.env });
  const control = new Redis(server.socketPath);
  // Longer than any test: what is slow here is the machine, and silence would be told as a difference.
  const timeoutMs = 30_000;
  const node = new RedisNode({
    id: nodeId,
    url: server.url,
    namespace: 'test',
    timeoutMs,
    clock: systemClock,
  });
  const facts = await node.ready();
  if (facts === undefined) throw new Error('the node was closed before it was ready');
  return {
    node,
    runId: facts.runId,
    setClock: (micros) => clock.set(micros),
    forget: async () => void (await control.flushall()),
    close: async () => {
      node.close();
      control.disconnect();
      await server.stop();
      clock.close();
    },
  };
}
