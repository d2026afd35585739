/** What no single setting can see: relations that must hold, and combinations somebody should know about. */
import type { Settings } from '../config.ts';
import type { Values } from './table.ts';
import { type Address, formatAddress, formatDuration, isLocal } from './values.ts';

/** A setting that is wrong by itself is left out: it is reported already. `given`: what somebody has set, by name. */
export function brokenRelations(
  values: Partial<Values>,
  given: ReadonlySet<string> = new Set<string>(),
): string[] {
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
  broken.push(
    ...addressProblems(values),
    ...tlsProblems(values, given),
    ...accountProblems(values),
    ...streamProblems(values),
  );
  return broken;
}

function addressProblems(values: Partial<Values>): string[] {
  const { listen = [], httpListen, allowInsecure } = values;
  const broken: string[] = [];
  if (allowInsecure === false) {
    for (const address of listen.filter((one) => !isLocal(one))) {
      const why = whyInsecure(values);
      if (why !== undefined) broken.push(exposed('HOLDFAST_LISTEN', address, why));
    }
    // Its answers name no lock, and nothing can be done there: it may be seen where calls are guarded.
    if (httpListen !== undefined && !isLocal(httpListen) && values.access === undefined) {
      broken.push(exposed('HOLDFAST_HTTP_LISTEN', httpListen, NOBODY_ASKED));
    }
  }
  const http =
    httpListen === undefined || (httpListen.kind === 'tcp' && httpListen.port === 0)
      ? ''
      : formatAddress(httpListen);
  if (http !== '' && listen.some((address) => formatAddress(address) === http)) {
    broken.push(`HOLDFAST_LISTEN and HOLDFAST_HTTP_LISTEN must not both be ${http}`);
  }
  return broken;
}

interface Exposure {
  readonly why: string;
  readonly remedy: string;
}

const NOBODY_ASKED: Exposure = {
  why: 'callers are not authenticated',
  remedy: 'set HOLDFAST_ACCESS (and HOLDFAST_TLS_CERT), or HOLDFAST_ALLOW_INSECURE=1 if that is meant',
};
const IN_CLEAR: Exposure = {
  why: 'credentials would travel in clear',
  remedy:
    'set HOLDFAST_TLS_CERT and HOLDFAST_TLS_KEY, or HOLDFAST_ALLOW_INSECURE=1 if something else encrypts',
};

function whyInsecure({ access, tlsCert }: Partial<Values>): Exposure | undefined {
  if (access === undefined) return NOBODY_ASKED;
  return tlsCert === undefined ? IN_CLEAR : undefined;
}

function exposed(name: string, address: Address, { why, remedy }: Exposure): string {
  return `${name} "${formatAddress(address)}" can be reached from other machines and ${why}: ${remedy}, or listen on loopback or a unix socket`;
}

function tlsProblems(
  { tlsCert, tlsKey, tlsClientCa, tlsClientAuth = 'none', access }: Partial<Values>,
  given: ReadonlySet<string>,
): string[] {
  const broken: string[] = [];
  const needs = (name: string, value: unknown, needed: string, other: unknown, why: string): void => {
    if (value !== undefined && other === undefined) broken.push(`${name} needs ${needed}: ${why}`);
  };
  const half = 'a certificate is of no use without its key, and the other way round';
  needs('HOLDFAST_TLS_CERT', tlsCert, 'HOLDFAST_TLS_KEY', tlsKey, half);
  needs('HOLDFAST_TLS_KEY', tlsKey, 'HOLDFAST_TLS_CERT', tlsCert, half);
  const ca = 'HOLDFAST_TLS_CLIENT_CA';
  needs(ca, tlsClientCa, 'HOLDFAST_TLS_CERT', tlsCert, 'clients show certificates over TLS only');
  const who = 'a certificate says who calls, and only that file says what they may';
  needs(ca, tlsClientCa, 'HOLDFAST_ACCESS', access, who);
  const auth = 'HOLDFAST_TLS_CLIENT_AUTH';
  if (given.has(auth) && tlsClientAuth !== 'none') {
    needs(`${auth}=${tlsClientAuth}`, auth, ca, tlsClientCa, 'no certificate is asked for without it');
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

/** A stream of events would eat the memory of a node, and a client that reads it the time. */
function streamProblems({ eventStream, redisNodes }: Partial<Values>): string[] {
  if (eventStream === undefined) return [];
  const { hostname, port } = new URL(eventStream.reveal());
  const server = formatAddress({
    kind: 'tcp',
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port) || 6379,
  });
  return (redisNodes ?? [])
    .filter(({ address }) => formatAddress(address) === server)
    .map(({ id }) => `HOLDFAST_EVENT_STREAM must not be on the lock node ${id}: give it a server of its own`);
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
  if (settings.tlsClientCa !== undefined && settings.tlsClientAuth === 'none') {
    doubted.push(
      'HOLDFAST_TLS_CLIENT_CA has no effect: HOLDFAST_TLS_CLIENT_AUTH=none asks for no certificate',
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
