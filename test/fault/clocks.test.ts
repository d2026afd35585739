/** Clocks that run ahead, behind or jump: tokens go on growing, and no broken clock may poison a fence. */
import { afterEach, describe, expect, test } from 'vitest';
import { scripts } from '../../src/nodes/scripts.ts';
import { type Clock, systemClock } from '../../src/std/clock.ts';
import { attemptOf, BareNode } from '../harness/bare-node.ts';
import { Desk, granted } from '../harness/desk.ts';
import { linksTo } from '../harness/link.ts';
import { Nodes } from '../harness/nodes.ts';
import { Preload } from '../harness/preload.ts';
import { bootstrapped, TestReplica } from '../harness/replica.ts';
import { closeWithoutBound, leadOff, suspicionOff } from '../harness/rules-off.ts';
import { repeat, until } from '../harness/until.ts';

const S = 1_000_000;
const TEN_YEARS = 10 * 365 * 24 * 3600 * S;

const closing: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function start(clock?: Preload): Promise<Nodes> {
  // Only node 2's clock is in the test's hands.
  const nodes = await Nodes.start(3, (index) =>
    index === 1 && clock !== undefined ? { env: clock.env } : {},
  );
  closing.push(() => nodes.close());
  await bootstrapped(nodes.list);
  return nodes;
}

function skewedClock(): Preload {
  const clock = Preload.skewedClock();
  closing.push(() => clock.close());
  return clock;
}

/** A replica whose wall clock is off by so many microseconds. */
async function replica(nodes: Nodes, offMicros = 0): Promise<TestReplica> {
  const clock: Clock = { ...systemClock, wallMicros: () => systemClock.wallMicros() + offMicros };
  const started = await TestReplica.start(nodes.list, {}, { clock });
  closing.push(() => started.stop());
  return started;
}

const now = (): bigint => BigInt(Date.now()) * 1000n;

describe('replicas whose clocks differ', () => {
  test.each([
    ['5 s ahead and 5 s behind', 5 * S],
    ['ten years ahead and ten years behind', TEN_YEARS],
  ])('%s grant one resource in turns with growing, sane tokens', async (_, off) => {
    const nodes = await start();
    const replicas = [await replica(nodes, off), await replica(nodes, -off), await replica(nodes)];
    let last = 0n;
    await repeat(30, async (round) => {
      const lease = await replicas[round % 3]!.client.lock('gpu/0');
      const token = BigInt(lease.fencing_token);
      expect(token).toBeGreaterThan(last);
      // Near the nodes' time, whatever the replica believes: the lead is a second.
      expect(Number(token - now()) / S).toBeLessThan(2);
      last = token;
      expect(await replicas[(round + 1) % 3]!.client.release(lease.lease_id)).toBe(true);
    });
  });

  test('one ten years ahead leaves every fence where the next replica is granted at once', async () => {
    const nodes = await start();
    const [broken, sound] = [await replica(nodes, TEN_YEARS), await replica(nodes)];
    const mad = await broken.client.lock('gpu/0');
    expect((await sound.client.acquire({ resources: ['gpu/0'], owner: 'w2' })).outcome).toBe('busy');
    expect(await broken.client.release(mad.lease_id)).toBe(true);
    const lease = await sound.client.lock('gpu/0');
    expect(BigInt(lease.fencing_token)).toBeGreaterThan(BigInt(mad.fencing_token));
    for (const { fence } of (await sound.client.inspect('gpu/0')).nodes) {
      expect(Number(BigInt(fence) - now()) / S).toBeLessThan(2);
    }
  });
});

describe('a token ten years ahead', () => {
  /** A hold, its undo, and what a sound proposer is told afterwards. */
  async function poison(using: typeof scripts, how: 'hold' | 'undo'): Promise<string> {
    const nodes = await Nodes.start(1);
    closing.push(() => nodes.close());
    const node = await BareNode.open(nodes.servers[0]!, using);
    closing.push(() => node.close());
    const mad = attemptOf('secret-of-mad', now() + BigInt(TEN_YEARS), 'gpu/0');
    if (how === 'hold') await node.hold(mad);
    await node.undo(mad);
    return (await node.hold(attemptOf('secret-of-sound', now(), 'gpu/0'))).kind;
  }

  test('is refused, so that a sound one is granted', async () => {
    expect(await poison(scripts, 'hold')).toBe('held');
    expect(await poison(scripts, 'undo')).toBe('held');
  });

  test('without the bound on a hold shuts out every sound one', async () => {
    expect(await poison(leadOff, 'hold')).toBe('stale');
  });

  test('without the bound on a close shuts out every sound one', async () => {
    expect(await poison(closeWithoutBound, 'undo')).toBe('stale');
  });
});

describe("a node's wall clock that jumps", () => {
  test.each([
    ['forwards by 10 s', 10 * S],
    ['back by 10 s', -10 * S],
    ['forwards by 300 ms', 0.3 * S],
  ])('%s makes the node suspect at every replica for one longest ttl', async (_, jump) => {
    const clock = skewedClock();
    const nodes = await start(clock);
    const [one, two] = [await replica(nodes), await replica(nodes)];
    // A jump can be told only from a reading before it.
    await Promise.all([one, two].map((each) => each.client.list()));
    clock.set(jump);
    await Promise.all([one, two].map((each) => each.becomes('ready', 'suspect', 'ready')));
    const seenMs = performance.now();
    const status = await two.client.status();
    expect(status.nodes[1]).toMatchObject({ state: 'NODE_STATE_SUSPECT', detail: 'clock jumped' });
    // The others serve meanwhile, and the suspect gets no vote.
    const lease = await two.client.lock('gpu/0');
    expect(await nodes.holder(1, 'gpu/0')).toBe('');
    expect(await two.client.release(lease.lease_id)).toBe(true);
    // A third that starts now has not seen the jump: the suspicion stands on the node.
    const three = await replica(nodes);
    expect(three.states[1]).not.toBe('ready');
    await Promise.all([one, two, three].map((each) => each.becomes('ready', 'ready', 'ready')));
    expect(performance.now() - seenMs).toBeGreaterThan(1000);
  });

  /** Node 3 is cut off while the lease is taken; then node 2's clock runs past the lease's end. */
  async function second(using: typeof scripts, expected: string): Promise<boolean> {
    const clock = skewedClock();
    const nodes = await start(clock);
    const net = await linksTo(nodes.servers);
    closing.push(() => net.close());
    const [one, two] = [
      await Desk.open(net.list, { scripts: using }),
      await Desk.open(nodes.list, { scripts: using }),
    ];
    closing.push(
      () => one.close(),
      () => two.close(),
    );
    net.links[2]!.cut();
    const first = await one.lock('gpu/0', { owner: 'first' });
    clock.set(10 * S);
    const suspectAt = () => nodes.run(1, 'HGET', 'holdfast:meta', 'suspect');
    await until('somebody noticed the jump', async () => (await suspectAt()) !== '0');
    await until(`node 2 is ${expected}`, () => two.states[1] === expected);
    const answer = await two.acquire('gpu/0', { owner: 'second' });
    return granted(answer) && Date.now() < first.expireTimeMs;
  }

  test('lets no second holder in once the jump was noticed', async () => {
    expect(await second(scripts, 'suspect')).toBe(false);
  });

  test('without the suspicion lets a second holder in', async () => {
    expect(await second(suspicionOff, 'ready')).toBe(true);
  });
});
