/** Locks by Holdfast's own client: a Session keeps them, and moves with them from replica to replica. */
import {
  BusyError,
  DrainingError,
  Holdfast,
  HoldfastError,
  type Lease as Leased,
  NoQuorumError,
  UnavailableError,
} from '../../clients/typescript/src/index.ts';
import { nowMs } from '../harness/pace.ts';
import type { Answer, Lease, Locker, Wish } from './locker.ts';

function leaseOf(lease: Leased): Lease {
  let toldMs: number | undefined;
  lease.signal.addEventListener('abort', () => {
    toldMs = nowMs();
  });
  return {
    leaseRef: lease.leaseRef,
    token: lease.token,
    resources: lease.resources,
    replayed: false,
    untilMs() {
      const atMs = nowMs();
      const leftMs = lease.remainingMs;
      return leftMs > 0 ? atMs + leftMs : undefined;
    },
    ended() {
      const how = lease.lost?.reason === 'expired' ? 'expired' : 'lost';
      return toldMs === undefined ? { how } : { how, atMs: toldMs };
    },
    release: () => lease.release(),
    forget: () => false,
  };
}

/** What is not known to have failed may have taken effect. */
export function refusalOf(error: unknown): Answer {
  if (error instanceof BusyError) return { kind: 'busy' };
  if (error instanceof NoQuorumError || error instanceof UnavailableError)
    return { kind: 'unknown', reason: error.reason };
  if (error instanceof DrainingError) return { kind: 'refused', reason: error.reason };
  if (error instanceof HoldfastError) return { kind: 'refused', reason: error.reason };
  return { kind: 'unknown', reason: 'CANCELLED' };
}

export class WithHoldfast implements Locker {
  readonly #holdfast: Holdfast;

  constructor(addresses: readonly string[], ttlMs: number) {
    this.#holdfast = new Holdfast({
      addresses,
      ttl: ttlMs,
      // As long as the ttl: whatever breaks a connection, nothing is released before the promise ends.
      grace: ttlMs,
      keepalive: { time: 2 * ttlMs, timeout: 2 * ttlMs },
    });
  }

  async acquire(wish: Wish): Promise<Answer> {
    const { resources, mode, any, priority, requestId, owner, ttlMs, waitMs, signal, onQueued } = wish;
    try {
      const lease = await this.#holdfast.acquire(resources, {
        mode,
        priority,
        owner,
        onQueued,
        signal,
        ttl: ttlMs,
        ...(any === 0 ? {} : { any }),
        ...(waitMs === 0 ? {} : { wait: waitMs }),
        ...(requestId === '' ? {} : { requestId }),
      });
      return { kind: 'granted', lease: leaseOf(lease) };
    } catch (error) {
      return refusalOf(error);
    }
  }

  async force(resource: string): Promise<readonly string[]> {
    const freed = await this.#holdfast.forceRelease(resource, { reason: 'at random' });
    return freed.map(({ leaseRef }) => leaseRef);
  }

  close(): Promise<void> {
    return this.#holdfast.close();
  }
}
