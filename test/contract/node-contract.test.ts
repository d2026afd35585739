/** The memory node and the Redis node keep one contract; each also answers for what only it can do. */
import { describe, expect, test } from 'vitest';
import { MemoryNode } from '../../src/nodes/memory-node.ts';
import { ManualClock } from '../../src/std/clock.ts';
import { attempt, Caller, silence, tokenAt } from './caller.ts';
import { nodeContract } from './node-contract.ts';
import { longestTtlMs, nodeId, openMemory, openRedis, reset, stampOf } from './under-test.ts';

nodeContract('memory node', async () => openMemory());
nodeContract('redis node', openRedis);

describe('memory node alone', () => {
  const lease = attempt('one', tokenAt(), 'a');

  test('restarts under a new run id and stays amnesic until it is admitted again', async () => {
    const under = openMemory('run-1');
    await reset(under);
    const node = under.node as MemoryNode;
    const caller = new Caller(under);
    await caller.hold(lease);
    node.restart('kept', 'run-2');
    expect((await node.facts()).runId).toBe('run-2');
    expect(await caller.renew(lease)).toEqual(silence('amnesia'));
    await caller.admin({ kind: 'inherit', previousRunId: 'run-1', runId: 'run-2', durable: true });
    expect(await caller.renew(lease)).toEqual(silence('amnesia'));
    node.admit(stampOf('run-2'));
    expect((await caller.renew(lease)).kind).toBe('extended');
  });

  test('forgets everything when its memory is lost', async () => {
    const under = openMemory('run-1');
    await reset(under);
    const node = under.node as MemoryNode;
    await new Caller(under).hold(lease);
    node.restart('lost');
    expect(await new Caller(under).state()).toEqual({ kind: 'state' });
    expect(node.stamp).toEqual(stampOf('run-1'));
  });

  test('may vote at once when it is embedded', async () => {
    const node = MemoryNode.embedded(new ManualClock(), longestTtlMs);
    expect((await node.ask({ kind: 'ping' })).kind).toBe('pong');
    expect(node.stamp).toMatchObject({ cluster: 'embedded', longestTtlMs });
  });

  test('is unreachable until it is admitted', async () => {
    const node = new MemoryNode({ id: nodeId, clock: new ManualClock() });
    expect(await node.ask({ kind: 'ping' })).toEqual(silence('unreachable'));
  });
});
