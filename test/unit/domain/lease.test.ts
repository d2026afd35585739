/** The lease id: it comes back as it was made, and a damaged one names nothing of what it named. */
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { anybody, sealFor } from '../../../src/domain/access.ts';
import {
  formatLeaseId,
  leaseRefOf,
  leaseValue,
  leaseValueIn,
  newSecret,
  parseLeaseId,
  renameInLeaseId,
  sealName,
  sealOf,
  splitValue,
  unsealName,
} from '../../../src/domain/lease.ts';
import { limits } from '../../../src/domain/limits.ts';
import { TOKEN_MAX } from '../../../src/domain/token.ts';
import { SeededRandom, systemRandom } from '../../../src/std/random.ts';

const RESOURCE_CHARACTERS = 'abcXYZ019._:/@+-';
const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

const resource = fc.string({ unit: fc.constantFrom(...RESOURCE_CHARACTERS), minLength: 1, maxLength: 40 });
const name = fc.record({
  secret: fc.integer().map((seed) => newSecret(new SeededRandom(seed))),
  token: fc.bigInt({ min: 1n, max: TOKEN_MAX }),
  ttlMs: fc.integer({ min: 1, max: 9_999_999_999 }),
  resources: fc.array(resource, { minLength: 1, maxLength: limits.resourcesPerRequest }),
});

const known = {
  secret: newSecret(new SeededRandom(7)),
  token: 1_800_000_000_000_123n,
  ttlMs: 30_000,
  resources: ['gpu/0', 'gpu/1'],
};
const knownId = formatLeaseId(known);

/** What a damaged id still names; the value is what nodes match, so another value is another lease. */
function stillNames(damaged: string): boolean {
  const parsed = parseLeaseId(damaged);
  if (parsed === undefined) return false;
  return parsed.value === leaseValue(known.secret, known.token);
}

describe('a lease id', () => {
  test('says exactly what went into it', () => {
    fc.assert(
      fc.property(name, (made) => {
        const parsed = parseLeaseId(formatLeaseId(made));
        expect(parsed).toMatchObject(made);
        expect(parsed?.value).toBe(leaseValue(made.secret, made.token));
        expect(parsed?.leaseRef).toBe(leaseRefOf(parsed?.value ?? ''));
        expect(splitValue(parsed?.value ?? '')).toEqual({ secret: made.secret, token: made.token });
      }),
    );
  });

  test('is formatted from its parse to the letter', () => {
    fc.assert(
      fc.property(name, (made) => {
        const id = formatLeaseId(made);
        const parsed = parseLeaseId(id);
        expect(parsed === undefined ? undefined : formatLeaseId(parsed)).toBe(id);
      }),
    );
  });

  test('cut anywhere it does not parse', () => {
    for (let length = 0; length < knownId.length; length += 1) {
      expect(parseLeaseId(knownId.slice(0, length)), `cut to ${length}`).toBeUndefined();
      expect(parseLeaseId(knownId.slice(length + 1)), `without its first ${length + 1}`).toBeUndefined();
    }
  });

  test('with any one character changed it names nothing of what it named', () => {
    for (let at = 0; at < knownId.length; at += 1) {
      for (let code = 1; code < 256; code += 1) {
        const other = String.fromCharCode(code);
        if (other === knownId[at]) continue;
        const damaged = knownId.slice(0, at) + other + knownId.slice(at + 1);
        expect(stillNames(damaged), `character ${at} as U+${code.toString(16)}`).toBe(false);
      }
    }
  });

  test('with one character more, or two swapped, it does not parse', () => {
    for (let at = 0; at <= knownId.length; at += 1) {
      for (const more of ['0', 'A', '.', '=', ' ', '\n', '\0', '\u{1f512}']) {
        const damaged = knownId.slice(0, at) + more + knownId.slice(at);
        expect(parseLeaseId(damaged), `${JSON.stringify(more)} at ${at}`).toBeUndefined();
      }
      const swapped =
        knownId.slice(0, at) + (knownId[at + 1] ?? '') + (knownId[at] ?? '') + knownId.slice(at + 2);
      if (swapped !== knownId) expect(parseLeaseId(swapped), `swapped at ${at}`).toBeUndefined();
    }
  });

  test('no text makes parsing throw, and none is a lease id by chance', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc.string({ unit: fc.constantFrom('.', 'hf1', ...BASE64URL), maxLength: 60 }),
      fc.array(fc.string({ maxLength: 12 }), { minLength: 5, maxLength: 7 }).map((parts) => parts.join('.')),
      name.map((made) => formatLeaseId(made).toUpperCase()),
    );
    fc.assert(
      fc.property(text, (anything) => {
        expect(parseLeaseId(anything)).toBeUndefined();
      }),
      { numRuns: 2000 },
    );
  });

  test('that would name too much, too long or nothing does not parse, even with a good checksum', () => {
    const with_ = (changes: Partial<typeof known>): string => formatLeaseId({ ...known, ...changes });
    const many = (count: number) => Array.from({ length: count }, (_, index) => `r${index}`);
    expect(parseLeaseId(with_({ resources: many(limits.resourcesPerRequest) }))).toBeDefined();
    expect(parseLeaseId(with_({ resources: many(limits.resourcesPerRequest + 1) }))).toBeUndefined();
    expect(parseLeaseId(with_({ resources: ['r'.repeat(limits.resourceLength + 1)] }))).toBeUndefined();
    for (const resources of [[], [''], ['a', ''], ['a\u0000'], ['a b', 'c\u00e9']]) {
      const parsed = parseLeaseId(with_({ resources }));
      expect(parsed?.resources.every((one) => /^[A-Za-z0-9._:/@+-]+$/.test(one)) ?? true).toBe(true);
    }
    expect(parseLeaseId(with_({ token: TOKEN_MAX }))).toBeDefined();
    for (const token of [0n, TOKEN_MAX + 1n, -1n]) expect(parseLeaseId(with_({ token }))).toBeUndefined();
    for (const ttlMs of [0, -1, 1.5, 10_000_000_000]) expect(parseLeaseId(with_({ ttlMs }))).toBeUndefined();
    for (const secret of ['', 'short']) expect(parseLeaseId(with_({ secret }))).toBeUndefined();
    const body = `hf1.${known.secret}A.${knownId.split('.').slice(2, 5).join('.')}`;
    expect(parseLeaseId(`${body}.${crc32(body).toString(36)}`)).toBeUndefined();
  });

  test('of the longest names that a request may ask for still parses', () => {
    const resources = Array.from({ length: limits.resourcesPerRequest }, (_, index) =>
      String(index).padEnd(limits.resourceLength, 'x'),
    );
    const id = formatLeaseId({ ...known, token: TOKEN_MAX, ttlMs: 9_999_999_999, resources });
    expect(id.length).toBeLessThanOrEqual(limits.leaseIdLength);
    expect(parseLeaseId(id)?.resources).toEqual(resources);
  });
});

describe('a lease that was granted to an identity', () => {
  const [ann, bob] = ['ann', 'bob'].map((name) => sealFor({ ...anybody, name })) as [string, string];

  test('has an id that says nothing of it, and a value that only its own hands make of that id', () => {
    const secret = newSecret(new SeededRandom(7), ann);
    expect(secret).toBe(known.secret + ann);
    const id = formatLeaseId({ ...known, secret });
    expect(id).toBe(knownId);
    const value = `${secret}|${known.token}`;
    expect(leaseValueIn(id, ann)).toBe(value);
    expect(sealName(parseLeaseId(id)!, ann)).toMatchObject({ secret, value, leaseRef: leaseRefOf(value) });
    expect(sealName(parseLeaseId(id)!, bob).value).not.toBe(value);
    expect(parseLeaseId(id)!.value).not.toBe(value);
    expect(sealOf({ secret })).toBe(ann);
  });

  test('is named in the terms of its id again, but by the digest of what the nodes store', () => {
    const sealed = sealName(parseLeaseId(knownId)!, ann);
    const { leaseRef, ...name } = unsealName(sealed);
    expect(name).toEqual({ ...parseLeaseId(knownId)! });
    expect(leaseRef).toBe(sealed.leaseRef);
  });

  test('seals differ by name and by tenant, and nobody has none', () => {
    const identities = [
      { ...anybody, name: 'a' },
      { ...anybody, tenant: 'a' },
      { ...anybody, name: 'a', tenant: 'a' },
      { ...anybody, name: 'b', tenant: 'a' },
      { ...anybody, name: '","a' },
      { ...anybody, name: 'a', tenant: '","' },
    ];
    const seals = identities.map(sealFor);
    expect(new Set(seals).size).toBe(identities.length);
    for (const seal of seals) expect(seal).toMatch(/^[A-Za-z0-9_-]{16}$/);
    expect(sealFor(anybody)).toBe('');
  });

  test('may call its resources by other names', () => {
    const renamed = renameInLeaseId(knownId, ['a', 'b/c']);
    expect(parseLeaseId(renamed)).toMatchObject({
      secret: known.secret,
      token: known.token,
      resources: ['a', 'b/c'],
    });
    expect(renameInLeaseId(renamed, known.resources)).toBe(knownId);
  });
});

describe('what is derived from it', () => {
  test('secrets are 128 bits of base64url and never repeat', () => {
    const secrets = new Set(Array.from({ length: 20_000 }, () => newSecret(systemRandom)));
    expect(secrets.size).toBe(20_000);
    for (const secret of secrets) expect(secret).toMatch(/^[A-Za-z0-9_-]{22}$/);
  });

  test('attempts of one lease have different values and references', () => {
    const values = [1n, 2n, 3n].map((token) => leaseValue(known.secret, token));
    expect(new Set(values).size).toBe(3);
    expect(new Set(values.map(leaseRefOf)).size).toBe(3);
  });

  test('the public reference gives nothing of the secret away', () => {
    const ref = leaseRefOf(leaseValue(known.secret, known.token));
    expect(ref).toMatch(/^[A-Za-z0-9_-]{16}$/);
    expect(known.secret).not.toContain(ref.slice(0, 6));
  });
});
