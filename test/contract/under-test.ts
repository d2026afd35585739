/** The two nodes that keep the contract, each behind the same handful of levers: clock, memory, admission. */

import { Redis } from 'ioredis';
import type { AdminAnswer, AdminOp, NewMeta } from '../../src/nodes/admin.ts';
import { keysOf, newsChannel, wakeChannel } from '../../src/nodes/keys.ts';
import type { Ears, News, Wake } from '../../src/nodes/line.ts';
import { MemoryNode } from '../../src/nodes/memory-node.ts';
import type { Rules } from '../../src/nodes/memory-record.ts';
import { type LockNode, SCHEMA, type Stamp } from '../../src/nodes/node.ts';
import { RedisNode } from '../../src/nodes/redis-node.ts';
import { ManualClock, systemClock } from '../../src/std/clock.ts';
import { enlist } from '../harness/enlist.ts';
import { startRedis } from '../harness/redis-server.ts';
import { StillClock } from '../harness/still-clock.ts';
import { until } from '../harness/until.ts';

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
  /** The wakes for `replica` since the last call. */
  wakes(): Promise<readonly Wake[]>;
  /** The news since the last call. A node tells none until it is asked to `watch`: see `watch`. */
  news(): Promise<readonly News[]>;
  /** The leases that were told as forced since the last call. */
  forced(): Promise<readonly string[]>;
  /** Asks for the news, and returns once they are heard. */
  watch(forMs: number): Promise<void>;
  close(): Promise<void>;
}

export const nodeId = 'node';
/** Who hears what the node tells; whoever asks it is another, or its own releases would not wake it. */
export const replica = 'r0';
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

/** Keeps what it hears until somebody asks. */
class KeepingEars implements Ears {
  readonly replica = replica;
  #wakes: Wake[] = [];
  #news: News[] = [];
  #forced: string[] = [];

  wake(wake: Wake): void {
    this.#wakes.push(wake);
  }

  news(news: News): void {
    this.#news.push(news);
  }

  forced(leaseRef: string): void {
    this.#forced.push(leaseRef);
  }

  missed(): void {}

  takeWakes(): readonly Wake[] {
    return this.#wakes.splice(0);
  }

  takeNews(): readonly News[] {
    return this.#news.splice(0);
  }

  takeForced(): readonly string[] {
    return this.#forced.splice(0);
  }
}

export function openMemory(runId = 'run-0', rules: Partial<Rules> = {}): UnderTest {
  const clock = new ManualClock(startMicros);
  const node = new MemoryNode({ id: nodeId, clock, runId, rules });
  const ears = new KeepingEars();
  node.hear(ears);
  return {
    node,
    runId,
    setClock: (micros) => clock.setWall(micros),
    forget: async () => node.restart('lost', runId),
    wakes: async () => ears.takeWakes(),
    news: async () => ears.takeNews(),
    forced: async () => ears.takeForced(),
    watch: async (forMs) => void (await node.ask({ kind: 'watch', forMs })),
    close: async () => {},
  };
}

export async function openRedis(): Promise<UnderTest> {
  const clock = new StillClock();
  const server = await startRedis({ env: clock.env });
  const control = new Redis(server.socketPath);
  // Longer than any test: what is slow here is the machine, and silence would be told as a difference.
  const timeoutMs = 30_000;
  const namespace = 'test';
  const node = new RedisNode({
    id: nodeId,
    url: server.url,
    namespace,
    timeoutMs,
    clock: systemClock,
  });
  const facts = await node.ready();
  if (facts === undefined) throw new Error('the node was closed before it was ready');
  const heard = await listenTo(node, control, namespace);
  return {
    node,
    runId: facts.runId,
    setClock: (micros) => clock.set(micros),
    forget: async () => void (await control.flushall()),
    ...heard,
    close: async () => {
      node.close();
      control.disconnect();
      await server.stop();
      clock.close();
    },
  };
}

async function listenTo(
  node: RedisNode,
  control: Redis,
  namespace: string,
): Promise<Pick<UnderTest, 'wakes' | 'news' | 'forced' | 'watch'>> {
  const ears = new KeepingEars();
  const keys = keysOf(namespace);
  const wakes = wakeChannel(keys, replica);
  let atMark = () => {};
  // A connection hears in the order in which the server publishes: what came before the mark is there with it.
  const marking: Ears = {
    replica,
    wake: (wake) => {
      if (wake.resource === '') atMark();
      else ears.wake(wake);
    },
    news: (news) => ears.news(news),
    forced: (leaseRef) => ears.forced(leaseRef),
    missed: () => ears.missed(),
  };
  const catchUp = async () => {
    const marked = new Promise<void>((resolve) => {
      atMark = resolve;
    });
    await control.publish(wakes, '');
    await marked;
  };
  const subscribed = (channel: string) =>
    until(`somebody hears ${channel}`, async () => Number((await control.pubsub('NUMSUB', channel))[1]));
  node.hear(marking);
  await subscribed(wakes);
  return {
    wakes: async () => {
      await catchUp();
      return ears.takeWakes();
    },
    news: async () => {
      await catchUp();
      return ears.takeNews();
    },
    forced: async () => {
      await catchUp();
      return ears.takeForced();
    },
    watch: async (forMs) => {
      await node.ask({ kind: 'watch', forMs });
      await subscribed(newsChannel(keys));
    },
  };
}
