/** Links that lose one direction, delay and reorder: locks stay exclusive, tokens grow, and nothing is left behind. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SeededRandom } from '../../src/std/random.ts';
import { linksTo } from '../harness/link.ts';
import { DOWN, Nodes } from '../harness/nodes.ts';
import { bootstrapped, type Environment, type Lease, refusal, TestReplica } from '../harness/replica.ts';
import { until } from '../harness/until.ts';

type Net = Awaited<ReturnType<typeof linksTo>>;

const GRANTS = 60;

let nodes: Nodes;
const closing: (() => void | Promise<void>)[] = [];

beforeEach(async () => {
  nodes = await Nodes.start(3);
  await bootstrapped(nodes.list);
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await nodes.close();
});

/** A replica with links of its own to each node. */
async function linked(env: Environment = {}): Promise<{ replica: TestReplica; net: Net }> {
  const net = await linksTo(nodes.servers);
  closing.push(() => net.close());
  const replica = await TestReplica.start(net.list, env);
  closing.push(() => replica.stop());
  return { replica, net };
}

describe('a link that carries one direction only', () => {
  test.each(['in', 'out'] as const)(
    '(%s lost) to one node changes nothing for callers',
    async (direction) => {
      const { replica, net } = await linked();
      net.links[0]!.swallow(direction);
      const lease = await replica.client.lock('gpu/0');
      expect(await replica.client.heartbeat(lease.lease_id)).toMatchObject({ lease_ref: lease.lease_ref });
      expect(await replica.client.release(lease.lease_id)).toBe(true);
      net.links[0]!.flow();
      await nodes.free('gpu/0');
      await replica.becomes('ready', 'ready', 'ready');
    },
  );

  test('(answers lost) to two nodes is NO_QUORUM, although they voted, and their votes are undone', async () => {
    const { replica, net } = await linked();
    for (const link of net.links.slice(1)) link.swallow('out');
    const said = await refusal(replica.client.acquire({ resources: ['gpu/0'] }));
    expect(said).toMatchObject({ reason: 'NO_QUORUM', metadata: { answered: '1' } });
    // The undo goes the same way as the vote, and arrives although nobody hears of it.
    await nodes.free('gpu/0');
    for (const link of net.links) link.flow();
    await until('the lock is granted', () => replica.client.tryLock('gpu/0'));
  });

  test('(votes lost) between one replica and the majority does not stop the other replica', async () => {
    const [one, two] = [await linked(), await linked()];
    const lease = await one.replica.client.lock('gpu/0');
    for (const link of one.net.links.slice(1)) link.swallow('in');
    expect(await refusal(one.replica.client.heartbeat(lease.lease_id))).toMatchObject({
      reason: 'NO_QUORUM',
    });
    expect(await two.replica.client.heartbeat(lease.lease_id)).toMatchObject({ lease_ref: lease.lease_ref });
    expect(await two.replica.client.release(lease.lease_id)).toBe(true);
  });
});

/** Whoever is inside, by what callers were told; and every grant with what had been told before it was asked for. */
class Witness {
  granted = 0;
  #highest = 0n;
  #inside: string | undefined;

  get highest(): bigint {
    return this.#highest;
  }

  enter(lease: Lease, toldBefore: bigint): void {
    expect(this.#inside, `${lease.lease_ref} is granted while another holds`).toBeUndefined();
    expect(BigInt(lease.fencing_token)).toBeGreaterThan(toldBefore);
    this.#inside = lease.lease_ref;
    this.#highest = BigInt(lease.fencing_token);
    this.granted += 1;
  }

  leave(): void {
    this.#inside = undefined;
  }
}

test(`with every message delayed at random and a node stopping now and then, ${GRANTS} grants exclude each other`, async () => {
  const seed = Date.now() % 100_000;
  const random = new SeededRandom(seed);
  // Whoever meets the node that stands still waits for so long; refusals are part of this test.
  const env = { HOLDFAST_NODE_TIMEOUT: '150ms' };
  const pairs = [await linked(env), await linked(env)];
  for (const { net } of pairs) {
    for (const link of net.links) link.delayMs = () => random.fraction() * 8;
  }
  const witness = new Witness();
  const work = async (who: number): Promise<void> => {
    const { client } = pairs[who % 2]!.replica;
    while (witness.granted < GRANTS) {
      const toldBefore = witness.highest;
      const lease = await client.tryLock('gpu/0', { owner: `w${who}` });
      if (lease === undefined) continue;
      witness.enter(lease, toldBefore);
      await client.checkToken('gpu/0', lease.fencing_token).catch(() => {});
      witness.leave();
      // Without a majority the release goes on by itself; the ttl is behind it.
      await client.release(lease.lease_id).catch(() => {});
    }
  };
  const stop = async (): Promise<void> => {
    for (let at = 0; witness.granted < GRANTS; at += 1) {
      const server = nodes.servers[at % 3]!;
      server.pause();
      const before = witness.granted;
      await until('the others go on', () => witness.granted >= Math.min(GRANTS, before + 10));
      server.resume();
      await until('the node answers', async () => (await nodes.holder(at % 3, 'gpu/0')) !== DOWN);
      await until(
        'all are ready',
        () => witness.granted >= GRANTS || pairs[0]!.replica.states.every((s) => s === 'ready'),
      );
    }
  };
  try {
    await Promise.all([...Array.from({ length: 4 }, (_, who) => work(who)), stop()]);
  } catch (error) {
    throw new Error(`with seed ${seed}: ${String(error)}`, { cause: error });
  }
  for (const { net } of pairs) for (const link of net.links) link.delayMs = () => 0;
  await nodes.free('gpu/0');
});
