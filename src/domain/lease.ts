/** The lease id: a self-describing bearer secret, so that any replica can renew or free a lease it never saw. */
import { hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { Random } from '../std/random.ts';
import { limits } from './limits.ts';
import { resourceFault } from './names.ts';
import { TOKEN_MAX, type Token } from './token.ts';

export type Mode = 'exclusive' | 'shared';

/** Two modes conflict unless both are shared. */
export function conflict(one: Mode, other: Mode): boolean {
  return one === 'exclusive' || other === 'exclusive';
}

/** What a holder was promised; times are wall-clock milliseconds since the Unix epoch. */
export interface Lease {
  readonly kind: 'lease';
  readonly leaseId: string;
  readonly leaseRef: string;
  readonly resources: readonly string[];
  readonly token: Token;
  readonly owner: string;
  readonly mode: Mode;
  readonly ttlMs: number;
  readonly acquireTimeMs: number;
  readonly expireTimeMs: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly replayed: boolean;
}

/** What a lease id says; `value` is what the nodes store and match to the letter. */
export interface LeaseName {
  /** 128 random bits in base64url, which make the id unguessable, and the seal of whom it was granted to. */
  readonly secret: string;
  readonly token: Token;
  readonly ttlMs: number;
  readonly resources: readonly string[];
  readonly value: string;
  readonly leaseRef: string;
}

const SECRET_BYTES = 16;
/** Of the part that the id shows. */
const SECRET_LENGTH = 22;
const REF_LENGTH = 16;
const VERSION = 'hf1';

/**
 * `seal` stands for whom the lease is granted to, and is in no id: nodes store it, and whoever brings an id has their
 * own seal added to it. So an id in other hands is one that no node has ever heard of.
 */
export function newSecret(random: Random, seal = ''): string {
  return random.bytes(SECRET_BYTES).toString('base64url') + seal;
}

/** Unique per attempt: two attempts of one lease must never answer for each other. */
export function leaseValue(secret: string, token: Token): string {
  return `${secret}|${token}`;
}

/** The public digest of a lease value: 96 bits of SHA-256, so that views can name a lease without giving it away. */
export function leaseRefOf(value: string): string {
  return hash('sha256', value, 'base64url').slice(0, REF_LENGTH);
}

/** The secret and the token of a stored value. */
export function splitValue(value: string): { secret: string; token: Token } {
  const bar = value.indexOf('|');
  return { secret: value.slice(0, bar), token: BigInt(value.slice(bar + 1)) };
}

/**
 * `hf1.SECRET.TOKEN.TTL.RESOURCES.CRC`: the checksum makes a truncated or mistyped id one that does not parse. Of the
 * secret all but the seal.
 */
export function formatLeaseId(name: Pick<LeaseName, 'secret' | 'token' | 'ttlMs' | 'resources'>): string {
  const secret = name.secret.slice(0, SECRET_LENGTH);
  return withChecksum(`${VERSION}.${secret}.${name.token}.${name.ttlMs}.${packNames(name.resources)}`);
}

/** The same id with other names for its resources, in the same order. */
export function renameInLeaseId(leaseId: string, resources: readonly string[]): string {
  const [version, secret, token, ttl] = leaseId.split('.', 4);
  return withChecksum(`${version}.${secret}.${token}.${ttl}.${packNames(resources)}`);
}

function packNames(resources: readonly string[]): string {
  const names = resources.length === 1 ? resources[0]! : resources.join(' ');
  return Buffer.from(names, 'latin1').toString('base64url');
}

function withChecksum(body: string): string {
  return `${body}.${checksum(body)}`;
}

/**
 * The value in an id that this service has made; cheaper than to parse all of it. Joined, because a template would be
 * kept as pieces, and the id with them.
 */
export function leaseValueIn(leaseId: string, seal = ''): string {
  const secretAt = VERSION.length + 1;
  const tokenAt = leaseId.indexOf('.', secretAt) + 1;
  const secret = leaseId.slice(secretAt, tokenAt - 1) + seal;
  return [secret, leaseId.slice(tokenAt, leaseId.indexOf('.', tokenAt))].join('|');
}

/** What its id says of a lease that this service has made, in the hands of whom `seal` stands for. */
export function leaseNameOf(lease: Lease, seal = ''): LeaseName {
  const value = leaseValueIn(lease.leaseId, seal);
  const { token, ttlMs, resources, leaseRef } = lease;
  return { secret: value.slice(0, value.indexOf('|')), token, ttlMs, resources, value, leaseRef };
}

const LEASE_ID =
  /^(hf1\.([A-Za-z0-9_-]{22})\.([1-9][0-9]{0,19})\.([1-9][0-9]{0,9})\.([A-Za-z0-9_-]*))\.([0-9a-z]{1,7})$/;

/** The parts of a lease id, or undefined when it does not parse. */
export function parseLeaseId(leaseId: string): LeaseName | undefined {
  if (leaseId.length > limits.leaseIdLength) return undefined;
  const parts = LEASE_ID.exec(leaseId) as string[] | null;
  if (parts === null || checksum(parts[1]!) !== parts[6]) return undefined;
  const [, , secret = '', tokenText = '', ttlText = '', packed = ''] = parts;
  const token = BigInt(tokenText);
  if (token > TOKEN_MAX) return undefined;
  const names = Buffer.from(packed, 'base64url').toString('latin1');
  const resources = names.includes(' ') ? names.split(' ') : [names];
  if (resources.length > limits.resourcesPerRequest) return undefined;
  for (const resource of resources) if (resourceFault(resource) !== undefined) return undefined;
  return new ParsedName(secret, token, Number(ttlText), resources, `${secret}|${tokenText}`);
}

/** The name in the hands of whom `seal` stands for, who may know the resources by other names than the nodes. */
export function sealName(name: LeaseName, seal: string, resources = name.resources): LeaseName {
  const secret = name.secret + seal;
  return new ParsedName(secret, name.token, name.ttlMs, resources, leaseValue(secret, name.token));
}

/** The same lease, to be renewed by another ttl. */
export function withTtl({ secret, token, resources, value }: LeaseName, ttlMs: number): LeaseName {
  return new ParsedName(secret, token, ttlMs, resources, value);
}

/** The way back; the leaseRef stays that of what the nodes store. */
export function unsealName(name: LeaseName): LeaseName {
  const secret = name.secret.slice(0, SECRET_LENGTH);
  const { token, ttlMs, resources, leaseRef } = name;
  return { secret, token, ttlMs, resources, value: leaseValue(secret, token), leaseRef };
}

/** Of a name as the nodes know it. */
export function sealOf({ secret }: Pick<LeaseName, 'secret'>): string {
  return secret.slice(SECRET_LENGTH);
}

class ParsedName implements LeaseName {
  readonly secret: string;
  readonly token: Token;
  readonly ttlMs: number;
  readonly resources: readonly string[];
  readonly value: string;

  constructor(secret: string, token: Token, ttlMs: number, resources: readonly string[], value: string) {
    this.secret = secret;
    this.token = token;
    this.ttlMs = ttlMs;
    this.resources = resources;
    this.value = value;
  }

  /** Made when asked for: a release never needs it, and the digest is the dearest part of an id. */
  get leaseRef(): string {
    return leaseRefOf(this.value);
  }
}

/** Against truncation and typing errors only: a forged id fails at the nodes, which hold the true value. */
function checksum(body: string): string {
  return crc32(body).toString(36);
}
