/** What a look at all locks shows that somebody should know of, and from when on it counts. */

export const OBSERVED = ['held_too_long', 'silent_holder', 'starving_waiter'] as const;
export type ObservedKind = (typeof OBSERVED)[number];

/** One finding of one scan; it is the same as that of the scan before if kind, resource, owner and lease are. */
export interface Observation {
  readonly kind: ObservedKind;
  /** As the nodes know it: with its tenant. */
  readonly resource: string;
  /** Of the lock's name, by HOLDFAST_CLASSES. */
  readonly class: string;
  /** Of the holder, or of the waiter. */
  readonly owner: string;
  /** The digest that views show, never the id; empty for a waiter. */
  readonly leaseRef: string;
  /** Wall clock: when it was granted, last showed progress, or came to wait. */
  readonly sinceMs: number;
  readonly forMs: number;
  readonly detail: string;
}

/** From when on a hold, a silence and a wait are too long; 0: never. */
export interface Limits {
  readonly heldTooLongMs: number;
  readonly maxSilenceMs: number;
  readonly starvingMs: number;
}

export interface Thresholds extends Limits {
  /** By the class of the lock's name; what is not there is as for all. */
  readonly byClass: Readonly<Record<string, Partial<Limits>>>;
}

const HOUR = 3_600_000;

/** A day is long for a lock, and an hour for a line; silence is none before holders tell of their progress. */
export const defaultThresholds: Thresholds = {
  heldTooLongMs: 24 * HOUR,
  maxSilenceMs: 0,
  starvingMs: HOUR,
  byClass: {},
};

/** What counts for a lock of this class. */
export function limitsFor(thresholds: Thresholds, className: string): Limits {
  const { heldTooLongMs, maxSilenceMs, starvingMs, byClass } = thresholds;
  const own = Object.hasOwn(byClass, className) ? byClass[className] : undefined;
  return { heldTooLongMs, maxSilenceMs, starvingMs, ...own };
}

/** Who is told of each scan: the whole current set each time, so what is missing from it is over. */
export interface Observer {
  readonly thresholds: Thresholds;
  observed(now: readonly Observation[]): void;
  /** This replica scans no more: whether what it found still is so, another one tells. */
  scannedElsewhere(): void;
}
