/** Who a caller is: by tokens, JWTs and certificates, and what becomes of those that contradict each other or expire. */
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from 'jose';
import { beforeAll, describe, expect, test } from 'vitest';
import { digestOf, isToken, makeToken } from '../../../../src/domain/access-token.ts';
import { readAccess } from '../../../../src/edge/access/access-file.ts';
import { Failure, Grant, openToAll } from '../../../../src/edge/access/authenticator.ts';
import { Callers } from '../../../../src/edge/access/callers.ts';
import type { ClientCertificate } from '../../../../src/edge/access/certificates.ts';
import { fixedKeys, type Keys } from '../../../../src/edge/access/jwks.ts';
import { ManualClock } from '../../../../src/std/clock.ts';
import { SeededRandom } from '../../../../src/std/random.ts';

const random = new SeededRandom(7);
const [first, short, other] = [makeToken(random), makeToken(random), makeToken(random)];
const ISSUER = 'https://issuer.example';
const HOUR_S = 3600;
const START_MS = 1_800_000_000_000;
const START_S = START_MS / 1000;

const fileOf = (more = '', tenantClaim = 'team') => `
identities:
  - name: one
    tenant: red
    tokens:
      - { name: a, sha256: ${digestOf(first)} }
      - { name: b, sha256: ${digestOf(short)}, expires: "${new Date(START_MS + 1000).toISOString()}" }
    certificates: ["spiffe://x/one", "dns:one.example"]
    jwt: [{ subject: one }]
    allow: [{ verbs: [acquire] }]
  - name: two
    tokens: [{ name: a, sha256: ${digestOf(other)} }]
    certificates: ["cn:two"]
    allow: []
  - { name: anyone, allow: [{ verbs: [inspect] }] }
jwt:
  - { issuer: "${ISSUER}", audience: holdfast, jwks_file: x, tenant_claim: ${tenantClaim}, default_identity: anyone }
${more}`;

let keys: Keys;
let privateKey: CryptoKey;
let looks = 0;

beforeAll(async () => {
  const pair = await generateKeyPair('ES256');
  ({ privateKey } = pair);
  const fixed = fixedKeys({ keys: [{ ...(await exportJWK(pair.publicKey)), kid: 'k1', alg: 'ES256' }] });
  keys = {
    get: (header, token) => {
      looks += 1;
      return fixed.get(header, token);
    },
  };
});

function open(text = fileOf()) {
  const clock = new ManualClock(START_MS * 1000);
  const read = readAccess(text);
  if (!read.ok) throw new Error(read.problems.join());
  const issuers = new Map([...read.file.issuers].map(([name, issuer]) => [name, { issuer, keys }]));
  return { clock, callers: new Callers(read.file, issuers, clock) };
}

const signed = (claims: Record<string, unknown>): Promise<string> =>
  new SignJWT({ iss: ISSUER, aud: 'holdfast', exp: START_S + HOUR_S, ...claims })
    .setProtectedHeader({ alg: 'ES256', kid: 'k1' })
    .sign(privateKey);

const certificate = (...names: string[]): ClientCertificate => ({ names, validUntilMs: START_MS + 1000 });
const bearer = (token: string): string => `Bearer ${token}`;

async function who(answer: ReturnType<Callers['identify']>): Promise<string> {
  const one = await answer;
  return one instanceof Grant ? `${one.identity.tenant}/${one.identity.name}` : one.reason;
}

describe('a token', () => {
  test('is what was made here, and nothing that a person thought of', () => {
    expect(first).toMatch(/^hft_[A-Za-z0-9_-]{43}$/);
    for (const text of ['', 'hft_', 'password', `${first}x`, first.slice(1)])
      expect(isToken(text)).toBe(false);
  });

  test('says who calls, at once', async () => {
    const { callers } = open();
    expect(callers.identify(bearer(first), undefined)).toBeInstanceOf(Grant);
    // The same object: nothing is made for a call.
    expect(callers.identify(bearer(first), undefined)).toBe(callers.identify(`bEARER  ${first}`, undefined));
    expect(await who(callers.identify(bearer(other), undefined))).toBe('/two');
  });

  test.each([
    ['none', undefined, 'missing'],
    ['another', bearer(makeToken(new SeededRandom(8))), 'unknown'],
    ['its hash', bearer(digestOf(first)), 'invalid'],
    ['another scheme', `Basic ${first}`, 'invalid'],
    ['no scheme', first, 'invalid'],
    ['two of them', `${bearer(first)},${bearer(other)}`, 'invalid'],
    ['a very long one', bearer('x'.repeat(9000)), 'invalid'],
    ['a space behind', `${bearer(first)} `, 'invalid'],
    ['nothing behind the scheme', 'Bearer ', 'invalid'],
  ])('%s is refused', (_, header, reason) => {
    const answer = open().callers.identify(header, undefined);
    expect(answer).toBeInstanceOf(Failure);
    expect(answer).toMatchObject({ reason });
  });

  test('expires', async () => {
    const { callers, clock } = open();
    expect(await who(callers.identify(bearer(short), undefined))).toBe('red/one');
    clock.advance(1000);
    expect(await who(callers.identify(bearer(short), undefined))).toBe('expired');
    expect(await who(callers.identify(bearer(first), undefined))).toBe('red/one');
  });
});

describe('a JWT', () => {
  test('is verified once, and then known until it expires', async () => {
    const { callers, clock } = open();
    const token = await signed({ sub: 'one' });
    looks = 0;
    const [a, b] = await Promise.all([1, 2].map(() => callers.identify(bearer(token), undefined)));
    expect(a).toBe(b);
    expect(callers.identify(bearer(token), undefined)).toBe(a);
    expect(looks).toBe(1);
    clock.advance((HOUR_S + 4) * 1000);
    // By then its key may have been withdrawn.
    expect(await who(callers.identify(bearer(token), undefined))).toBe('red/one');
    expect(looks).toBe(2);
    clock.advance(2000);
    expect(await who(callers.identify(bearer(token), undefined))).toBe('expired');
    expect(await who(callers.identify(bearer(token), undefined))).toBe('expired');
  });

  test('is asked for anew when keys have changed', async () => {
    const { callers } = open();
    const token = await signed({ sub: 'one' });
    await callers.identify(bearer(token), undefined);
    looks = 0;
    callers.forget();
    await callers.identify(bearer(token), undefined);
    expect(looks).toBe(1);
  });

  test.each([
    [{ sub: 'one' }, 'red/one'],
    [{ sub: 'one', team: 'red' }, 'red/one'],
    // The file says whose it is; a token cannot take it elsewhere.
    [{ sub: 'one', team: 'blue' }, 'unknown'],
    [{ sub: 'user|17', team: 'blue' }, 'blue/anyone:user|17'],
    // Without a team it would be in the tenant of everybody.
    [{ sub: 'user|17' }, 'unknown'],
    [{ sub: 'user 17', team: 'blue' }, 'invalid'],
    [{ sub: 'x'.repeat(300), team: 'blue' }, 'invalid'],
    [{ sub: 'user', team: '~blue/x' }, 'invalid'],
    [{ sub: 'user', team: ['blue'] }, 'invalid'],
    [{ sub: '', team: 'blue' }, 'invalid'],
    [{ team: 'blue' }, 'invalid'],
    [{ sub: 17, team: 'blue' }, 'invalid'],
    [{ sub: 'one', aud: 'another' }, 'invalid'],
    [{ sub: 'one', iss: 'https://evil.example' }, 'unknown'],
    [{ sub: 'one', iss: undefined }, 'unknown'],
    [{ sub: 'one', exp: START_S - 6 }, 'expired'],
    [{ sub: 'one', exp: START_S - 4 }, 'red/one'],
    [{ sub: 'one', exp: undefined }, 'invalid'],
    [{ sub: 'one', exp: 'never' }, 'invalid'],
    [{ sub: 'one', nbf: START_S + 6 }, 'invalid'],
    [{ sub: 'one', nbf: START_S + 4 }, 'red/one'],
  ])('with %j is %s', async (claims, expected) => {
    expect(await who(open().callers.identify(bearer(await signed(claims)), undefined))).toBe(expected);
  });

  test('of an issuer without a default identity is for those that the file names', async () => {
    const { callers } = open(fileOf().replace(', default_identity: anyone', ''));
    expect(await who(callers.identify(bearer(await signed({ sub: 'one' })), undefined))).toBe('red/one');
    const stranger = await signed({ sub: 'user', team: 'blue' });
    expect(await who(callers.identify(bearer(stranger), undefined))).toBe('unknown');
  });
});

describe('a certificate', () => {
  test.each([
    [['spiffe://x/one'], 'red/one'],
    [['dns:one.example', 'cn:whoever'], 'red/one'],
    [['cn:two'], '/two'],
    [['spiffe://x/one', 'cn:two'], 'invalid'],
    [['spiffe://x/one/more'], 'unknown'],
    [[], 'unknown'],
  ])('with %j is %s', async (names, expected) => {
    expect(await who(open().callers.identify(undefined, certificate(...names)))).toBe(expected);
  });

  test('that has expired since the connection began is good no more', async () => {
    const { callers, clock } = open();
    const shown = certificate('spiffe://x/one');
    expect(await who(callers.identify(undefined, shown))).toBe('red/one');
    clock.advance(1000);
    expect(await who(callers.identify(undefined, shown))).toBe('expired');
    expect(await who(callers.identify(bearer(first), shown))).toBe('expired');
  });

  test.each([
    ['the same identity', ['spiffe://x/one'], first, 'red/one'],
    ['another identity', ['cn:two'], first, 'invalid'],
    ['nobody: the token says who calls', ['cn:proxy'], first, 'red/one'],
    ['an identity, and the token nobody', ['spiffe://x/one'], makeToken(new SeededRandom(9)), 'unknown'],
  ])('beside a token names %s', async (_, names, token, expected) => {
    expect(await who(open().callers.identify(bearer(token), certificate(...names)))).toBe(expected);
  });

  test('beside a JWT is compared when that is verified', async () => {
    const { callers } = open();
    const token = bearer(await signed({ sub: 'one' }));
    expect(await who(callers.identify(token, certificate('cn:two')))).toBe('invalid');
    expect(await who(callers.identify(token, certificate('dns:one.example')))).toBe('red/one');
  });
});

describe('after another file was read', () => {
  const grantOf = async (header: string | undefined, shown?: ClientCertificate): Promise<Grant> =>
    (await open().callers.identify(header, shown)) as Grant;

  test('the same caller has its new rules, also when its token has expired meanwhile', async () => {
    const grant = await grantOf(bearer(short));
    const { callers, clock } = open(fileOf().replace('verbs: [acquire]', 'verbs: [admin]'));
    clock.advance(5000);
    expect(callers.again(grant)?.identity.rules).toEqual([{ prefixes: [], verbs: ['admin'] }]);
  });

  test.each([
    ['its token is gone', digestOf(first), digestOf(makeToken(new SeededRandom(10)))],
    ['its tenant is another', 'tenant: red', 'tenant: blue'],
    ['its name is another', 'name: one', 'name: three'],
  ])('it is not known any more when %s', async (_, from, to) => {
    const grant = await grantOf(bearer(first));
    expect(open().callers.again(grant)).toBeDefined();
    expect(open(fileOf().replace(from, to)).callers.again(grant)).toBeUndefined();
  });

  test('a JWT and a certificate are looked at as well', async () => {
    const [jwt, cert] = [
      await grantOf(bearer(await signed({ sub: 'one' }))),
      await grantOf(undefined, certificate('spiffe://x/one')),
    ];
    const both = await grantOf(bearer(first), certificate('spiffe://x/one'));
    for (const grant of [jwt, cert, both]) expect(open().callers.again(grant)).toBeDefined();
    const without = fileOf().replace('"spiffe://x/one", ', '').replace('jwt: [{ subject: one }]', 'jwt: []');
    for (const grant of [jwt, cert, both]) expect(open(without).callers.again(grant)).toBeUndefined();
  });

  test('who was anybody is nobody', async () => {
    const grant = (await openToAll.identify(undefined, undefined)) as Grant;
    expect(openToAll.again(grant)).toBe(grant);
    expect(open().callers.again(grant)).toBeUndefined();
    expect(openToAll.again(await grantOf(bearer(first)))).toBeUndefined();
  });
});
