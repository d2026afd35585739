/** The memory node and the Redis node keep one contract; each also answers for what only it can do. */
import { describe, expect, test } from 'vitest';
import type { Wake } from '../../src/nodes/line.ts';
import { MemoryNode } from '../../src/nodes/memory-node.ts';
import { ManualClock } from '../../src/std/clock.ts';
import { attempt, Caller, placeOf, silence, tokenAt } from './caller.ts';
import { nodeContract } from './node-contract.ts';
import { longestTtlMs, nodeId, openMemory, openRedis, reset, stampOf } from './under-test.ts';

nodeContract('memory node', async () => openMemory());
nodeContract('redis node', openRedis);

describe('redis node alone', () => {
  test('hears what was forced although nobody ever watched, and nothing of the rest', async () => {
    const under = await openRedis();
    try {
      await reset(under);
      const caller = new Caller(under);
      const lease = attempt('one', tokenAt(), 'a');
      await caller.hold(lease);
      await caller.force('a');
      expect(await under.forced()).toEqual([lease.leaseRef]);
      expect(await under.news()).toEqual([]);
    } finally {
      await under.close();
    }
  });
});

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

  test('wakes each of several replicas for its own waiters, and outlives one that throws', async () => {
    const under = openMemory('run-1');
    await reset(under);
    const node = under.node as MemoryNode;
    const heard: string[] = [];
    const ears = (replica: string) => ({
      replica,
      wake: ({ id }: Wake) => void heard.push(`${replica}: ${id}`),
      news: () => expect.fail('nobody watches'),
      forced: (leaseRef: string) => void heard.push(`${replica}: forced ${leaseRef}`),
      missed: () => void heard.push(`${replica} missed something`),
    });
    node.hear({ ...ears('r1'), wake: () => expect.fail('a defect of this listener') });
    node.hear(ears('r1'));
    node.hear(ears('r2'));
    const caller = new Caller(under);
    for (const [name, replica] of [
      ['a', 'r1'],
      ['b', 'r2'],
    ] as const) {
      await caller.hold(attempt(name, tokenAt(), name));
      await caller.join(placeOf(`waiter of ${name}`, 1, { resources: [name], replica }));
      expect((await caller.release(attempt(name, tokenAt(), name))).kind).toBe('released');
    }
    const third = attempt('c', tokenAt(), 'c');
    await caller.hold(third);
    await caller.force('c');
    const forced = ['r1', 'r1', 'r2'].map((replica) => `${replica}: forced ${third.leaseRef}`);
    expect(heard).toEqual(['r1: waiter of a', 'r2: waiter of b', ...forced]);
    node.restart('lost');
    expect(heard.slice(5)).toEqual(['r1', 'r1', 'r2'].map((replica) => `${replica} missed something`));
  });

  test('tells in the order of what was done, even if a listener asks at once', async () => {
    const under = openMemory('run-1');
    await reset(under);
    const node = under.node as MemoryNode;
    const caller = new Caller(under);
    const seen: string[] = [];
    const wake = () => void caller.hold(lease, { mode: 'shared' });
    const first = { replica: 'r1', wake, news: () => {}, forced: () => {}, missed: () => {} };
    node.hear(first);
    node.hear({
      ...first,
      wake: ({ id }) => void seen.push(id),
      news: ({ type }) => void seen.push(type),
    });
    await under.watch(1000);
    await caller.join(placeOf('w', 1, { replica: 'r1', mode: 'shared' }));
    await caller.hold(attempt('x', tokenAt(-9), 'a'), { mode: 'shared' });
    await caller.release(attempt('x', tokenAt(-9), 'a'));
    expect(seen).toEqual(['queued', 'held', 'w', 'released', 'held']);
  });

  test('is unreachable until it is admitted', async () => {
    const node = new MemoryNode({ id: nodeId, clock: new ManualClock() });
    expect(await node.ask({ kind: 'ping' })).toEqual(silence('unreachable'));
  });
});
