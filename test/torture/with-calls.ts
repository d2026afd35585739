/** Locks by Holdfast's single calls: Acquire, Heartbeat and Release, at whichever replica answers, counted by ourselves. */
import { beat, nowMs } from '../harness/pace.ts';
import { type Lease as Leased, RpcClient, refusedBy, span } from '../harness/rpc-client.ts';
import type { Journal } from './journal.ts';
import type { Answer, Lease, Locker, Wish } from './locker.ts';

/** What G1 takes off a promise. */
const usableMs = (ttlMs: number): number => ttlMs * 0.99 - 2;
/** gRPC's own codes for what may have been done all the same. */
const OPEN = new Set(['', 'NO_QUORUM']);
/** Heartbeats within a ttl. */
const BEATS = 3;
/** Beyond what the service is asked to wait. */
const PATIENCE_MS = 1500;

/** What the service said; no reason where gRPC itself failed. */
function refused(error: unknown): { readonly reason: string; readonly code: number } {
  const failure = error as Parameters<typeof refusedBy>[0];
  if (failure.metadata === undefined) throw error;
  const typed = failure.metadata.get('grpc-status-details-bin').length > 0;
  return { code: failure.code, reason: typed ? refusedBy(failure).reason : '' };
}

export class WithCalls implements Locker {
  readonly #clients: readonly RpcClient[];
  readonly #journal: Journal;
  readonly #client: string;
  #next = 0;

  constructor(addresses: readonly string[], client: string, journal: Journal) {
    // A connection that broke is tried again at once, not after gRPC's usual minutes.
    const channel = { 'grpc.initial_reconnect_backoff_ms': 100, 'grpc.max_reconnect_backoff_ms': 500 };
    this.#clients = addresses.map((address) => new RpcClient(address, channel));
    this.#client = client;
    this.#journal = journal;
  }

  /** Each call at the next replica: so a repeat meets another one. */
  #one(): RpcClient {
    this.#next += 1;
    return this.#clients[this.#next % this.#clients.length]!;
  }

  async acquire(wish: Wish): Promise<Answer> {
    const { resources, mode, any, priority, requestId, owner, ttlMs, waitMs } = wish;
    const sentMs = nowMs();
    try {
      const { lease } = await this.#one().acquire(
        {
          resources: [...resources],
          mode: mode === 'shared' ? 'MODE_SHARED' : 'MODE_EXCLUSIVE',
          any,
          priority,
          request_id: requestId,
          owner,
          ttl: span(ttlMs),
          ...(waitMs === 0 ? {} : { wait: span(waitMs) }),
        },
        { deadline: Date.now() + waitMs + PATIENCE_MS },
      );
      if (!lease) return { kind: 'busy' };
      return { kind: 'granted', lease: await this.#leaseOf(lease, sentMs, ttlMs) };
    } catch (error) {
      const { reason, code } = refused(error);
      if (OPEN.has(reason)) return { kind: 'unknown', reason: reason === '' ? `GRPC_${code}` : reason };
      return { kind: 'refused', reason };
    }
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.close();
  }

  async #leaseOf(lease: Leased, sentMs: number, ttlMs: number): Promise<Lease> {
    // The grant of a replayed lease is older than the repeat, and its promise as well.
    let untilMs = lease.replayed ? sentMs : sentMs + usableMs(ttlMs);
    let lostMs: number | undefined;
    let over = false;
    const renew = async (): Promise<void> => {
      const renewal = await this.#renew(lease, ttlMs);
      if (over) return;
      if (renewal.outcome === 'renewed') untilMs = Math.max(untilMs, renewal.untilMs);
      if (renewal.outcome === 'lost') lostMs ??= nowMs();
    };
    const stop = beat(ttlMs / BEATS, () => void renew());
    const forget = (): boolean => {
      over = true;
      stop();
      return true;
    };
    if (lease.replayed) await renew();
    return {
      leaseRef: lease.lease_ref,
      token: BigInt(lease.fencing_token),
      resources: lease.resources,
      replayed: lease.replayed,
      untilMs() {
        if (lostMs === undefined && nowMs() < untilMs) return untilMs;
        stop();
        return undefined;
      },
      ended: () => (lostMs === undefined ? { how: 'expired' } : { how: 'lost', atMs: lostMs }),
      release: () => {
        forget();
        return this.#one().release(lease.lease_id);
      },
      forget,
    };
  }

  async #renew(lease: Leased, ttlMs: number) {
    const calledMs = nowMs();
    const entry = { kind: 'renew', client: this.#client, leaseRef: lease.lease_ref, calledMs } as const;
    const id = this.#journal.begin({ ...entry, outcome: 'unknown' });
    const untilMs = calledMs + usableMs(ttlMs);
    let outcome: 'renewed' | 'lost' | 'unknown' = 'renewed';
    try {
      await this.#one().heartbeat(lease.lease_id, ttlMs);
    } catch (error) {
      outcome = refused(error).reason === 'LEASE_LOST' ? 'lost' : 'unknown';
    }
    this.#journal.put(id, { ...entry, outcome, answeredMs: nowMs() });
    return { outcome, untilMs };
  }
}
