/** Attacks by those who are nobody: no token, wrong ones, forged JWTs, certificates of others. Refused, written down, nothing changed. */
import { createHash, generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AttackSite } from '../harness/attack-site.ts';
import { Authority } from '../harness/certificates.ts';
import { HoldStream, SessionStream } from '../harness/lock-streams.ts';
import { type Refused, refusal } from '../harness/replica.ts';
import { bearer, type Shown } from '../harness/shown.ts';
import { lastOf } from '../harness/victim.ts';

let site: AttackSite;

beforeAll(async () => {
  site = await AttackSite.open();
});

afterAll(() => site.close());

const UNAUTHENTICATED = { code: 16, reason: 'UNAUTHENTICATED' };

/** Written down, and nothing on any node is another than before. `detail`: what is said of it. */
async function audited<T>(attack: () => Promise<T>, detail: RegExp): Promise<T> {
  const before = await site.nodes.dumps();
  const sinceMs = Date.now();
  const answer = await attack();
  const line = { action: 'authenticate', outcome: 'UNAUTHENTICATED', identity: '', detail };
  // Of very many in one second some are only counted: who goes on is told of again.
  await site.audited(sinceMs, line, attack);
  expect(await site.nodes.dumps()).toEqual(before);
  return answer;
}

/** Refused as it should be. */
async function refused(attack: () => Promise<unknown>, method = 'Acquire'): Promise<Refused> {
  const answer = await audited(() => refusal(attack()), new RegExp(`/${method}\\)`));
  expect(answer).toMatchObject(UNAUTHENTICATED);
  expect(answer.message).not.toMatch(/hft_|ops|retired|alice|tenant/);
  return answer;
}

const acquire = (shown: Shown) => site.client(shown).acquire({ resources: ['free/attacked'] });

describe('without a token', () => {
  const nobody = () => site.client(site.shown());

  test.each<[string, () => Promise<unknown>]>([
    ['Acquire', () => nobody().acquire({ resources: ['free/attacked'] })],
    ['Heartbeat', () => nobody().heartbeat('hf1.anything')],
    ['Release', () => nobody().release('hf1.anything')],
    ['Inspect', () => nobody().inspect('free/attacked')],
    ['List', () => nobody().list()],
    ['CheckToken', () => nobody().checkToken('free/attacked', '1')],
    ['ForceRelease', () => nobody().force({ resource: 'free/attacked', reason: 'mine' })],
    ['Status', () => nobody().status()],
    ['Reload', () => nobody().reload()],
    ['SetLogLevel', () => nobody().setLogLevel('silent')],
  ])('%s', async (method, attack) => {
    await refused(attack, method);
  });

  test('Hold and Session', async () => {
    const acquire = { resources: ['free/attacked'], owner: 'x' };
    const hold = () => lastOf(new HoldStream(site.address, { acquire }, site.shown()));
    expect(await audited(hold, /\/Hold\)/)).toMatchObject(UNAUTHENTICATED);
    const session = () => lastOf(new SessionStream(site.address, site.shown()));
    expect(await audited(session, /\/Session\)/)).toMatchObject(UNAUTHENTICATED);
  });

  test('and the same calls are served where nobody asks who calls', async () => {
    const open = await site.unguarded();
    const { lease } = await open.acquire({ resources: ['free/attacked'] });
    expect(await open.release(lease!.lease_id)).toBe(true);
    expect(await open.list()).toMatchObject({ locks: [] });
  });
});

describe('with a token', () => {
  const header = (authorization: string) => site.shown({ authorization });
  const other = (token: string) => `${token.slice(0, -1)}${token.endsWith('A') ? 'B' : 'A'}`;

  test.each<[string, () => Shown]>([
    ['that nobody was given', () => site.shown(bearer(`hft_${'A'.repeat(43)}`))],
    ['that differs in its last character', () => site.shown(bearer(other(site.token('ops'))))],
    ['in other letters', () => site.shown(bearer(site.token('ops').toUpperCase()))],
    ['cut by one', () => site.shown(bearer(site.token('ops').slice(0, -1)))],
    ['and more behind it', () => site.shown(bearer(`${site.token('ops')} x`))],
    ['that has expired', () => site.shown(bearer(site.token('retired')))],
    [
      'by another scheme',
      () => header(`Basic ${Buffer.from(`ops:${site.token('ops')}`).toString('base64')}`),
    ],
    ['without a scheme', () => header(site.token('ops'))],
    ['that is empty', () => header('Bearer ')],
    ['and another one', () => header(`Bearer ${site.token('plain')}, Bearer ${site.token('ops')}`)],
    [
      'that is what the file has of it',
      () => site.shown(bearer(createHash('sha256').update(site.token('ops')).digest('hex'))),
    ],
    ['of ten thousand characters', () => site.shown(bearer(`hft_${'A'.repeat(10_000)}`))],
  ])('%s', async (_, shown) => {
    await refused(() => acquire(shown()));
  });

  test('and the right one is served', async () => {
    const { lease } = await site.by('plain').acquire({ resources: ['free/attacked'] });
    expect(await site.by('plain').release(lease!.lease_id)).toBe(true);
  });
});

describe('with a JWT', () => {
  const nowS = Math.floor(Date.now() / 1000);
  const strange = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const strangeJwk = strange.publicKey.export({ format: 'jwk' });

  test.each<[string, () => Shown]>([
    ['of alg none', () => site.jwt({ header: { alg: 'none' } }, () => '')],
    ['of alg NoNe', () => site.jwt({ header: { alg: 'NoNe' } }, () => '')],
    ['that is not signed', () => site.jwt({}, () => '')],
    [
      'signed by the public key as a secret',
      () => site.jwt({ header: { alg: 'HS256' } }, (text) => site.hmac(text)),
    ],
    ['signed by somebody else', () => site.jwt({}, strange.privateKey)],
    ['that brings its own key', () => site.jwt({ header: { jwk: strangeJwk } }, strange.privateKey)],
    [
      'that says where its key is',
      () => site.jwt({ header: { jku: 'http://127.0.0.1:1/' } }, strange.privateKey),
    ],
    ['of a key that nobody knows', () => site.jwt({ header: { kid: 'key-2' } })],
    ['of an algorithm that was not asked for', () => site.jwt({ header: { alg: 'PS256' } })],
    ['with a critical extension', () => site.jwt({ header: { crit: ['x'], x: 1 } })],
    ['that has expired', () => site.jwt({ claims: { exp: nowS - 3600 } })],
    ['that never ends', () => site.jwt({ claims: { exp: undefined } })],
    ['that is not good yet', () => site.jwt({ claims: { nbf: nowS + 3600 } })],
    ['for another service', () => site.jwt({ claims: { aud: 'elsewhere' } })],
    ['of another issuer', () => site.jwt({ claims: { iss: 'https://evil.test' } })],
    ['of a subject that nobody knows', () => site.jwt({ claims: { sub: 'mallory' } })],
    ['whose subject is no text', () => site.jwt({ claims: { sub: ['alice'] } })],
  ])('%s', async (_, shown) => {
    await refused(() => site.client(shown()).inspect('free/attacked'), 'Inspect');
  });

  test('of the right subject it is served, within its rules', async () => {
    const alice = site.client(site.jwt());
    expect(await refusal(alice.inspect('jwt/never-seen'))).toMatchObject({ reason: 'UNKNOWN_RESOURCE' });
    expect(await refusal(alice.acquire({ resources: ['jwt/x'] }))).toMatchObject({ reason: 'DENIED' });
  });
});

describe('with a certificate', () => {
  test.each<[string, () => Shown]>([
    ['of a name that nobody has', () => site.withCertificate({ commonName: 'mallory' })],
    [
      'and the token of somebody else',
      () => site.withCertificate({ commonName: 'worker' }, site.authority, bearer(site.token('ops'))),
    ],
  ])('%s', async (_, shown) => {
    await refused(() => acquire(shown()));
  });

  test.each<[string, () => Shown]>([
    ['of another CA', () => site.withCertificate({ commonName: 'worker' }, new Authority('the wrong CA'))],
    [
      'of another CA that bears the name of ours',
      () => site.withCertificate({ commonName: 'worker' }, new Authority('the right CA')),
    ],
    [
      'that has expired',
      () => site.withCertificate({ commonName: 'worker', notAfterMs: Date.now() - 60_000 }),
    ],
  ])('%s gets no word in', async (_, shown) => {
    // The handshake ends it, so there is no answer of ours.
    const attack = () =>
      acquire(shown()).then(
        () => 'granted',
        ({ code }: { code: number }) => code,
      );
    expect(await audited(attack, /^invalid: TLS: /)).toBe(14);
  });

  test('of the right CA and name it is served', async () => {
    const worker = site.client(site.withCertificate({ commonName: 'worker' }));
    const { lease } = await worker.acquire({ resources: ['free/attacked'] });
    expect(await worker.release(lease!.lease_id)).toBe(true);
  });
});
