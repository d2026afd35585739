/** What every subject of the hand-off bench looks like to a client that wants the lock. */

/** One hold of the lock. */
export interface Taken {
  /** Grows with each grant; 0 where the subject gives none. */
  readonly token: number;
  release(): Promise<void>;
}

/** Waits until the lock is had; rejects when it was refused, or when the subject gave up waiting. */
export type Taker = (lock: string) => Promise<Taken>;

/** Subjects differ in how they are spoken to: peers twice, as they come and tuned to poll often. */
export type Kind =
  | 'holdfast'
  | 'holdfast-session'
  | 'etcd'
  | 'redlock4-tuned'
  | 'redlock4-default'
  | 'redlock5-tuned'
  | 'redis-semaphore';

/** Connects once for all clients of the process and makes one taker for each of their names. */
export type Opener = (addresses: readonly string[], clients: readonly string[]) => Promise<readonly Taker[]>;

/** Nobody holds so long; whoever does all the same loses the lock rather than stop the bench. */
export const TTL_MS = 10_000;
export const WAIT_S = 60;
