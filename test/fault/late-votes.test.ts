/** Votes and undos that arrive late or in the wrong order change nothing; each rule that sees to it is tested both ways. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { scripts } from '../../src/nodes/scripts.ts';
import { attemptOf, BareNode } from '../harness/bare-node.ts';
import { Link } from '../harness/link.ts';
import { Nodes } from '../harness/nodes.ts';
import { bootstrapped, refusal, TestReplica } from '../harness/replica.ts';
import { attemptsNotTold, closedComesBack, renewAcquires, undoClosesNothing } from '../harness/rules-off.ts';
import { repeat, until } from '../harness/until.ts';

type Scripts = typeof scripts;

let nodes: Nodes;
const closing: (() => void | Promise<void>)[] = [];

beforeEach(async () => {
  nodes = await Nodes.start(3);
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await nodes.close();
});

async function bare(index: number, using: Scripts, link?: Link): Promise<BareNode> {
  const node = await BareNode.open(link ?? nodes.servers[index]!, using, link === undefined ? 5000 : 100);
  closing.push(() => node.close());
  return node;
}

const now = (): bigint => BigInt(Date.now()) * 1000n;

describe('a node that sleeps past the deadline of its vote', () => {
  test('is told to undo, and when it wakes nothing of the attempt stands', async () => {
    await bootstrapped(nodes.list);
    const replica = await TestReplica.start(nodes.list);
    closing.push(() => replica.stop());
    await repeat(3, async (round) => {
      const asleep = [nodes.servers[(round + 1) % 3]!, nodes.servers[(round + 2) % 3]!];
      for (const server of asleep) server.pause();
      const said = await refusal(replica.client.acquire({ resources: [`gpu/${round}`] }));
      expect(said).toMatchObject({ reason: 'NO_QUORUM' });
      expect(await nodes.holder(round % 3, `gpu/${round}`)).toBe('');
      for (const server of asleep) server.resume();
      // The late vote has been executed once the fence bears witness of it; it is closed by its undo.
      await until('the late votes are undone', async () => {
        const records = await Promise.all(nodes.servers.map((_, at) => nodes.record(at, `gpu/${round}`)));
        return records.every((record) => record?.state === 'u' && record.expiryMicros === 0);
      });
      await nodes.free(`gpu/${round}`);
      await replica.becomes('ready', 'ready', 'ready');
      const lease = await replica.client.lock(`gpu/${round}`);
      expect(await replica.client.release(lease.lease_id)).toBe(true);
    });
  });

  test('votes too late for a caller that is granted by the others, and is repaired by its heartbeat', async () => {
    await bootstrapped(nodes.list);
    const replica = await TestReplica.start(nodes.list);
    closing.push(() => replica.stop());
    nodes.servers[2]!.pause();
    const lease = await replica.client.lock('gpu/0');
    nodes.servers[2]!.resume();
    await until('all three hold it', async () => {
      await replica.client.heartbeat(lease.lease_id);
      const held = await nodes.holders('gpu/0');
      return held.every((value) => value !== '' && value === held[0]);
    });
    expect(await replica.client.release(lease.lease_id)).toBe(true);
    await nodes.free('gpu/0');
  });
});

test('a release shuts the door at a node that had not heard of the lease: its late vote finds a closed token', async () => {
  await bootstrapped(nodes.list);
  const replica = await TestReplica.start(nodes.list);
  closing.push(() => replica.stop());
  const lease = await replica.client.lock('gpu/0');
  await until('all three hold it', async () => (await nodes.holders('gpu/0')).every((value) => value !== ''));
  await nodes.run(2, 'DEL', 'holdfast:r:gpu/0');
  expect(await replica.client.release(lease.lease_id)).toBe(true);
  // A release that matched nothing there changes nothing; only the closing one, sent after it, writes a fence.
  const record = await until('the third node has closed the token', () => nodes.record(2, 'gpu/0'));
  expect(record).toMatchObject({ fence: Number(lease.fencing_token), state: 'r', expiryMicros: 0 });
});

describe('an undo that arrives before its acquire', () => {
  /** The acquire is held on its way, the undo takes another connection. */
  async function overtake(using: Scripts): Promise<{ late: string; told: string }> {
    const link = await Link.to(nodes.servers[0]!.socketPath);
    closing.push(() => link.close());
    const [slow, quick] = [await bare(0, using, link), await bare(0, using)];
    const attempt = attemptOf('secret-of-p1', now(), 'gpu/0');
    link.hold('in');
    const answer = await slow.hold(attempt);
    expect(answer).toMatchObject({ kind: 'silent', why: 'timeout' });
    expect(link.kept('in')).toBeGreaterThan(0);
    expect(await quick.undo(attempt)).toEqual({ kind: 'released', matched: false });
    const before = await executed(0);
    link.flow();
    await until('the late acquire is executed', async () => (await executed(0)) > before);
    return { late: await quick.holder('gpu/0'), told: attempt.leaseRef };
  }

  test('leaves a late acquire no way in', async () => {
    expect((await overtake(scripts)).late).toBe('');
  });

  test('without closing the token lets the late acquire hold the lock for nobody', async () => {
    const { late, told } = await overtake(undoClosesNothing);
    expect(late).toBe(told);
  });
});

/** How many scripts a node has run by EVALSHA or EVAL. */
async function executed(index: number): Promise<number> {
  const stats = String(await nodes.run(index, 'INFO', 'commandstats'));
  return [...stats.matchAll(/cmdstat_eval(?:sha)?:calls=(\d+)/g)].reduce(
    (sum, [, calls]) => sum + Number(calls),
    0,
  );
}

describe('a late undo of attempt 1 after attempt 2 of the same request', () => {
  /** P1's first attempt fails and its undo is late at node A; P1's second is granted by A and B; then P2 asks A and C. */
  async function overtake(using: Scripts): Promise<{ second: string[]; holders: string[] }> {
    const [a, b, c] = [await bare(0, using), await bare(1, using), await bare(2, using)];
    const token = now();
    const [first, second] = [
      attemptOf('secret-of-p1', token, 'gpu/0'),
      attemptOf('secret-of-p1', token + 1n, 'gpu/0'),
    ];
    const rival = attemptOf('secret-of-p2', token + 2n, 'gpu/0');
    for (const node of [b, c]) await node.undo(first);
    for (const node of [a, b]) expect(await node.hold(second)).toEqual({ kind: 'held' });
    await a.undo(first);
    const answers = [await a.hold(rival), await c.hold(rival)];
    return {
      second: answers.map(({ kind }) => kind),
      holders: [await a.holder('gpu/0'), await b.holder('gpu/0')],
    };
  }

  test('does not free attempt 2: the rival is refused', async () => {
    const { second, holders } = await overtake(scripts);
    expect(second).toEqual(['conflict', 'held']);
    expect(holders[0]).toBe(holders[1]);
  });

  test('frees it when nodes do not tell the attempts apart: two holders with a majority each', async () => {
    const { second, holders } = await overtake(attemptsNotTold);
    expect(second).toEqual(['held', 'held']);
    expect(holders[0]).not.toBe(holders[1]);
  });
});

describe('an extension that arrives after the release', () => {
  async function late(
    using: Scripts,
    half: 'renew' | 'repair',
  ): Promise<{ kind: string; holder: string; ref: string }> {
    const node = await bare(0, using);
    const attempt = attemptOf('secret-of-p1', now(), 'gpu/0');
    expect(await node.hold(attempt)).toEqual({ kind: 'held' });
    expect(await node.release(attempt)).toEqual({ kind: 'released', matched: true });
    const { kind } = await node[half](attempt);
    return { kind, holder: await node.holder('gpu/0'), ref: attempt.leaseRef };
  }

  test('finds the lease missing as a renewal', async () => {
    expect(await late(scripts, 'renew')).toMatchObject({ kind: 'missing', holder: '' });
  });

  test('brings the lease back when a renewal may acquire', async () => {
    const { holder, ref } = await late(renewAcquires, 'renew');
    expect(holder).toBe(ref);
  });

  test('finds the token closed as a repair', async () => {
    expect(await late(scripts, 'repair')).toMatchObject({ kind: 'stale', holder: '' });
  });

  test('brings the lease back when a closed token may be used again', async () => {
    const { holder, ref } = await late(closedComesBack, 'repair');
    expect(holder).toBe(ref);
  });
});
