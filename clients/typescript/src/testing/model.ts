/** The words of the fake's locks: what is asked, what is granted, and what can be seen. */
import type { Clock } from '../clock.ts';
import type { LostWhy, Refusal } from './refusals.ts';

export type Mode = 'exclusive' | 'shared';

/** What an Acquire asks for, checked. */
export interface AcquireAsk {
  readonly resources: readonly string[];
  readonly owner: string;
  readonly ttlMs: number;
  /** 0: do not wait. Infinity: as long as the stream lives. */
  readonly waitMs: number;
  readonly mode: Mode;
  /** 0: all of `resources`. */
  readonly any: number;
  readonly priority: number;
  readonly requestId: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface Lease {
  readonly leaseId: string;
  readonly leaseRef: string;
  readonly resources: readonly string[];
  readonly token: bigint;
  readonly owner: string;
  readonly mode: Mode;
  /** As acquired; a Heartbeat may promise another one for once. */
  readonly ttlMs: number;
  readonly acquireTimeMs: number;
  readonly expireTimeMs: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly progress: string;
}

/** Somebody has a resource: one entry for each resource and lease. */
export interface Holder {
  readonly resource: string;
  readonly owner: string;
  readonly leaseRef: string;
  readonly token: bigint;
  readonly mode: Mode;
  readonly acquireTimeMs: number;
  readonly expireTimeMs: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly progress: string;
}

export interface Waiter {
  readonly owner: string;
  /** From 1: the next to be served. */
  readonly position: number;
  readonly priority: number;
  readonly sinceMs: number;
  readonly mode: Mode;
}

export interface Queued {
  readonly position: number;
  readonly queueLength: number;
  readonly holders: readonly Holder[];
}

export interface Busy extends Queued {
  readonly waitElapsed: boolean;
  readonly retryAfterMs: number;
}

export interface Loss {
  readonly reason: LostWhy;
  readonly leaseRef: string;
  readonly token: bigint;
  readonly detail: string;
}

export type EventType = 'queued' | 'granted' | 'renewed' | 'released' | 'expired' | 'lost' | 'forced';

export interface LockEvent {
  readonly type: EventType;
  readonly timeMs: number;
  readonly resource: string;
  readonly owner: string;
  readonly leaseRef: string;
  readonly token: bigint;
  readonly reason: string;
}

export interface Inspection {
  readonly resource: string;
  readonly holders: readonly Holder[];
  readonly waiters: readonly Waiter[];
  readonly lastToken: bigint;
  readonly history: readonly LockEvent[];
}

/** Who asks for a lease, and hears what becomes of that: exactly one of the first three, once. */
export interface Asker {
  granted(lease: Lease, replayed: boolean): void;
  busy(busy: Busy): void;
  refused(refusal: Refusal): void;
  queued(queued: Queued): void;
}

/** The stream that keeps a lease, and hears what becomes of it. */
export interface Keeper {
  renewed(lease: Lease): void;
  lost(loss: Loss): void;
  yieldRequested(asker: YieldAsker): void;
}

export interface YieldAsker {
  readonly owner: string;
  readonly priority: number;
  readonly waitedMs: number;
}

/** Time as the locks see it: the client's clock, and the time of day. */
export interface Time extends Pick<Clock, 'nowMs' | 'after'> {
  wallMs(): number;
}
