/** The access file: what is understood, and that every problem is told at its place, without what stands there. */
import { describe, expect, test } from 'vitest';
import { type AccessFile, readAccess, subjectKey } from '../../../../src/edge/access/access-file.ts';

const SHA = 'a'.repeat(64);

function good(text: string): AccessFile {
  const read = readAccess(text);
  if (!read.ok) throw new Error(read.problems.join('\n'));
  return read.file;
}

function problems(text: string): readonly string[] {
  const read = readAccess(text);
  return read.ok ? [] : read.problems;
}

const whole = `
identities:
  - name: trainer
    tenant: vision
    tokens:
      - { name: ci, sha256: ${SHA.toUpperCase()}, expires: 2027-01-31T00:00:00Z }
      - { name: laptop, sha256: ${'b'.repeat(64)} }
    certificates: ["spiffe://cluster/ns/vision/sa/trainer", "dns:Trainer.Example", "cn:Trainer One"]
    jwt: [{ subject: "system:serviceaccount:vision:trainer" }]
    allow:
      - { prefixes: ["gpu/", "data/"], verbs: [acquire, inspect] }
    quota: { leases: 10, waiters: 0, streams: 4, rate: 100, max_ttl: 5m, max_hold: 24h }
  - name: human
    allow: [{ verbs: [inspect] }]
jwt:
  - issuer: https://issuer.example
    audience: holdfast
    jwks: https://issuer.example/keys
    tenant_claim: team
    default_identity: human
`;

describe('a good file', () => {
  test('is indexed by what callers show', () => {
    const file = good(whole);
    const trainer = file.identities.get('trainer')!;
    expect(trainer).toEqual({
      name: 'trainer',
      tenant: 'vision',
      rules: [{ prefixes: ['gpu/', 'data/'], verbs: ['acquire', 'inspect'] }],
      quota: {
        leases: 10,
        waiters: 0,
        streams: 4,
        ratePerSecond: 100,
        maxTtlMs: 300_000,
        maxHoldMs: 86_400_000,
      },
    });
    expect(file.tokens.get(SHA)).toEqual({
      identity: trainer,
      digest: SHA,
      expiresMs: Date.UTC(2027, 0, 31),
    });
    expect([...file.certificates.keys()]).toEqual([
      'spiffe://cluster/ns/vision/sa/trainer',
      'dns:trainer.example',
      'cn:Trainer One',
    ]);
    const subject = subjectKey('https://issuer.example', 'system:serviceaccount:vision:trainer');
    expect(file.subjects.get(subject)).toBe(trainer);
    const issuer = file.issuers.get('https://issuer.example')!;
    expect(issuer).toMatchObject({ identityClaim: 'sub', tenantClaim: 'team', audience: ['holdfast'] });
    expect(issuer.template).toBe(file.identities.get('human'));
    expect(issuer.algorithms.filter((name) => name.startsWith('HS'))).toEqual([]);
  });

  test('cannot be changed afterwards', () => {
    const trainer = good(whole).identities.get('trainer')!;
    for (const part of [trainer, trainer.quota, trainer.rules, trainer.rules![0], trainer.rules![0]!.verbs]) {
      expect(Object.isFrozen(part)).toBe(true);
    }
  });
});

const one = (more: string): string => `identities:\n  - { name: a, allow: [], ${more} }\n`;

describe('a problem is told at its place', () => {
  test.each([
    ['', /^the file: must be/],
    ['[]', /^the file: must be/],
    ['identities: []', /^identities: must have at least 1/],
    ['a: [', /^line 1, column \d+: is no YAML/],
    ['identities: [{ name: a, allow: [] }, { name: a, allow: [] }]', /^identities\[1\].name: .*twice/],
    ['identities: [{ name: "a b", allow: [] }]', /^identities\[0\].name: must be a name/],
    ['identities: [{ name: "a:b", allow: [] }]', /^identities\[0\].name: must be a name/],
    ['identities: [{ name: a }]', /^identities\[0\].allow: must be a list/],
    [one('tenant: "a/b"'), /^identities\[0\].tenant: must be a tenant/],
    [one('surprise: 1'), /^identities\[0\]: has an unknown key surprise/],
    [one('tokens: [{ name: t, sha256: abc }]'), /^identities\[0\].tokens\[0\].sha256: must be 64 hex/],
    [one(`tokens: [{ name: t, sha256: ${SHA}, expires: soon }]`), /tokens\[0\].expires: must be a time/],
    [
      one(`tokens: [{ name: t, sha256: ${SHA} }, { name: t, sha256: ${SHA} }]`),
      /tokens\[1\].name: .*twice.*\n?.*tokens\[1\].sha256: .*twice/,
    ],
    [one('certificates: ["dns:A.b", "dns:a.B"]'), /certificates\[1\]: .*twice/],
    [one('certificates: ["https://x"]'), /certificates\[0\]: must be spiffe/],
    [one('quota: { max_ttl: 0s }'), /quota.max_ttl: must be a duration/],
    [one('quota: { rate: 0 }'), /quota.rate: must be a whole number from 1/],
    [one('jwt: [{ subject: s }]'), /jwt\[0\].issuer: must be the issuer of one of jwt/],
    [
      'identities: [{ name: a, allow: [{ verbs: [steal] }] }]',
      /allow\[0\].verbs\[0\]: must be one of acquire/,
    ],
    ['identities: [{ name: a, allow: [{ verbs: [] }] }]', /allow\[0\].verbs: must have at least 1/],
    ['identities: [{ name: a, allow: [{ prefixes: ["~b/"], verbs: [acquire] }] }]', /prefixes\[0\]: must be/],
    [
      'identities: [{ name: a, allow: [{ prefixes: [], verbs: [acquire] }] }]',
      /prefixes: must have at least 1/,
    ],
  ])('%s', (text, why) => {
    expect(problems(text).join('\n')).toMatch(why);
  });

  const issuer = (more: string): string =>
    `identities: [{ name: a, allow: [] }]\njwt: [{ issuer: i, audience: h, ${more} }]`;
  test.each([
    ['jwks: "http://far.example/keys"', /^jwt\[0\].jwks: must be a https URL/],
    ['jwks: "https://user:hunter2@far.example/keys"', /^jwt\[0\].jwks: must be a https URL/],
    ['algorithms: [RS256]', /^jwt\[0\].jwks: must have either/],
    ['jwks: "https://x/k", jwks_file: k', /^jwt\[0\].jwks: must have either/],
    ['jwks_file: k, algorithms: [HS256]', /^jwt\[0\].algorithms\[0\]: must be one of RS256/],
    ['jwks_file: k, algorithms: [none]', /^jwt\[0\].algorithms\[0\]: must be one of RS256/],
    ['jwks_file: k, default_identity: b', /^jwt\[0\].default_identity: must name one of/],
  ])('of an issuer with %s', (more, why) => {
    expect(problems(issuer(more)).join('\n')).toMatch(why);
  });

  test('all of them at once', () => {
    expect(problems(one('tenant: "a b", quota: { rate: x }, more: 1'))).toHaveLength(3);
  });

  test('a default identity of two issuers would make one caller of two', () => {
    const two = ['i', 'j'].map(
      (name) => `{ issuer: ${name}, audience: h, jwks_file: k, default_identity: a }`,
    );
    expect(problems(`identities: [{ name: a, allow: [] }]\njwt: [${two}]`)[0]).toMatch(
      /that of another issuer/,
    );
  });
});

test.each([
  one('tokens: [{ name: t, sha256: hunter2-secret }]'),
  one('hunter2-secret: 1'),
  one('tokens: hunter2-secret'),
  'identities: [\n  "hunter2-secret',
  'identities: *hunter2-secret',
  'hunter2-secret: 1\nhunter2-secret: 2',
])('what stands there is not repeated: %s', (text) => {
  const told = problems(text).join('\n');
  expect(told).not.toBe('');
  expect(told).not.toContain('hunter2');
});
