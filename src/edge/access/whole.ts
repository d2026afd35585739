/** What concerns the replica as a whole, and is the same whoever asks. */
import type { Locks } from '../../locks/locks.ts';

export abstract class Whole implements Pick<Locks, 'drain' | 'settled' | 'keptCount'> {
  readonly inner: Locks;

  constructor(inner: Locks) {
    this.inner = inner;
  }

  drain(): void {
    this.inner.drain();
  }

  settled(): Promise<void> {
    return this.inner.settled();
  }

  get keptCount(): number {
    return this.inner.keptCount;
  }
}
