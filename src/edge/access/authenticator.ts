/** Who calls: the question that is asked once for each call, before any handler sees it. */
import type { PeerCertificate } from 'node:tls';
import { anybody, type Identity } from '../../domain/access.ts';
import type { Refusal } from '../../domain/refusals.ts';

/** What a caller has shown. */
export interface Credentials {
  /** The `authorization` header as it came; a secret. */
  readonly authorization: string | undefined;
  /** Verified against the client CA; undefined: none was shown, or TLS is not spoken. */
  readonly certificate: PeerCertificate | undefined;
}

export interface Authenticator {
  /** A promise only where something must be fetched first (a JWKS that is not cached). Never rejects, never throws. */
  identify(shown: Credentials): Identity | Refusal | Promise<Identity | Refusal>;
}

/** Where callers are not authenticated. */
export const openToAll: Authenticator = { identify: () => anybody };
