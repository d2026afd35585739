/** Every setting with its name, default, range and meaning: parsing, `holdfast config` and `--help` all read this table. */
import { duration, entry, type Setting, toggle, whole } from './entry.ts';
import { operations } from './operations.ts';
import { NODES_FORM, parseRedisNodes, type RedisNode, showNode } from './redis-nodes.ts';
import { Secret } from './secret.ts';
import { ADDRESS_FORM, type Address, fault, formatAddress, parseAddress, parseAddresses } from './values.ts';

export type { Setting } from './entry.ts';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

const S = 1000;
const M = 60 * S;
const H = 60 * M;
// Not a colon: `a` with the resource record `r:x` and a namespace `a:r` would share keys.
const NAMESPACE = /^[A-Za-z0-9._-]{1,64}$/;

export const table = {
  listen: entry<readonly Address[]>(
    { name: 'HOLDFAST_LISTEN', fallback: '127.0.0.1:7420', meaning: 'where gRPC is served' },
    {
      placeholder: 'ADDRESS,...',
      allowed: `a comma list of ${ADDRESS_FORM}`,
      parse: parseAddresses,
      show: (value) => value.map(formatAddress).join(','),
    },
  ),
  httpListen: entry<Address>(
    {
      name: 'HOLDFAST_HTTP_LISTEN',
      fallback: '127.0.0.1:7421',
      meaning: 'where /livez, /readyz and /metrics are served',
    },
    { placeholder: 'ADDRESS', allowed: ADDRESS_FORM, parse: parseAddress, show: formatAddress },
  ),
  redisNodes: {
    ...entry<readonly RedisNode[]>(
      {
        name: 'HOLDFAST_REDIS_NODES',
        meaning: 'the lock nodes; absent: one embedded store, in memory, this process only',
      },
      {
        placeholder: 'URL,...',
        allowed: NODES_FORM,
        parse: parseRedisNodes,
        show: (value) => value.map(showNode).join(','),
      },
    ),
    secret: true,
  },
  redisPassword: {
    ...entry<Secret>(
      { name: 'HOLDFAST_REDIS_PASSWORD', meaning: 'for the nodes whose URL has no password' },
      {
        placeholder: 'TEXT',
        allowed: 'text without line breaks',
        parse: (text) =>
          /[\r\n]/.test(text) ? fault('must be text without line breaks') : { value: new Secret(text) },
        show: String,
      },
    ),
    secret: true,
  },
  minTtlMs: duration(
    { name: 'HOLDFAST_MIN_TTL', fallback: '100ms', meaning: 'the shortest ttl that is granted' },
    10,
    H,
  ),
  maxTtlMs: duration(
    {
      name: 'HOLDFAST_MAX_TTL',
      fallback: '60s',
      meaning: 'the longest ttl; changing it needs `holdfast config adopt`',
    },
    10,
    24 * H,
  ),
  // After its bounds: unset, it gives way to them.
  defaultTtlMs: duration(
    { name: 'HOLDFAST_DEFAULT_TTL', fallback: '30s', meaning: 'the ttl of an Acquire that names none' },
    10,
    24 * H,
  ),
  bootstrap: toggle({
    name: 'HOLDFAST_BOOTSTRAP',
    meaning: 'set up a NEW cluster at the first contact, without the wait',
  }),
  nodeTimeoutMs: duration(
    { name: 'HOLDFAST_NODE_TIMEOUT', fallback: '250ms', meaning: 'after which a node counts as silent' },
    5,
    30 * S,
  ),
  namespace: entry<string>(
    { name: 'HOLDFAST_NAMESPACE', fallback: 'holdfast', meaning: 'what every key on the nodes begins with' },
    {
      placeholder: 'NAME',
      allowed: '1 to 64 letters, digits and . _ -',
      parse: (text) =>
        NAMESPACE.test(text) ? { value: text } : fault('must be 1 to 64 letters, digits and . _ -'),
      show: String,
    },
  ),
  logLevel: entry<LogLevel>(
    { name: 'HOLDFAST_LOG_LEVEL', fallback: 'info', meaning: 'the least that is logged' },
    {
      placeholder: 'LEVEL',
      allowed: `one of ${LOG_LEVELS.join(', ')}`,
      parse: (text) => {
        const value = LOG_LEVELS.find((level) => level === text);
        return value === undefined ? fault(`must be one of ${LOG_LEVELS.join(', ')}`) : { value };
      },
      show: String,
    },
  ),
  drainTimeoutMs: duration(
    { name: 'HOLDFAST_DRAIN_TIMEOUT', fallback: '20s', meaning: 'how long calls may finish after SIGTERM' },
    0,
    H,
  ),
  keepaliveTimeMs: duration(
    {
      name: 'HOLDFAST_KEEPALIVE_TIME',
      fallback: '10s',
      meaning: 'how often a connection is asked whether it lives',
    },
    100,
    2 * H,
  ),
  keepaliveTimeoutMs: duration(
    {
      name: 'HOLDFAST_KEEPALIVE_TIMEOUT',
      fallback: '5s',
      meaning: 'after which an unanswered question closes it',
    },
    100,
    10 * M,
  ),
  waiterLivenessMs: duration(
    {
      name: 'HOLDFAST_WAITER_LIVENESS',
      fallback: '6s',
      meaning: 'how long a dead waiter may keep its place in line',
    },
    100,
    10 * M,
  ),
  maxWaiters: whole(
    {
      name: 'HOLDFAST_MAX_WAITERS',
      fallback: '10000',
      meaning: 'how many calls may wait at this replica; more are refused (TOO_MANY_WAITERS)',
    },
    1,
    1_000_000,
  ),
  maxWaitersPerResource: whole(
    {
      name: 'HOLDFAST_MAX_WAITERS_PER_RESOURCE',
      fallback: '1000',
      meaning: 'how many may stand in the line of one resource; more are refused (TOO_MANY_WAITERS)',
    },
    1,
    100_000,
  ),
  workers: whole(
    {
      name: 'HOLDFAST_WORKERS',
      fallback: '1',
      meaning: 'processes that share the addresses; more than one needs HOLDFAST_REDIS_NODES',
    },
    1,
    64,
  ),
  clockSkewMs: duration(
    {
      name: 'HOLDFAST_CLOCK_SKEW',
      fallback: '500ms',
      meaning: 'how far clocks of nodes may differ when one leans on them',
    },
    0,
    M,
  ),
  priorityStepMs: duration(
    {
      name: 'HOLDFAST_PRIORITY_STEP',
      fallback: '5s',
      meaning: 'head start in line of each level of priority; 0s: priorities make no difference',
    },
    0,
    H,
  ),
  yieldAfterMs: duration(
    {
      name: 'HOLDFAST_YIELD_AFTER',
      fallback: '5s',
      meaning: 'how long a waiter of higher priority waits before the holder is asked to yield',
    },
    0,
    H,
  ),
  allowInsecure: toggle({
    name: 'HOLDFAST_ALLOW_INSECURE',
    meaning:
      'listen beyond loopback and unix sockets although callers are not authenticated, or tokens not encrypted',
  }),
  ...operations,
} as const;

export type Key = keyof typeof table;
export type Values = { [K in Key]: (typeof table)[K] extends Setting<infer T> ? T : never };

export const keys = Object.keys(table) as Key[];

/** `HOLDFAST_REDIS_NODES` is `--redis-nodes`. */
export function flagOf(name: string): string {
  return `--${name.slice('HOLDFAST_'.length).toLowerCase().replaceAll('_', '-')}`;
}

/** The inverse of `flagOf`, for a flag without its dashes. */
export function nameOf(flag: string): string {
  return `HOLDFAST_${flag.toUpperCase().replaceAll('-', '_')}`;
}

/** A switch may stand alone: `--bootstrap` is `--bootstrap=1`. */
export function isToggle(setting: { readonly placeholder: string }): boolean {
  return setting.placeholder === '0|1';
}
