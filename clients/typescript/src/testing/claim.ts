/** An acquire or a resume on a stream, and the lease that it becomes: what the locks tell of it goes to its stream. */
import type { Asked, Locks, StreamEnd } from './locks.ts';
import type { Keeper, Lease, Loss, YieldAsker } from './model.ts';

export class Claim implements Keeper {
  /** Empty until it is granted. */
  leaseId: string;
  asked: Asked | undefined;
  readonly #news: Keeper;

  constructor(leaseId: string, news: Keeper) {
    this.leaseId = leaseId;
    this.#news = news;
  }

  renewed(lease: Lease): void {
    this.#news.renewed(lease);
  }

  lost(loss: Loss): void {
    this.#news.lost(loss);
  }

  yieldRequested(asker: YieldAsker): void {
    this.#news.yieldRequested(asker);
  }

  /** Its stream has ended: a wait keeps its place for a while, a lease goes as the stream ends, or stands. */
  end(locks: Locks, how: StreamEnd): void {
    this.asked?.giveUp(true);
    if (this.leaseId !== '') locks.leave(this.leaseId, this, how);
  }
}
