/** What a client of a run needs of whatever gives it locks. */

export interface Wish {
  readonly resources: readonly string[];
  readonly mode: 'exclusive' | 'shared';
  readonly any: number;
  readonly priority: number;
  readonly requestId: string;
  readonly owner: string;
  readonly ttlMs: number;
  /** 0: does not wait. */
  readonly waitMs: number;
  /** Gives the wait up. */
  readonly signal: AbortSignal;
  readonly onQueued: () => void;
}

export interface Lease {
  readonly leaseRef: string;
  readonly token: bigint;
  readonly resources: readonly string[];
  readonly replayed: boolean;
  /** Until when it counts on its lease, by the clock of the machine; undefined once it knows that it must not. */
  untilMs(): number | undefined;
  /** Why it ended, where that is known. */
  ended(): { readonly how: 'expired' | 'lost'; readonly atMs?: number };
  /** Whether it was still there to be released; rejects where nobody knows. */
  release(): Promise<boolean>;
  /** Renews it no more; false where that is not in the hands of this process. */
  forget(): boolean;
}

export type Answer =
  | { readonly kind: 'granted'; readonly lease: Lease }
  | { readonly kind: 'busy' }
  | { readonly kind: 'refused' | 'unknown'; readonly reason: string };

export interface Locker {
  /** Never rejects. */
  acquire(wish: Wish): Promise<Answer>;
  /** An operator's act; absent where there is none. */
  force?(resource: string): Promise<readonly string[]>;
  close(): Promise<void>;
}
