/** The errors of this client: one class for each kind of trouble that a caller may want to treat in its own way. */
import type { Holder } from './views.ts';

/** Why a lease ended under its holder. */
export type LostWhy = 'expired' | 'released' | 'forced' | 'unknown';

/** What the service says beside the sentence. */
export interface ErrorFacts {
  /** A reason of the service (docs/errors.md), or `BUSY`, `UNAVAILABLE`, `CLOSED` of this client. */
  readonly reason: string;
  /** The gRPC status code; 0 with `BUSY`, which is an answer. */
  readonly code: number;
  readonly metadata?: Readonly<Record<string, string>>;
  /** When a repeat may help. */
  readonly retryAfterMs?: number | undefined;
  readonly fields?: readonly FieldFault[];
}

/** One field that breaks its rule. */
export interface FieldFault {
  /** By its name in the contract, from the top of the operation: `ttl`, `resources[1]`, `labels["team"]`. */
  readonly field: string;
  /** The rule, the limit and what was found. */
  readonly description: string;
}

const NOTHING: Readonly<Record<string, string>> = Object.freeze({});

/** Everything that goes wrong; the plain class for what has none of its own (INTERNAL, a reason of a newer service). */
export class HoldfastError extends Error {
  override readonly name: string = 'HoldfastError';
  /** A reason of the service, or of this client. Empty where gRPC itself failed. */
  readonly reason: string;
  /** The gRPC status code. */
  readonly code: number;
  /** Facts that belong to the reason. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Milliseconds after which a repeat may help; undefined where it does not. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, { reason, code, metadata, retryAfterMs }: ErrorFacts) {
    super(message);
    this.reason = reason;
    this.code = code;
    this.metadata = metadata ?? NOTHING;
    this.retryAfterMs = retryAfterMs;
  }
}

/** What a refusal for somebody else's sake says. */
export interface BusyFacts {
  readonly holders: readonly Holder[];
  readonly queueLength: number;
  readonly position: number;
  readonly waitElapsed: boolean;
  readonly retryAfterMs: number;
}

/** Somebody else has it: not granted at once, or the wait is over. Nothing is held. */
export class BusyError extends HoldfastError {
  override readonly name = 'BusyError';
  /** Who is in the way, one entry per resource and holder. */
  readonly holders: readonly Holder[];
  /** How many wait for the busiest of the resources. */
  readonly queueLength: number;
  /** The place in line when the wait ended, from 1; 0 without a wait. */
  readonly position: number;
  /** True if a wait was asked for and is over. */
  readonly waitElapsed: boolean;

  constructor({ holders, queueLength, position, waitElapsed, retryAfterMs }: BusyFacts) {
    const [first] = holders;
    const by = first === undefined ? 'others stand ahead' : `${first.resource} is held by ${first.owner}`;
    super(waitElapsed ? `the wait is over: ${by}` : by, { reason: 'BUSY', code: 0, retryAfterMs });
    this.holders = holders;
    this.queueLength = queueLength;
    this.position = position;
    this.waitElapsed = waitElapsed;
  }
}

/** The lease has ended under its holder, by the service's word or by this client's own count. */
export class LeaseLostError extends HoldfastError {
  override readonly name = 'LeaseLostError';
  readonly why: LostWhy;

  constructor(message: string, facts: ErrorFacts) {
    super(message, facts);
    this.why = (facts.metadata?.why as LostWhy | undefined) ?? 'unknown';
  }

  static of(why: LostWhy, detail: string): LeaseLostError {
    const message = detail === '' ? `the lease is lost: ${why}` : `the lease is lost (${why}): ${detail}`;
    return new LeaseLostError(message, { reason: 'LEASE_LOST', code: 9, metadata: { why } });
  }
}

/** Fewer than a majority of the lock nodes answered. A lease that is held stands until its own count ends. */
export class NoQuorumError extends HoldfastError {
  override readonly name = 'NoQuorumError';
  /** So many nodes answered, of so many. */
  readonly answered: number;
  readonly nodes: number;

  constructor(message: string, facts: ErrorFacts) {
    super(message, facts);
    this.answered = Number(facts.metadata?.answered ?? 0);
    this.nodes = Number(facts.metadata?.nodes ?? 0);
  }
}

function listOf(text: string | undefined): readonly string[] {
  try {
    return JSON.parse(text ?? '[]') as string[];
  } catch {
    return [];
  }
}

/** This wait would have closed a circle of owners who wait for each other. */
export class DeadlockError extends HoldfastError {
  override readonly name = 'DeadlockError';
  /** The circle, for people. */
  readonly cycle: string;
  readonly owners: readonly string[];
  readonly resources: readonly string[];

  constructor(message: string, facts: ErrorFacts) {
    super(message, facts);
    this.cycle = facts.metadata?.cycle ?? '';
    this.owners = listOf(facts.metadata?.owners);
    this.resources = listOf(facts.metadata?.resources);
  }
}

/** An argument breaks its rule; nothing was changed. */
export class InvalidFieldError extends HoldfastError {
  override readonly name = 'InvalidFieldError';
  /** Every field that breaks its rule. */
  readonly fields: readonly FieldFault[];

  constructor(message: string, facts: ErrorFacts) {
    super(message, facts);
    this.fields = facts.fields ?? [];
  }

  /** What this client itself can see to be wrong. */
  static of(field: string, description: string): InvalidFieldError {
    return InvalidFieldError.ofAll([{ field, description }]);
  }

  static ofAll(fields: readonly FieldFault[]): InvalidFieldError {
    const message = fields.map(({ field, description }) => `${field} ${description}`).join('; ');
    const metadata = { field: fields[0]?.field ?? '' };
    return new InvalidFieldError(message, { reason: 'INVALID_FIELD', code: 3, metadata, fields });
  }
}

/** A limit or a quota is used up, or the line is full. */
export class QuotaError extends HoldfastError {
  override readonly name = 'QuotaError';
}

/** The caller is not known, or may not do this. */
export class DeniedError extends HoldfastError {
  override readonly name = 'DeniedError';
}

/** The replica is shutting down, and no other one could be reached in time. */
export class DrainingError extends HoldfastError {
  override readonly name = 'DrainingError';
}

/** No node has ever heard of the resource. */
export class UnknownResourceError extends HoldfastError {
  override readonly name = 'UnknownResourceError';
}

/** No address could be reached in time. */
export class UnavailableError extends HoldfastError {
  override readonly name = 'UnavailableError';
  /** Those that were tried. */
  readonly addresses: readonly string[];

  constructor(
    message: string,
    addresses: readonly string[],
    metadata: Readonly<Record<string, string>> = {},
  ) {
    super(message, { reason: 'UNAVAILABLE', code: 14, metadata });
    this.addresses = addresses;
  }
}

/** This client was closed. */
export class ClosedError extends HoldfastError {
  override readonly name = 'ClosedError';

  constructor() {
    super('the client was closed', { reason: 'CLOSED', code: 1 });
  }
}

type Refused = new (message: string, facts: ErrorFacts) => HoldfastError;

/** Which class a reason of the service becomes. */
export const byReason: Readonly<Record<string, Refused>> = {
  INVALID_FIELD: InvalidFieldError,
  LEASE_LOST: LeaseLostError,
  NO_QUORUM: NoQuorumError,
  DEADLOCK: DeadlockError,
  QUOTA: QuotaError,
  TOO_MANY_WAITERS: QuotaError,
  UNKNOWN_RESOURCE: UnknownResourceError,
  DENIED: DeniedError,
  UNAUTHENTICATED: DeniedError,
  DRAINING: DrainingError,
};

/** The error that a refusal of the service is thrown as. */
export function errorOf(message: string, facts: ErrorFacts): HoldfastError {
  const Refusal = Object.hasOwn(byReason, facts.reason) ? byReason[facts.reason]! : HoldfastError;
  return new Refusal(message, facts);
}
