/** The list of lock nodes: URLs in, node ids and connection parts out, and never a password in a message. */
import { Secret } from './secret.ts';
import { type Address, fault, hostFault, type Parsed, socketPathFault } from './values.ts';

export interface RedisNode {
  /** host:port or socket path as configured, without credentials, or the explicit #name. Unique in the list. */
  readonly id: string;
  /** Safe to show: without the credentials. */
  readonly url: string;
  readonly address: Address;
  readonly tls: boolean;
  readonly db: number;
  /** Empty: Redis' `default` user. */
  readonly username: string;
  /** Absent: no authentication. */
  readonly password?: Secret;
}

export const NODES_MAX = 31;
export const NODES_FORM =
  'an odd number of comma-separated redis://[user:pass@]host[:port][/db][#name], rediss://... or unix:///path[#name]';
const REDIS_PORT = 6379;
const NODE_NAME = /^[A-Za-z0-9._:/@-]{1,128}$/;

/**
 * A faulty entry is named by its place only: where a URL is malformed nobody can tell which part of it is the
 * password, and a comma inside a password cuts it into entries of its own.
 */
export function parseRedisNodes(text: string): Parsed<readonly RedisNode[]> {
  const items = text.split(',').map((part) => part.trim());
  const nodes: RedisNode[] = [];
  const faults: string[] = [];
  for (const [at, item] of items.entries()) {
    const parsed = parseRedisNode(item);
    if ('faults' in parsed)
      faults.push(...parsed.faults.map((why) => `entry ${at + 1} of ${items.length} ${why}`));
    else nodes.push(parsed.value);
  }
  if (items.length % 2 === 0) {
    faults.push(
      `must list an odd number of nodes, not ${items.length}: an even one tolerates no more failures and can tie`,
    );
  }
  if (items.length > NODES_MAX) faults.push(`must list at most ${NODES_MAX} nodes, not ${items.length}`);
  faults.push(...repetitions(nodes));
  return faults.length === 0 ? { value: nodes } : { faults };
}

/** Two databases, users or schemes of one server are one process: they fail together and are one vote. */
function repetitions(nodes: readonly RedisNode[]): string[] {
  const faults: string[] = [];
  const servers = new Set<string>();
  const ids = new Set<string>();
  for (const { id, address } of nodes) {
    const server = placeOf(address).toLowerCase();
    if (servers.has(server))
      faults.push(`must not list ${placeOf(address)} twice: each node has to be a server of its own`);
    else if (ids.has(id)) faults.push(`must not give two nodes the name ${id}`);
    servers.add(server);
    ids.add(id);
  }
  return faults;
}

export function parseRedisNode(text: string): Parsed<RedisNode> {
  const scheme = /^([a-z]+):\//i.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined)
    return fault('has no scheme: write redis://HOST:PORT, rediss://HOST:PORT or unix:///PATH');
  if (scheme === 'unix') return parseSocket(text);
  if (scheme !== 'redis' && scheme !== 'rediss')
    return fault('must begin with redis://, rediss:// or unix://');
  const url = URL.parse(text);
  if (url === null || url.host === '') {
    return fault(
      'is no valid URL; a reserved character such as , / @ : # in a password is written in its %XX form',
    );
  }
  return parseServer(url, scheme === 'rediss');
}

function parseServer(url: URL, tls: boolean): Parsed<RedisNode> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const why = hostFault(host);
  if (why !== undefined) return fault(why);
  if (url.port === '0') return fault('must have a port from 1 to 65535');
  if (url.search !== '') return fault('must not have a query (?...)');
  const path = /^\/?(\d{0,3})$/.exec(url.pathname);
  if (path === null) return fault('must have nothing but a database number after the port (/0 to /999)');
  const username = decoded(url.username);
  const password = decoded(url.password);
  if (username === undefined || password === undefined)
    return fault('has a malformed %XX form in its credentials');
  const address: Address = { kind: 'tcp', host, port: url.port === '' ? REDIS_PORT : Number(url.port) };
  return finish(url.hash, { address, tls, db: Number(path[1] ?? ''), username, password });
}

function parseSocket(text: string): Parsed<RedisNode> {
  const hash = text.indexOf('#');
  const place = hash === -1 ? text : text.slice(0, hash);
  const path = place.slice('unix:'.length).replace(/^\/\/(?=\/)/, '');
  // `unix://user:pass@/path` is not served: say so without repeating any of it.
  if (path.startsWith('//'))
    return fault('must be unix:///path; a password for it is given by HOLDFAST_REDIS_PASSWORD');
  const why = socketPathFault(path);
  if (why !== undefined) return fault(why);
  const address: Address = { kind: 'unix', path };
  return finish(hash === -1 ? '' : text.slice(hash), {
    address,
    tls: false,
    db: 0,
    username: '',
    password: '',
  });
}

type Parts = Omit<RedisNode, 'id' | 'url' | 'password'> & { readonly password: string };

function finish(hash: string, { password, ...parts }: Parts): Parsed<RedisNode> {
  const name = hash === '' ? undefined : decoded(hash.slice(1));
  if (hash !== '' && !NODE_NAME.test(name ?? '')) {
    return fault('must have a #name of 1 to 128 letters, digits and . _ : / @ -');
  }
  const id = name ?? placeOf(parts.address);
  const scheme = parts.address.kind === 'unix' ? 'unix' : parts.tls ? 'rediss' : 'redis';
  const db = parts.db === 0 ? '' : `/${parts.db}`;
  const url = `${scheme}://${placeOf(parts.address)}${db}${name === undefined ? '' : `#${name}`}`;
  return { value: { id, url, ...parts, ...(password === '' ? {} : { password: new Secret(password) }) } };
}

function placeOf(address: Address): string {
  if (address.kind === 'unix') return address.path;
  return `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** Nodes without a password of their own take the common one. */
export function withPassword(nodes: readonly RedisNode[], common: Secret | undefined): readonly RedisNode[] {
  if (common === undefined) return nodes;
  return nodes.map((node) => (node.password === undefined ? { ...node, password: common } : node));
}

/** The URL with stars where the credentials are, for `holdfast config`. */
export function showNode(node: RedisNode): string {
  if (node.password === undefined) return node.url;
  const at = node.url.indexOf('//') + 2;
  const account = `${node.username}:${node.password}@`;
  return node.address.kind === 'unix' ? node.url : `${node.url.slice(0, at)}${account}${node.url.slice(at)}`;
}

/** The URL that a connection is opened with. It bears the password: never log it. */
export function connectionUrl({ address, tls, db, username, password }: RedisNode): string {
  if (address.kind === 'unix') return `unix://${address.path}`;
  const secret = password === undefined ? '' : `:${encodeURIComponent(password.reveal())}`;
  const account = secret === '' ? '' : `${encodeURIComponent(username)}${secret}@`;
  return `${tls ? 'rediss' : 'redis'}://${account}${placeOf(address)}${db === 0 ? '' : `/${db}`}`;
}
