/** Locks by libraries that poll the nodes themselves, as their READMEs use them: one ioredis client a node. */
import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import { Redis } from 'ioredis';
import { RedlockMutex } from 'redis-semaphore';
import Redlock from 'redlock';
import { beat, nowMs } from '../harness/pace.ts';
import type { Answer, Lease, Locker, Wish } from './locker.ts';

const RETRY = { retryDelay: 50, retryJitter: 25 };

/** What both versions of redlock have in common once their names are made alike. */
interface Red {
  readonly expiration: number;
  extend(ttlMs: number): PromiseLike<Red>;
  release(): PromiseLike<unknown>;
}
type Take = (resource: string, ttlMs: number, retryCount: number) => PromiseLike<Red>;

/** Version 4 is no module and has no types: what of it is used here. */
interface Red4 {
  readonly expiration: number;
  extend(ttlMs: number): PromiseLike<Red4>;
  unlock(): PromiseLike<void>;
}
interface Redlock4 {
  lockWithOptions(resource: string, ttlMs: number, options: object): PromiseLike<Red4>;
  on(event: 'clientError', listener: () => void): void;
}
const Redlock4 = createRequire(import.meta.url)('redlock4') as new (
  clients: readonly Redis[],
  options?: object,
) => Redlock4;

function connect(sockets: readonly string[], commandTimeout: number): Redis[] {
  return sockets.map((path) => {
    const node = new Redis({ path, commandTimeout, disableClientInfo: true });
    node.on('error', () => {});
    return node;
  });
}

/** They have no token. The time of the answer grows as a token should, so that rule says nothing of them. */
const noToken = (): bigint => process.hrtime.bigint();

function of4(lock: Red4): Red {
  return {
    expiration: lock.expiration,
    extend: async (ttlMs) => of4(await lock.extend(ttlMs)),
    release: () => lock.unlock(),
  };
}

function take4(nodes: readonly Redis[]): Take {
  const redlock = new Redlock4(nodes, RETRY);
  redlock.on('clientError', () => {});
  return async (resource, ttlMs, retryCount) =>
    of4(await redlock.lockWithOptions(resource, ttlMs, { retryCount }));
}

function take5(nodes: readonly Redis[]): Take {
  const redlock = new Redlock(nodes as unknown as ConstructorParameters<typeof Redlock>[0], RETRY);
  redlock.on('error', () => {});
  return (resource, ttlMs, retryCount) => redlock.acquire([resource], ttlMs, { retryCount });
}

/** Extended at half of its ttl, as `using` does; valid until `expiration`, which is redlock's own count. */
function redLease(first: Red, resource: string, ttlMs: number, version: 4 | 5): Lease {
  let lock = first;
  let over = false;
  let failed = false;
  const stop = beat(ttlMs / 2, () => {
    void Promise.resolve(lock.extend(ttlMs)).then(
      (extended) => {
        if (!over) lock = extended;
      },
      () => {
        failed = true;
      },
    );
  });
  const forget = (): boolean => {
    over = true;
    stop();
    return true;
  };
  return {
    leaseRef: randomUUID(),
    token: noToken(),
    resources: [resource],
    replayed: false,
    untilMs() {
      const atMs = nowMs();
      const leftMs = lock.expiration - Date.now();
      // An extension that fails has unlocked it in version 4, and is tried again until the end in version 5.
      if (leftMs > 0 && !(failed && version === 4)) return atMs + leftMs;
      stop();
      return undefined;
    },
    ended: () => ({ how: failed ? 'lost' : 'expired' }),
    release: async () => {
      forget();
      await lock.release();
      return true;
    },
    forget,
  };
}

export class WithRedlock implements Locker {
  readonly #nodes: readonly Redis[];
  readonly #take: Take;
  readonly #version: 4 | 5;

  constructor(sockets: readonly string[], nodeTimeoutMs: number, version: 4 | 5) {
    this.#nodes = connect(sockets, nodeTimeoutMs);
    this.#version = version;
    this.#take = (version === 4 ? take4 : take5)(this.#nodes);
  }

  async acquire({ resources, ttlMs, waitMs }: Wish): Promise<Answer> {
    const [resource = ''] = resources;
    try {
      // Version 4 takes a count of 0 for "not set".
      const retries = Math.max(1, Math.ceil(waitMs / RETRY.retryDelay));
      const lock = await this.#take(resource, ttlMs, retries);
      return { kind: 'granted', lease: redLease(lock, resource, ttlMs, this.#version) };
    } catch (error) {
      return { kind: 'refused', reason: (error as Error).name };
    }
  }

  async close(): Promise<void> {
    for (const node of this.#nodes) node.disconnect();
  }
}

/** It has no count of validity: who holds is who finds `isAcquired` true, at the moment when he looks. */
export class WithSemaphore implements Locker {
  readonly #nodes: readonly Redis[];

  constructor(sockets: readonly string[], nodeTimeoutMs: number) {
    this.#nodes = connect(sockets, nodeTimeoutMs);
  }

  async acquire({ resources, ttlMs, waitMs }: Wish): Promise<Answer> {
    const [resource = ''] = resources;
    let lostMs: number | undefined;
    const mutex = new RedlockMutex([...this.#nodes], resource, {
      lockTimeout: ttlMs,
      acquireTimeout: Math.max(waitMs, 1),
      retryInterval: RETRY.retryDelay,
      onLockLost: () => {
        lostMs = nowMs();
      },
    });
    try {
      if (!(await mutex.tryAcquire())) return { kind: 'busy' };
    } catch (error) {
      return { kind: 'refused', reason: (error as Error).name };
    }
    return {
      kind: 'granted',
      lease: {
        leaseRef: mutex.identifier,
        token: noToken(),
        resources: [resource],
        replayed: false,
        untilMs: () => (mutex.isAcquired ? nowMs() : undefined),
        ended: () => (lostMs === undefined ? { how: 'lost' } : { how: 'lost', atMs: lostMs }),
        release: async () => {
          const held = mutex.isAcquired;
          await mutex.release();
          return held;
        },
        forget: () => {
          mutex.stopRefresh();
          return true;
        },
      },
    };
  }

  async close(): Promise<void> {
    for (const node of this.#nodes) node.disconnect();
  }
}
