/** The form of the access file: what may stand in it, and what is said of what may not. Never repeats a value. */
import { z } from 'zod';
import { VERBS } from '../../domain/access.ts';
import { prefixFault } from '../../domain/names.ts';
import { parseDurationMs } from '../../std/durations.ts';

/** A colon is left to the names of those that a token of a default identity stands for. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$/;
const TENANT = /^[A-Za-z0-9._-]{1,64}$/;
const DIGEST = /^[0-9a-f]{64}$/i;
const CERTIFICATE = /^(spiffe:\/\/[!-~]{1,2000}|dns:[A-Za-z0-9_.-]{1,253}|cn:[ -~]{1,64})$/;
const CLAIM = /^[!-~]{1,128}$/;
/** What a tenant's claim, and a subject's, may be. */
export const tenantForm = TENANT;
export const subjectForm = /^[!-~]{1,256}$/;

/** Whose key is public: with HS256 and its kin everybody who can verify a token could make one. */
const ALGORITHMS = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
] as const;

const DAY_MS = 86_400_000;
const LONGEST_MS = 3650 * DAY_MS;
const MOST = 1_000_000;

const text = (form: RegExp, allowed: string) =>
  z.string({ error: `must be ${allowed}` }).regex(form, { error: `must be ${allowed}` });

const one = <const Words extends readonly [string, ...string[]]>(words: Words) =>
  z.enum(words, { error: `must be one of ${words.join(', ')}` });

const whole = (least: number) => {
  const error = `must be a whole number from ${least} to ${MOST}`;
  return z.int({ error }).min(least, { error }).max(MOST, { error });
};

const list = <Item extends z.ZodType>(item: Item, least = 0) =>
  z.array(item, { error: 'must be a list' }).min(least, { error: `must have at least ${least}` });

const durationMs = z.string({ error: 'must be a duration such as 30s' }).transform((given, context) => {
  const ms = parseDurationMs(given);
  if (ms !== undefined && ms > 0 && ms <= LONGEST_MS) return ms;
  context.addIssue({ code: 'custom', message: 'must be a duration such as 30s, above 0' });
  return z.NEVER;
});

const instantMs = z.iso
  .datetime({ offset: true, error: 'must be a time such as 2027-01-31T00:00:00Z' })
  .transform((given) => Date.parse(given));

const prefix = z
  .string({ error: 'must be the beginning of a name' })
  .refine((given) => given !== '' && prefixFault(given) === undefined, {
    error: 'must be the beginning of a name: letters, digits and . _ : / @ + -',
  });

const rule = z.strictObject({
  prefixes: list(prefix, 1).default([]),
  verbs: list(one(VERBS), 1),
});

const quota = z.strictObject({
  leases: whole(0).optional(),
  waiters: whole(0).optional(),
  streams: whole(0).optional(),
  rate: whole(1).optional(),
  max_ttl: durationMs.optional(),
  max_hold: durationMs.optional(),
});

const issuerText = text(/^[!-~]{1,512}$/, 'the text of the claim iss');

const identity = z.strictObject({
  name: text(NAME, 'a name of at most 64 letters, digits and . _ @ + -'),
  tenant: text(TENANT, 'a tenant of at most 64 letters, digits and . _ -').default(''),
  tokens: list(
    z.strictObject({
      name: text(NAME, 'a name of at most 64 letters, digits and . _ @ + -'),
      sha256: text(DIGEST, '64 hex digits, as `holdfast config token` prints them'),
      expires: instantMs.optional(),
    }),
  ).default([]),
  certificates: list(text(CERTIFICATE, 'spiffe://..., dns:NAME or cn:NAME')).default([]),
  jwt: list(
    z.strictObject({ issuer: issuerText.optional(), subject: text(subjectForm, 'the text of a claim') }),
  ).default([]),
  allow: list(rule),
  quota: quota.default({}),
});

const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

/** Over plain http anybody on the way could put keys of his own into the answer. */
function isKeyUrl(given: string): boolean {
  if (!URL.canParse(given)) return false;
  const { protocol, hostname, username, password } = new URL(given);
  if (username !== '' || password !== '') return false;
  return protocol === 'https:' || (protocol === 'http:' && LOOPBACK.test(hostname));
}

const audience = text(/^[!-~]{1,512}$/, 'the text of the claim aud, or a list of such');

const issuer = z
  .strictObject({
    issuer: issuerText,
    audience: z.union([audience, list(audience, 1)], {
      error: 'must be the text of the claim aud, or a list of such',
    }),
    jwks: z
      .string({ error: 'must be a URL' })
      .refine(isKeyUrl, { error: 'must be a https URL without a password (http to loopback only)' })
      .optional(),
    jwks_file: text(/^.{1,4096}$/, 'a path').optional(),
    algorithms: list(one(ALGORITHMS), 1).default([...ALGORITHMS]),
    identity_claim: text(CLAIM, 'the name of a claim').default('sub'),
    tenant_claim: text(CLAIM, 'the name of a claim').optional(),
    default_identity: text(NAME, 'the name of an identity').optional(),
  })
  .refine(({ jwks, jwks_file }) => (jwks === undefined) !== (jwks_file === undefined), {
    error: 'must have either jwks or jwks_file',
    path: ['jwks'],
  });

export const accessForm = z.strictObject({
  identities: list(identity, 1),
  jwt: list(issuer).default([]),
});

export type AccessText = z.output<typeof accessForm>;
export type IdentityText = AccessText['identities'][number];
export type IssuerText = AccessText['jwt'][number];
