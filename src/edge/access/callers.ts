/** Who a caller is by one access file: by bearer token, JWT and client certificate, which must not contradict each other. */
import type { Identity } from '../../domain/access.ts';
import { digestOf, isToken } from '../../domain/access-token.ts';
import type { Clock } from '../../std/clock.ts';
import { type AccessFile, subjectKey, type TokenEntry } from './access-file.ts';
import { type Answer, type Authenticator, Failure, Grant, type Proof } from './authenticator.ts';
import type { ClientCertificate } from './certificates.ts';
import { type IssuerKeys, isJwt, JwtVerifier } from './jwt.ts';

/** Nothing longer is hashed. */
const CREDENTIALS_MAX = 8192;
const SCHEME = /^bearer +/i;

const missing = new Failure('missing', 'no credentials');
const tooLong = new Failure('invalid', `more than ${CREDENTIALS_MAX} characters`);
const wrongScheme = new Failure('invalid', 'another scheme than Bearer');
const noToken = new Failure('invalid', 'neither a token of ours nor a JWT');
const unknownToken = new Failure('unknown', 'no identity has this token');
const expiredToken = new Failure('expired', 'the token has expired');
const unknownCertificate = new Failure('unknown', 'no identity has a name of the certificate');
const expiredCertificate = new Failure('expired', 'the certificate has expired');
const ambiguous = new Failure('invalid', 'the certificate names several identities');
const contradiction = new Failure('invalid', 'certificate and token name different identities');

/** By value: those of a default identity are made for each token. */
function isSame(one: Identity, other: Identity): boolean {
  return one.name === other.name && one.tenant === other.tenant;
}

export class Callers implements Authenticator {
  readonly isOpen = false;
  readonly #file: AccessFile;
  readonly #clock: Clock;
  readonly #jwt: JwtVerifier;
  /** One for each token of the file: the path makes none. */
  readonly #byToken: ReadonlyMap<string, { readonly entry: TokenEntry; readonly grant: Grant }>;
  readonly #byCertificate = new WeakMap<ClientCertificate, Grant | Failure>();

  constructor(file: AccessFile, issuers: ReadonlyMap<string, IssuerKeys>, clock: Clock) {
    this.#file = file;
    this.#clock = clock;
    this.#jwt = new JwtVerifier({ issuers, clock, grant: (proof) => this.#grant([proof]) });
    this.#byToken = new Map(
      [...file.tokens].map(([digest, entry]) => [
        digest,
        { entry, grant: new Grant(entry.identity, [{ kind: 'token', digest }]) },
      ]),
    );
  }

  identify(
    authorization: string | undefined,
    certificate: ClientCertificate | undefined,
  ): Answer | Promise<Answer> {
    if (certificate === undefined) {
      return authorization === undefined ? missing : this.#byHeader(authorization);
    }
    const shown = this.#bySubject(certificate);
    if (authorization === undefined) return shown;
    // Somebody's certificate that only lets it connect does not say who calls.
    if (shown === unknownCertificate) return this.#byHeader(authorization);
    if (shown instanceof Failure) return shown;
    const told = this.#byHeader(authorization);
    return told instanceof Promise ? told.then((one) => both(shown, one)) : both(shown, told);
  }

  again({ identity, proofs }: Grant): Grant | undefined {
    const grant = this.#grant(proofs);
    return grant !== undefined && isSame(grant.identity, identity) ? grant : undefined;
  }

  /** After keys have changed. */
  forget(): void {
    this.#jwt.forget();
  }

  #byHeader(authorization: string): Answer | Promise<Answer> {
    if (authorization.length > CREDENTIALS_MAX) return tooLong;
    const [scheme] = SCHEME.exec(authorization) ?? [];
    if (scheme === undefined) return wrongScheme;
    const shown = authorization.slice(scheme.length);
    if (isToken(shown)) return this.#byDigest(digestOf(shown));
    return isJwt(shown) ? this.#jwt.check(shown) : noToken;
  }

  /** The time that a look-up takes tells of hashes, and who can choose those can guess tokens as well. */
  #byDigest(digest: string): Answer {
    const found = this.#byToken.get(digest);
    if (found === undefined) return unknownToken;
    return found.entry.expiresMs <= this.#nowMs() ? expiredToken : found.grant;
  }

  /** TLS looked at its dates as the connection began, which may be long ago. */
  #bySubject(certificate: ClientCertificate): Answer {
    if (certificate.validUntilMs <= this.#nowMs()) return expiredCertificate;
    let known = this.#byCertificate.get(certificate);
    if (known === undefined) {
      known = this.#subject(certificate.names);
      this.#byCertificate.set(certificate, known);
    }
    return known;
  }

  #subject(names: readonly string[]): Grant | Failure {
    const found = new Set(names.flatMap((name) => this.#file.certificates.get(name) ?? []));
    const [identity] = found;
    if (identity === undefined) return unknownCertificate;
    return found.size > 1 ? ambiguous : new Grant(identity, [{ kind: 'certificate', names }]);
  }

  #nowMs(): number {
    return this.#clock.wallMicros() / 1000;
  }

  #grant(proofs: readonly Proof[]): Grant | undefined {
    const [first, ...rest] = proofs.map((proof) => this.#prove(proof));
    if (first === undefined) return undefined;
    const agree = rest.every((other) => other !== undefined && isSame(first, other));
    return agree ? new Grant(first, proofs) : undefined;
  }

  #prove(proof: Proof): Identity | undefined {
    if (proof.kind === 'token') return this.#file.tokens.get(proof.digest)?.identity;
    if (proof.kind === 'jwt') return this.#bySubjectOf(proof);
    const found = this.#subject(proof.names);
    return found instanceof Failure ? undefined : found.identity;
  }

  /** An identity that names the subject has its own tenant: what the token says must not contradict it. */
  #bySubjectOf({ issuer, subject, tenant }: Extract<Proof, { kind: 'jwt' }>): Identity | undefined {
    const named = this.#file.subjects.get(subjectKey(issuer, subject));
    if (named !== undefined) return tenant === '' || tenant === named.tenant ? named : undefined;
    const configured = this.#file.issuers.get(issuer);
    if (configured?.template === undefined) return undefined;
    // Whoever has a claim for tenants does not let those without one into everybody's.
    if (configured.tenantClaim !== undefined && tenant === '') return undefined;
    const { template } = configured;
    return Object.freeze({
      ...template,
      name: `${template.name}:${subject}`,
      tenant: tenant === '' ? template.tenant : tenant,
    });
  }
}

function both(shown: Grant, told: Answer): Answer {
  if (told instanceof Failure) return told;
  if (!isSame(shown.identity, told.identity)) return contradiction;
  return new Grant(told.identity, [...told.proofs, ...shown.proofs]);
}
