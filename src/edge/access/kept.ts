/** A lease that a stream keeps, between the stream and the locks: counted, and ended when it was held for too long. */
import type { Quota } from '../../domain/access.ts';
import { type Lease, type LeaseName, leaseValueIn, unsealName } from '../../domain/lease.ts';
import type { Asker, Granted, Kept, KeptNews, Loss, StreamEnd } from '../../locks/locks.ts';
import type { Clock, Timer } from '../../std/clock.ts';
import { holdLeftMs } from './quotas.ts';

/** What it asks of its visit, and tells it. */
export interface Keeper {
  readonly clock: Clock;
  /** Granted or renewed: it is held for so long at least. */
  counted(value: string, forMs: number, request: string): void;
  uncounted(value: string): void;
  /** As of now: a reload may change it. */
  readonly quota: Quota;
  /** Its stream lets go of it, at once or after a grace. */
  ended(kept: KeptLease, graceMs: number): void;
  /** It was held for too long, and is to be released. */
  expired(lease: Lease, why: string): void;
}

const TOO_LONG = 'it was held for as long as its identity may hold a lease';

export class KeptLease implements KeptNews, Kept {
  readonly #keeper: Keeper;
  readonly #news: KeptNews;
  readonly #request: string;
  #lease: Lease | undefined;
  #kept: Kept | undefined;
  #value = '';
  #timer: Timer | undefined;
  #over = false;

  constructor(keeper: Keeper, news: KeptNews, request = '') {
    this.#keeper = keeper;
    this.#news = news;
    this.#request = request;
  }

  /** As it was granted. */
  get lease(): Lease {
    return this.#lease!;
  }

  get name(): LeaseName {
    return unsealName(this.#kept!.name);
  }

  /** What the stream is given instead of `granted`. */
  take(granted: Granted): Granted {
    const { lease } = granted;
    this.#lease = lease;
    this.#kept = granted.kept;
    this.#value = leaseValueIn(lease.leaseId);
    if (!this.#over) {
      this.#keeper.counted(this.#value, lease.ttlMs, this.#request);
      this.#arm();
    }
    return { ...granted, kept: this };
  }

  renewed(lease: Lease): void {
    if (this.#over) return;
    this.#keeper.counted(this.#value, lease.ttlMs, this.#request);
    this.#news.renewed(lease);
  }

  yieldRequested(asker: Asker): void {
    if (!this.#over) this.#news.yieldRequested(asker);
  }

  lost(loss: Loss): void {
    if (this.#over) return;
    this.#stop();
    // Where it was taken over, somebody else counts it.
    if (loss.takenOver !== true) this.#keeper.uncounted(this.#value);
    this.#news.lost(loss);
  }

  end(how: StreamEnd, graceMs: number): void {
    if (this.#over) return;
    this.#stop();
    if (how === 'closed') {
      // A grace is a ttl that nobody renews.
      const { maxTtlMs = Infinity } = this.#keeper.quota;
      const leftMs = Math.max(0, Math.min(graceMs, maxTtlMs, this.#holdLeftMs()));
      if (leftMs > 0) this.#keeper.counted(this.#value, leftMs, this.#request);
      else this.#keeper.uncounted(this.#value);
      this.#keeper.ended(this, leftMs);
      this.#kept?.end(how, leftMs);
    } else this.#kept?.end(how, graceMs);
  }

  /** Infinity: there is no such limit. */
  #holdLeftMs(): number {
    const { clock, quota } = this.#keeper;
    return quota.maxHoldMs === undefined ? Infinity : holdLeftMs(quota.maxHoldMs, this.lease.token, clock);
  }

  /** Looks again when it is due: a reload may have changed the limit. */
  #arm(): void {
    const leftMs = this.#holdLeftMs();
    if (leftMs === Infinity) return;
    this.#timer = this.#keeper.clock.after(Math.max(0, leftMs), () => {
      if (this.#holdLeftMs() > 0) this.#arm();
      else this.#expire();
    });
  }

  #expire(): void {
    const { leaseRef, token } = this.lease;
    this.#stop();
    this.#keeper.uncounted(this.#value);
    this.#keeper.expired(this.lease, TOO_LONG);
    this.#news.lost({ reason: 'released', leaseRef, token, detail: TOO_LONG });
  }

  #stop(): void {
    this.#over = true;
    this.#timer?.cancel();
  }
}
