/** What a client certificate calls its owner. */
import type { X509Certificate } from 'node:crypto';

export interface ClientCertificate {
  /** As the access file writes them: `spiffe://...`, `dns:...`, `cn:...`. */
  readonly names: readonly string[];
  readonly validUntilMs: number;
}

/** One entry of the text that OpenSSL makes of a subjectAltName; what needs quotes there is no name for us. */
const ENTRY = /([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,"]*)(?:, |$)/y;

function alternativeNames(text: string): string[] {
  const names: string[] = [];
  ENTRY.lastIndex = 0;
  while (ENTRY.lastIndex < text.length) {
    const match = ENTRY.exec(text);
    // Half of a list that cannot be read is not to be trusted either.
    if (match === null) return [];
    const [, kind, value = ''] = match;
    if (value.startsWith('"')) continue;
    // Other URIs could look like the names that we write for DNS and CN.
    if (kind === 'URI' && value.startsWith('spiffe://')) names.push(value);
    else if (kind === 'DNS') names.push(`dns:${value.toLowerCase()}`);
  }
  return names;
}

/** `certificate` has been verified. */
export function clientCertificate(certificate: X509Certificate): ClientCertificate {
  const names = alternativeNames(certificate.subjectAltName ?? '');
  // Several of them would be an array.
  const { CN: commonName } = certificate.toLegacyObject().subject as { CN?: unknown };
  if (typeof commonName === 'string') names.push(`cn:${commonName}`);
  return { names, validUntilMs: Date.parse(certificate.validTo) };
}
