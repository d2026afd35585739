/** JSON Web Tokens: verified once by jose, and then known by their hash until they expire. */
import { hash } from 'node:crypto';
import { decodeJwt, errors, type JWTPayload, jwtVerify } from 'jose';
import type { Clock } from '../../std/clock.ts';
import type { Issuer } from './access-file.ts';
import { subjectForm, tenantForm } from './access-schema.ts';
import { type Answer, Failure, type Grant, type Proof } from './authenticator.ts';
import { type Keys, KeysAway, REFRESH_MS } from './jwks.ts';

/** What clocks of an issuer and of a replica may differ. */
const TOLERANCE_S = 5;
const CACHE_MAX = 8192;
/** Signatures that are checked at once; whoever comes then is asked to come again. */
const PENDING_MAX = 1024;
const AGAIN_MS = 1000;
const TOKEN = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/;

export interface IssuerKeys {
  readonly issuer: Issuer;
  readonly keys: Keys;
}

interface Known {
  readonly grant: Grant;
  readonly untilMs: number;
  /** To be verified again: that is what looks whether its key has been withdrawn. */
  readonly againMs: number;
}

export interface JwtOptions {
  readonly issuers: ReadonlyMap<string, IssuerKeys>;
  readonly clock: Clock;
  /** Undefined: nobody has that name. */
  grant(proof: Proof): Grant | undefined;
}

export function isJwt(text: string): boolean {
  return TOKEN.test(text);
}

export class JwtVerifier {
  readonly #options: JwtOptions;
  readonly #known = new Map<string, Known>();
  readonly #pending = new Map<string, Promise<Answer>>();
  /** What was begun in one is not remembered in the next. */
  #era = 0;

  constructor(options: JwtOptions) {
    this.#options = options;
  }

  /** After keys have changed: what they vouched for is asked anew. */
  forget(): void {
    this.#known.clear();
    this.#era += 1;
  }

  check(token: string): Answer | Promise<Answer> {
    const digest = hash('sha256', token, 'base64');
    const known = this.#known.get(digest);
    if (known !== undefined) {
      const nowMs = this.#nowMs();
      if (nowMs < known.untilMs && nowMs < known.againMs) return known.grant;
      this.#known.delete(digest);
      if (nowMs >= known.untilMs) return new Failure('expired', 'the JWT has expired');
    }
    const pending = this.#pending.get(digest);
    if (pending !== undefined) return pending;
    if (this.#pending.size >= PENDING_MAX) {
      return new Failure('unknown', 'too many tokens are being verified', AGAIN_MS);
    }
    const verified = this.#verify(token, digest).finally(() => this.#pending.delete(digest));
    this.#pending.set(digest, verified);
    return verified;
  }

  #nowMs(): number {
    return this.#options.clock.wallMicros() / 1000;
  }

  async #verify(token: string, digest: string): Promise<Answer> {
    const era = this.#era;
    try {
      // Not verified yet: it only says whose keys are needed.
      const { iss = '' } = decodeJwt(token);
      const found = this.#options.issuers.get(iss);
      if (found === undefined) return new Failure('unknown', 'the issuer of the JWT is not configured');
      const { issuer, keys } = found;
      const { payload } = await jwtVerify(token, keys.get, {
        issuer: issuer.issuer,
        audience: [...issuer.audience],
        algorithms: [...issuer.algorithms],
        requiredClaims: ['exp', issuer.identityClaim],
        clockTolerance: TOLERANCE_S,
        currentDate: new Date(this.#nowMs()),
      });
      const known = this.#claimed(payload, issuer);
      if (known instanceof Failure) return known;
      if (era === this.#era) this.#remember(digest, known);
      return known.grant;
    } catch (error) {
      return failureOf(error);
    }
  }

  #claimed(payload: JWTPayload, issuer: Issuer): Known | Failure {
    const subject = payload[issuer.identityClaim];
    const tenant = issuer.tenantClaim === undefined ? '' : (payload[issuer.tenantClaim] ?? '');
    if (typeof subject !== 'string' || !subjectForm.test(subject)) {
      return new Failure('invalid', `the claim ${issuer.identityClaim} is no subject`);
    }
    if (typeof tenant !== 'string' || (tenant !== '' && !tenantForm.test(tenant))) {
      return new Failure('invalid', `the claim ${issuer.tenantClaim} is no tenant`);
    }
    const grant = this.#options.grant({ kind: 'jwt', issuer: issuer.issuer, subject, tenant });
    if (grant === undefined) return new Failure('unknown', 'no identity has the subject of the JWT');
    const againMs = this.#nowMs() + REFRESH_MS;
    return { grant, untilMs: (payload.exp! + TOLERANCE_S) * 1000, againMs };
  }

  #remember(digest: string, known: Known): void {
    // The oldest goes first: it is found again for the price of one more signature.
    for (const oldest of this.#known.keys()) {
      if (this.#known.size < CACHE_MAX) break;
      this.#known.delete(oldest);
    }
    this.#known.set(digest, known);
  }
}

/** By codes and names of claims alone: the texts of others may repeat what was shown. */
function failureOf(error: unknown): Failure {
  if (error instanceof KeysAway) return new Failure('unknown', error.message, AGAIN_MS);
  if (error instanceof errors.JWTExpired) return new Failure('expired', 'the JWT has expired');
  if (error instanceof errors.JWKSNoMatchingKey) return new Failure('unknown', 'no key has signed the JWT');
  if (error instanceof errors.JWTClaimValidationFailed) {
    return new Failure('invalid', `the claim ${error.claim} of the JWT: ${error.reason}`);
  }
  const code = error instanceof errors.JOSEError ? error.code : 'it cannot be verified';
  return new Failure('invalid', `the JWT: ${code}`);
}
