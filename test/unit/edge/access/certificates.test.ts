/** What a certificate calls its owner: real ones, with names that pretend to be others. */
import { X509Certificate } from 'node:crypto';
import { expect, test } from 'vitest';
import { clientCertificate } from '../../../../src/edge/access/certificates.ts';
import { Authority, type Wanted } from '../../../harness/certificates.ts';

const ca = new Authority();
const namesOf = (wanted: Wanted): readonly string[] =>
  clientCertificate(new X509Certificate(ca.issue(wanted).cert)).names;

test.each<[Wanted, string[]]>([
  [
    { names: ['uri:spiffe://x/one', 'dns:One.Example'] },
    ['spiffe://x/one', 'dns:one.example', 'cn:holdfast'],
  ],
  [{ commonName: 'a worker', names: ['ip:10.0.0.1'] }, ['cn:a worker']],
  // Other URIs are no names, least of all when they look like ours.
  [{ names: ['uri:https://x/one', 'uri:cn:admin', 'uri:dns:admin'] }, ['cn:holdfast']],
  // As OpenSSL writes lists of names, these would be two.
  [{ names: ['dns:a, URI:spiffe://x/one'] }, ['cn:holdfast']],
  [{ names: ['uri:spiffe://x/two, URI:spiffe://x/one'] }, ['cn:holdfast']],
  [{ names: ['dns:a"b'] }, ['cn:holdfast']],
  [{ commonName: 'a\nCN=admin' }, ['cn:a\nCN=admin']],
  [{ commonName: 'dns:admin' }, ['cn:dns:admin']],
])('%j', (wanted, names) => {
  expect(namesOf(wanted)).toEqual(names);
});

test('its end is that of the certificate', () => {
  const notAfterMs = Date.UTC(2031, 4, 5, 6, 7, 8);
  const { cert } = ca.issue({ notAfterMs });
  expect(clientCertificate(new X509Certificate(cert)).validUntilMs).toBe(notAfterMs);
});
