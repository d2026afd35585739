/** The closed registry of refusals: every way in which Holdfast says no, with its canonical code. */

/** Names of `google.rpc.Code`; the edge alone knows their numbers. */
export type CanonicalCode =
  | 'INVALID_ARGUMENT'
  | 'NOT_FOUND'
  | 'PERMISSION_DENIED'
  | 'UNAUTHENTICATED'
  | 'RESOURCE_EXHAUSTED'
  | 'FAILED_PRECONDITION'
  | 'ABORTED'
  | 'UNIMPLEMENTED'
  | 'INTERNAL'
  | 'UNAVAILABLE';

interface Entry {
  readonly code: CanonicalCode;
  readonly situation: string;
}

/** docs/errors.md lists exactly these; a test holds the two together. */
export const refusals = {
  INVALID_FIELD: {
    code: 'INVALID_ARGUMENT',
    situation: 'a field of the request is malformed or out of range',
  },
  LEASE_LOST: { code: 'FAILED_PRECONDITION', situation: 'the lease is gone' },
  NO_QUORUM: { code: 'UNAVAILABLE', situation: 'fewer than a majority of the nodes answered' },
  DEADLOCK: { code: 'ABORTED', situation: 'the wait would close a cycle' },
  QUOTA: { code: 'RESOURCE_EXHAUSTED', situation: 'a limit or quota is used up' },
  TOO_MANY_WAITERS: { code: 'RESOURCE_EXHAUSTED', situation: 'the waiting line is full' },
  UNKNOWN_RESOURCE: { code: 'NOT_FOUND', situation: 'no node has ever seen the resource' },
  DENIED: { code: 'PERMISSION_DENIED', situation: 'the caller may not do this' },
  UNAUTHENTICATED: { code: 'UNAUTHENTICATED', situation: 'the caller is not known' },
  DRAINING: { code: 'UNAVAILABLE', situation: 'this replica is shutting down' },
  NOT_SERVED: { code: 'UNIMPLEMENTED', situation: 'this release does not serve the call or option yet' },
  INTERNAL: { code: 'INTERNAL', situation: 'a defect of the service; its log has the details' },
} as const satisfies Record<string, Entry>;

export type Reason = keyof typeof refusals;

export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

/** A refusal is a value: locks return it, the edge writes it on the wire. */
export interface Refusal {
  readonly kind: 'refusal';
  readonly reason: Reason;
  readonly message: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly fields: readonly FieldViolation[];
  readonly retryAfterMs?: number;
}

export function refuse(
  reason: Reason,
  message: string,
  more: { metadata?: Record<string, string>; fields?: readonly FieldViolation[]; retryAfterMs?: number } = {},
): Refusal {
  return {
    kind: 'refusal',
    reason,
    message,
    metadata: more.metadata ?? {},
    fields: more.fields ?? [],
    ...(more.retryAfterMs === undefined ? {} : { retryAfterMs: more.retryAfterMs }),
  };
}

/** One refusal that names every bad field at once. */
export function invalidFields(fields: readonly FieldViolation[]): Refusal {
  const message = fields.map(({ field, description }) => `${field} ${description}`).join('; ');
  return refuse('INVALID_FIELD', message, { fields, metadata: { field: fields[0]?.field ?? '' } });
}

export function invalidField(field: string, description: string): Refusal {
  return invalidFields([{ field, description }]);
}

/** Why a lease is gone (`LEASE_LOST` metadata `why`, and `LostReason` on the wire). */
export type LostWhy = 'expired' | 'released' | 'forced' | 'unknown';

export function leaseLost(why: LostWhy, message = `the lease is gone: ${why}`): Refusal {
  return refuse('LEASE_LOST', message, { metadata: { why } });
}

export function noQuorum(answered: number, nodes: number, retryAfterMs: number, detail = ''): Refusal {
  const message = `${answered} of ${nodes} lock nodes answered, ${Math.floor(nodes / 2) + 1} are needed`;
  return refuse('NO_QUORUM', detail === '' ? message : `${message} (${detail})`, {
    metadata: { answered: String(answered), nodes: String(nodes) },
    retryAfterMs,
  });
}
