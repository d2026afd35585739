/** Certificate, key and client CA as files: read and checked together, before anything is changed. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import type { FieldViolation } from '../domain/refusals.ts';

export type ClientAuth = 'none' | 'request' | 'require';

/** As the settings have them. */
export interface TlsPaths {
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsClientCa?: string;
  readonly tlsClientAuth: ClientAuth;
}

export interface TlsMaterial {
  readonly context: SecureContextOptions;
  readonly clientAuth: ClientAuth;
  /** Of the certificate that ends first of those that clients are shown. */
  readonly validUntilMs: number;
  /** The texts of the files, to tell whether they have changed: setting and contents. */
  readonly contents: ReadonlyMap<string, string>;
}

export type ReadTls = { readonly material: TlsMaterial } | { readonly problems: readonly FieldViolation[] };

const CERT = 'HOLDFAST_TLS_CERT';
const KEY = 'HOLDFAST_TLS_KEY';
const CLIENT_CA = 'HOLDFAST_TLS_CLIENT_CA';
const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
/** Server Gated Cryptography aside, every client of gRPC of the last decade speaks it. */
const MIN_VERSION = 'TLSv1.2';

/** Undefined: TLS is not asked for. `field` is the name of a setting; never shows what is in a file. */
export function readTls(paths: TlsPaths): ReadTls | undefined {
  if (paths.tlsCert === undefined || paths.tlsKey === undefined) return undefined;
  const problems: FieldViolation[] = [];
  const contents = new Map<string, string>();
  for (const [name, path] of [
    [CERT, paths.tlsCert],
    [KEY, paths.tlsKey],
    [CLIENT_CA, paths.tlsClientCa],
  ] as const) {
    if (path === undefined) continue;
    try {
      contents.set(name, readFileSync(path, 'utf8'));
    } catch (error) {
      const { code = 'unknown' } = error as NodeJS.ErrnoException;
      problems.push({ field: name, description: `"${path}" cannot be read (${code})` });
    }
  }
  const chain = certificatesOf(CERT, contents, problems);
  certificatesOf(CLIENT_CA, contents, problems);
  if (problems.length > 0) return { problems };
  const { tlsClientAuth: clientAuth } = paths;
  const context: SecureContextOptions = {
    cert: contents.get(CERT)!,
    key: contents.get(KEY)!,
    ...(paths.tlsClientCa === undefined ? {} : { ca: contents.get(CLIENT_CA)! }),
    minVersion: MIN_VERSION,
  };
  try {
    createSecureContext(context);
  } catch (error) {
    // OpenSSL's words (`key values mismatch`), which show nothing of the key.
    const { message } = error as Error;
    return { problems: [{ field: KEY, description: `does not work with ${CERT}: ${message}` }] };
  }
  const validUntilMs = Math.min(...chain.map(({ validTo }) => Date.parse(validTo)));
  return { material: { context, clientAuth, validUntilMs, contents } };
}

function certificatesOf(
  field: string,
  contents: ReadonlyMap<string, string>,
  problems: FieldViolation[],
): X509Certificate[] {
  const text = contents.get(field);
  if (text === undefined) return [];
  try {
    const found = (text.match(PEM) ?? []).map((pem) => new X509Certificate(pem));
    if (found.length > 0) return found;
    problems.push({ field, description: 'holds no certificate (PEM)' });
  } catch {
    problems.push({ field, description: 'holds a certificate that cannot be read' });
  }
  return [];
}
