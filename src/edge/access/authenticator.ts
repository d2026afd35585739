/** Who calls: the question that is asked once for each call, before any handler sees it. */
import { anybody, type Identity } from '../../domain/access.ts';
import { type Refusal, refuse } from '../../domain/refusals.ts';
import type { ClientCertificate } from './certificates.ts';

/** What was shown and found good, in terms that another access file can be asked about. */
export type Proof =
  | { readonly kind: 'token'; readonly digest: string }
  | { readonly kind: 'jwt'; readonly issuer: string; readonly subject: string; readonly tenant: string }
  | { readonly kind: 'certificate'; readonly names: readonly string[] };

export class Grant {
  readonly identity: Identity;
  readonly proofs: readonly Proof[];

  constructor(identity: Identity, proofs: readonly Proof[]) {
    this.identity = identity;
    this.proofs = proofs;
  }
}

export const FAILURES = ['missing', 'unknown', 'expired', 'invalid'] as const;
export type FailureReason = (typeof FAILURES)[number];

const TOLD: Readonly<Record<FailureReason, string>> = {
  missing: 'credentials are needed',
  unknown: 'the credentials are not known',
  expired: 'the credentials have expired',
  invalid: 'the credentials are not valid',
};

/** The caller hears the reason; the detail is for the log, and holds nothing of what was shown. */
export class Failure {
  readonly reason: FailureReason;
  readonly detail: string;
  /** Worth another try: the service, not the caller, lacks something. */
  readonly retryAfterMs: number | undefined;

  constructor(reason: FailureReason, detail: string, retryAfterMs?: number) {
    this.reason = reason;
    this.detail = detail;
    this.retryAfterMs = retryAfterMs;
  }

  get refusal(): Refusal {
    const { reason, retryAfterMs } = this;
    return refuse('UNAUTHENTICATED', TOLD[reason], {
      metadata: { why: reason },
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    });
  }
}

export type Answer = Grant | Failure;

export interface Authenticator {
  /** Whoever calls is anybody: what was shown need not be looked at. */
  readonly isOpen: boolean;
  /**
   * `authorization`: the header as it came, a secret; `certificate`: verified by TLS. A promise only where signatures
   * are checked or keys fetched. Never rejects, never throws.
   */
  identify(
    authorization: string | undefined,
    certificate: ClientCertificate | undefined,
  ): Answer | Promise<Answer>;
  /** The same caller by the rules of today; undefined: it is not known any more. Expiry does not count. */
  again(grant: Grant): Grant | undefined;
}

/** What another access file may take the place of, while calls are on their way. */
export interface Doorkeeper extends Authenticator {
  /** Grows with each file: whoever was known before has to be asked for `again`. */
  readonly era: number;
}

const everybody = new Grant(anybody, []);

/** Where callers are not authenticated. */
export const openToAll: Doorkeeper = {
  era: 0,
  isOpen: true,
  identify: () => everybody,
  again: (grant) => (grant === everybody ? grant : undefined),
};
