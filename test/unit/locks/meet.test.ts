/** Proposers that meet at the nodes: who is granted, what the others are told, and that it ends. */
import { describe, expect, test } from 'vitest';
import { limits } from '../../../src/domain/limits.ts';
import type { NodeOp } from '../../../src/nodes/node.ts';
import { words } from '../quorum/vectors.ts';
import { leaseOf, quiet, World } from './world.ts';

describe('proposers that meet', () => {
  test('whoever reaches a majority of the nodes first is granted, the other is told who: all orders', async () => {
    for (const firsts of words('ab', 3)) {
      const world = await World.of();
      world.fate = (_, __, op) => (op.kind === 'hold' ? 'later' : 'now');
      const asked = { a: world.replica('a').acquire(), b: world.replica('b').acquire() };
      await quiet();
      const requests = [...world.inFlight];
      for (const [node, first] of [...firsts].entries()) {
        const here = requests.filter((message) => message.node === node);
        here.sort((x, y) => Number(y.replica === first) - Number(x.replica === first));
        for (const message of here) await world.deliver(message);
      }
      world.fate = () => 'now';
      await world.deliverAll();
      const winner = [...firsts].filter((letter) => letter === 'a').length >= 2 ? 'a' : 'b';
      const loser = winner === 'a' ? 'b' : 'a';
      const lease = leaseOf(await world.finish(asked[winner]));
      expect(await world.finish(asked[loser]), firsts).toMatchObject({
        kind: 'busy',
        holders: [{ owner: winner }],
      });
      for (const holder of world.holders()) expect(['', lease.leaseRef]).toContain(holder);
    }
  });

  test('three that take one node each do not block each other for ever: exactly one is granted', async () => {
    const world = await World.of();
    world.fate = (_, __, op) => (op.kind === 'hold' ? 'later' : 'now');
    const ids = ['a', 'b', 'c'];
    const asked = ids.map((id) => world.replica(id).acquire());
    await quiet();
    const requests = [...world.inFlight];
    for (const [node, id] of ids.entries()) {
      await world.deliver(requests.find((message) => message.node === node && message.replica === id)!);
    }
    for (const message of requests) if (message.answer === undefined) await world.deliver(message);
    const answers = await world.finish(Promise.all(asked));
    const leases = answers.flatMap((answer) => (answer.kind === 'lease' ? [answer.leaseRef] : []));
    expect(leases.length).toBe(1);
    for (const holder of world.holders()) expect(['', leases[0]]).toContain(holder);
  });

  test('against remains that nobody takes away it gives up after a bounded number of attempts', async () => {
    const world = await World.of();
    const attempt = (node: number) => (_: string, at: number, op: NodeOp) =>
      op.kind !== 'hold' || at !== node ? 'lost' : ('unheard' as const);
    world.fate = attempt(0);
    await world.replica('left').acquire();
    world.fate = attempt(1);
    await world.replica('right').acquire();
    world.fate = (id) => (id === 'a' ? 'now' : 'lost');
    const replica = world.replica('a');
    const answer = await world.finish(replica.acquire());
    expect(answer.kind).toBe('busy');
    expect(replica.count('hold')[0]).toBe(limits.attempts);
    expect(world.holders()[2]).toBe('');
  });
});
