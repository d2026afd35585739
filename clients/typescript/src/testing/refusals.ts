/** Every way in which the fake says no: the reasons of holdfast.v1, their gRPC codes, and what usually goes with them. */

/** As in proto/holdfast/v1/error.proto; a reason never changes its code. */
const CODES = {
  INVALID_FIELD: 3,
  LEASE_LOST: 9,
  NO_QUORUM: 14,
  DEADLOCK: 10,
  QUOTA: 8,
  TOO_MANY_WAITERS: 8,
  UNKNOWN_RESOURCE: 5,
  DENIED: 7,
  UNAUTHENTICATED: 16,
  DRAINING: 14,
  NOT_SERVED: 12,
  INTERNAL: 13,
} as const;

export type Reason = keyof typeof CODES;

export type LostWhy = 'expired' | 'released' | 'forced' | 'unknown';

export interface Violation {
  readonly field: string;
  readonly description: string;
}

export interface Refusal {
  readonly code: number;
  /** Empty only where gRPC itself speaks. */
  readonly reason: Reason | '';
  readonly message: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly violations: readonly Violation[];
  readonly retryAfterMs?: number;
}

export interface RefusalMore {
  readonly metadata?: Readonly<Record<string, string>>;
  readonly violations?: readonly Violation[];
  readonly retryAfterMs?: number;
}

export function isReason(reason: string): reason is Reason {
  return Object.hasOwn(CODES, reason);
}

export function refuse(reason: Reason, message: string, more: RefusalMore = {}): Refusal {
  const { metadata = {}, violations = [], retryAfterMs } = more;
  const base = { code: CODES[reason], reason, message, metadata, violations };
  return retryAfterMs === undefined ? base : { ...base, retryAfterMs };
}

/** One refusal that names every bad field at once. */
export function invalid(violations: readonly Violation[]): Refusal {
  const message = violations.map(({ field, description }) => `${field} ${description}`).join('; ');
  return refuse('INVALID_FIELD', message, { violations, metadata: { field: violations[0]?.field ?? '' } });
}

export function leaseLost(why: LostWhy): Refusal {
  return refuse('LEASE_LOST', `the lease is gone: ${why}`, { metadata: { why } });
}

export function unknownResource(resource: string): Refusal {
  return refuse('UNKNOWN_RESOURCE', `no node has ever seen ${resource}`, { metadata: { resource } });
}

/** gRPC's own CANCELLED, which has no reason. */
export const cancelled: Refusal = {
  code: 1,
  reason: '',
  message: 'the operation was given up',
  metadata: {},
  violations: [],
};

/** What the service usually says beside a reason, where a test says nothing else. */
const USUAL: Readonly<Partial<Record<Reason, RefusalMore>>> = {
  INVALID_FIELD: { violations: [{ field: 'resources', description: 'was refused by the test' }] },
  LEASE_LOST: { metadata: { why: 'unknown' } },
  NO_QUORUM: { metadata: { answered: '1', nodes: '3' }, retryAfterMs: 1000 },
  DEADLOCK: { metadata: { cycle: '', owners: '[]', resources: '[]', links: '0' } },
  QUOTA: { retryAfterMs: 1000 },
  TOO_MANY_WAITERS: { metadata: { limit: '1000', scope: 'resource' }, retryAfterMs: 1000 },
  DRAINING: { retryAfterMs: 100 },
};

/** The refusal that a test has ordered. */
export function ordered(reason: Reason, more: RefusalMore & { readonly message?: string }): Refusal {
  const usual = USUAL[reason] ?? {};
  return refuse(reason, more.message ?? 'the test has ordered this', {
    ...usual,
    ...more,
    metadata: { ...usual.metadata, ...more.metadata },
  });
}

export const draining: Refusal = refuse('DRAINING', 'this replica is shutting down; try another', {
  retryAfterMs: 100,
});

/** A refusal of something that was part of a larger message: paths begin at the top of that one. */
export function within(path: string, refusal: Refusal): Refusal {
  if (refusal.violations.length === 0) return refusal;
  return invalid(
    refusal.violations.map(({ field, description }) => ({ field: `${path}.${field}`, description })),
  );
}
