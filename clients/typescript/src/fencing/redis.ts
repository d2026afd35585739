/** A Redis key that refuses a stale lease: value and token change in one script. For ioredis and what is called alike. */
import { checkToken, StaleTokenError } from './errors.ts';

/** What is needed of a client. */
export interface Scripts {
  eval(script: string, keyCount: number, ...args: string[]): Promise<unknown>;
}

export interface FencedSet {
  readonly key: string;
  readonly value: string;
  readonly token: bigint;
  /** The value is gone after so many milliseconds; its token stays. For ever unless set. */
  readonly ttlMs?: number;
  /** Where the token is kept: `tokenKeyOf(key)` unless set. In a cluster both keys must be of one slot. */
  readonly tokenKey?: string;
}

/**
 * Compares tokens as text, the longer one being larger: Lua's numbers are doubles, wrong above 2^53.
 * The token's key has no expiry: a fence that is forgotten lets everybody pass.
 */
const SCRIPT = `
local seen = redis.call('GET', KEYS[2]) or '0'
local token = ARGV[1]
if #token < #seen or (#token == #seen and token < seen) then return seen end
redis.call('SET', KEYS[2], token)
if ARGV[3] == '' then
  redis.call('SET', KEYS[1], ARGV[2])
else
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return ''
`;

/**
 * Beside the key and, in a cluster, in its slot: `{key}:fencing-token`, or `key:fencing-token` where the key has a
 * `{tag}`. For a key with a `}` and no tag a cluster refuses that: name a `tokenKey` of its slot.
 */
export function tokenKeyOf(key: string): string {
  return key.includes('}') ? `${key}:fencing-token` : `{${key}}:fencing-token`;
}

/**
 * Sets a key under a lease, if no newer lease has set it. Equal tokens pass: the same lease writes again. Throws
 * StaleTokenError, and nothing was changed. The guard is as durable as the Redis node: one that restarts empty, or fails
 * over to a replica that lags behind, has forgotten the fence.
 */
export async function fencedSet(
  client: Scripts,
  { key, value, token, ttlMs, tokenKey }: FencedSet,
): Promise<void> {
  checkToken(token);
  if (ttlMs !== undefined && !(Number.isInteger(ttlMs) && ttlMs > 0)) {
    throw new RangeError(`ttlMs: a whole number of milliseconds above 0, not ${ttlMs}`);
  }
  const keys = [key, tokenKey ?? tokenKeyOf(key)];
  const seen = String(await client.eval(SCRIPT, 2, ...keys, token.toString(), value, String(ttlMs ?? '')));
  if (seen !== '') throw new StaleTokenError(key, token, BigInt(seen));
}
