/** Takers of the libraries that poll Redis nodes, as their READMEs use them: own scripts, one ioredis client a node. */
import { createRequire } from 'node:module';
import { Redis } from 'ioredis';
import { RedlockMutex } from 'redis-semaphore';
import Redlock from 'redlock';
import { type Opener, TTL_MS } from './handoff-taker.ts';

/** Milliseconds. Sooner gains nothing: the nodes are then busy with refusals. */
const RETRY = { delay: 3, jitter: 2 };
/** So often that nobody gives up within a slice, and everybody soon after the last one. */
const RETRIES = 1000;

/** Version 4 is no module and has no types: what of it is used here. */
interface Redlock4 {
  acquire(resource: string, ttlMs: number): PromiseLike<{ unlock(): PromiseLike<void> }>;
  on(event: 'clientError', listener: () => void): void;
}
type Redlock4Options = Readonly<Record<'retryCount' | 'retryDelay' | 'retryJitter', number>>;
const Redlock4 = createRequire(import.meta.url)('redlock4') as new (
  clients: readonly Redis[],
  options?: Redlock4Options,
) => Redlock4;

const TUNED: Redlock4Options = {
  retryCount: RETRIES,
  retryDelay: RETRY.delay,
  retryJitter: RETRY.jitter,
};

async function connect(addresses: readonly string[]): Promise<Redis[]> {
  const nodes = addresses.map((address) => new Redis(address));
  await Promise.all(nodes.map((node) => node.ping()));
  return nodes;
}

function redlock4(options?: Redlock4Options): Opener {
  return async (addresses, clients) => {
    const redlock = new Redlock4(await connect(addresses), options);
    // Nodes that cannot be reached: the failed acquire says enough.
    redlock.on('clientError', () => {});
    return clients.map(() => async (name) => {
      const lock = await redlock.acquire(name, TTL_MS);
      return { token: 0, release: async () => lock.unlock() };
    });
  };
}

export const openRedlock4Tuned = redlock4(TUNED);
export const openRedlock4Default = redlock4();

/**
 * It keeps what a failed attempt got at some of the nodes until its retries are used up: with many of them nobody ever
 * has a majority. So few, and our client asks again.
 */
const TUNED_5 = { retryCount: 5, retryDelay: 10, retryJitter: 8 };

export const openRedlock5: Opener = async (addresses, clients) => {
  const nodes = await connect(addresses);
  const redlock = new Redlock(nodes as unknown as ConstructorParameters<typeof Redlock>[0], TUNED_5);
  redlock.on('error', () => {});
  return clients.map(() => async (name) => {
    const lock = await redlock.acquire([name], TTL_MS);
    return { token: 0, release: async () => void (await lock.release()) };
  });
};

export const openRedisSemaphore: Opener = async (addresses, clients) => {
  const nodes = await connect(addresses);
  return clients.map(() => async (name) => {
    const mutex = new RedlockMutex(nodes, name, {
      lockTimeout: TTL_MS,
      acquireTimeout: TTL_MS,
      retryInterval: RETRY.delay,
    });
    await mutex.acquire();
    return { token: 0, release: () => mutex.release() };
  });
};
