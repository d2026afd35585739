/** What no single setting can see: relations that must hold, and combinations somebody should know about. */
import type { Settings } from '../config.ts';
import type { Values } from './table.ts';
import { type Address, formatAddress, formatDuration, isLocal } from './values.ts';

/** A setting that is wrong by itself is left out: it is reported already. */
export function brokenRelations(values: Partial<Values>): string[] {
  const { minTtlMs, defaultTtlMs, maxTtlMs, nodeTimeoutMs } = values;
  const broken: string[] = [];
  const order = (low: string, lowMs: number | undefined, high: string, highMs: number | undefined): void => {
    if (lowMs === undefined || highMs === undefined || lowMs <= highMs) return;
    broken.push(`${low} (${formatDuration(lowMs)}) must not be above ${high} (${formatDuration(highMs)})`);
  };
  order('HOLDFAST_MIN_TTL', minTtlMs, 'HOLDFAST_MAX_TTL', maxTtlMs);
  if (minTtlMs === undefined || maxTtlMs === undefined || minTtlMs <= maxTtlMs) {
    order('HOLDFAST_MIN_TTL', minTtlMs, 'HOLDFAST_DEFAULT_TTL', defaultTtlMs);
    order('HOLDFAST_DEFAULT_TTL', defaultTtlMs, 'HOLDFAST_MAX_TTL', maxTtlMs);
  }
  if (nodeTimeoutMs !== undefined && maxTtlMs !== undefined && nodeTimeoutMs >= maxTtlMs) {
    const [timeout, ttl] = [formatDuration(nodeTimeoutMs), formatDuration(maxTtlMs)];
    broken.push(
      `HOLDFAST_NODE_TIMEOUT (${timeout}) must be below HOLDFAST_MAX_TTL (${ttl}): a vote must not outlast its lease`,
    );
  }
  const { workers = 1, redisNodes } = values;
  if (workers > 1 && redisNodes?.length === 0) {
    broken.push(
      `HOLDFAST_WORKERS (${workers}) must be 1 without HOLDFAST_REDIS_NODES: each process would have a store of its own`,
    );
  }
  broken.push(...addressProblems(values), ...accountProblems(values));
  return broken;
}

function addressProblems({ listen, httpListen, allowInsecure }: Partial<Values>): string[] {
  const broken: string[] = [];
  const given: [string, Address][] = (listen ?? []).map((address) => ['HOLDFAST_LISTEN', address]);
  if (httpListen !== undefined) given.push(['HOLDFAST_HTTP_LISTEN', httpListen]);
  for (const [name, address] of given) {
    if (isLocal(address) || allowInsecure !== false) continue;
    const shown = formatAddress(address);
    broken.push(
      `${name} "${shown}" can be reached from other machines and callers are not authenticated: set HOLDFAST_ALLOW_INSECURE=1 if that is meant, or listen on loopback or a unix socket`,
    );
  }
  const http =
    httpListen === undefined || (httpListen.kind === 'tcp' && httpListen.port === 0)
      ? ''
      : formatAddress(httpListen);
  if (http !== '' && (listen ?? []).some((address) => formatAddress(address) === http)) {
    broken.push(`HOLDFAST_LISTEN and HOLDFAST_HTTP_LISTEN must not both be ${http}`);
  }
  return broken;
}

function accountProblems({ redisNodes, redisPassword }: Partial<Values>): string[] {
  return (redisNodes ?? [])
    .filter((node) => node.username !== '' && node.password === undefined && redisPassword === undefined)
    .map(
      (node) =>
        `HOLDFAST_REDIS_NODES: node ${node.id} has a user but no password (redis://:PASSWORD@HOST has no user)`,
    );
}

/** Allowed, and yet somebody should know. */
export function doubts(settings: Settings): string[] {
  const doubted: string[] = [];
  const nodes = settings.redisNodes;
  if (nodes.length === 0) {
    doubted.push('HOLDFAST_REDIS_NODES is not set: the locks live in this one process and do not survive it');
    if (settings.bootstrap) doubted.push('HOLDFAST_BOOTSTRAP has no effect: the embedded store needs none');
  }
  if (nodes.length === 1) doubted.push('HOLDFAST_REDIS_NODES lists one node: when it stops, so do the locks');
  if (settings.nodeTimeoutMs >= settings.defaultTtlMs) {
    doubted.push(
      'HOLDFAST_NODE_TIMEOUT is not below HOLDFAST_DEFAULT_TTL: one slow node can use up a lease before it is granted',
    );
  }
  // A place in line is refreshed at half that time at the latest, and the refresh needs a round trip.
  if (settings.waiterLivenessMs < 2 * settings.nodeTimeoutMs) {
    doubted.push(
      'HOLDFAST_WAITER_LIVENESS is below 2 x HOLDFAST_NODE_TIMEOUT: one slow node can cost a waiter its place',
    );
  }
  return doubted;
}
