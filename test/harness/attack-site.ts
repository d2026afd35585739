/** A service with two tenants, rules, tokens, JWTs and certificates, for those who attack it: who is who, and what it wrote down. */
import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { join } from 'node:path';
import { digestOf, makeToken } from '../../src/domain/access-token.ts';
import { systemRandom } from '../../src/std/random.ts';
import { type AuditWish, written } from './audit-log.ts';
import { Authority, Folder, type Wanted } from './certificates.ts';
import { Nodes } from './nodes.ts';
import { bootstrapped, type Environment, RpcClient, TestReplica } from './replica.ts';
import { bearer, type Shown } from './shown.ts';

export const ISSUER = 'https://issuer.test';
export const AUDIENCE = 'holdfast';
const KID = 'key-1';
const LONG: Environment = { HOLDFAST_MAX_TTL: '60s', HOLDFAST_DEFAULT_TTL: '60s' };

const ALL = ['acquire', 'inspect', 'force_release', 'admin'];

/** As in the file, but for tokens: who may do what. */
const PEOPLE = [
  { name: 'ops', tenant: '', allow: [{ verbs: ALL }] },
  { name: 'plain', tenant: '', allow: [{ prefixes: ['free/'], verbs: ['acquire', 'inspect'] }] },
  {
    name: 'trainer',
    tenant: 'acme',
    allow: [{ prefixes: ['gpu/', 'model/'], verbs: ['acquire', 'inspect'] }],
  },
  { name: 'neighbour', tenant: 'acme', allow: [{ prefixes: ['gpu/'], verbs: ['acquire', 'inspect'] }] },
  { name: 'reader', tenant: 'acme', allow: [{ prefixes: ['gpu/'], verbs: ['inspect'] }] },
  { name: 'rival', tenant: 'bravo', allow: [{ verbs: ALL }] },
] as const;

export type Person = (typeof PEOPLE)[number]['name'];

export interface Claims {
  readonly iss?: unknown;
  readonly sub?: unknown;
  readonly aud?: unknown;
  readonly exp?: unknown;
  readonly nbf?: unknown;
}

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

export class AttackSite {
  readonly nodes: Nodes;
  readonly authority = new Authority('the right CA');
  readonly folder = new Folder();
  readonly audit: string;
  readonly issuerKeys = generateKeyPairSync('rsa', { modulusLength: 2048 });
  readonly #tokens = new Map<string, string>();
  readonly #clients = new Map<string, RpcClient>();
  readonly #replicas: TestReplica[] = [];
  #guarded: TestReplica | undefined;
  #open: TestReplica | undefined;

  private constructor(nodes: Nodes) {
    this.nodes = nodes;
    this.audit = join(this.folder.path, 'audit.log');
  }

  static async open(): Promise<AttackSite> {
    const nodes = await Nodes.start(3);
    await bootstrapped(nodes.list, LONG);
    const site = new AttackSite(nodes);
    const server = site.authority.server();
    site.#guarded = await site.start({
      HOLDFAST_ACCESS: site.folder.write('access.yaml', JSON.stringify(site.#accessFile())),
      HOLDFAST_TLS_CERT: site.folder.write('server.pem', server.cert),
      HOLDFAST_TLS_KEY: site.folder.write('server.key', server.key),
      HOLDFAST_TLS_CLIENT_CA: site.folder.write('ca.pem', site.authority.cert),
      HOLDFAST_TLS_CLIENT_AUTH: 'request',
      HOLDFAST_AUDIT_LOG: site.audit,
    });
    return site;
  }

  /** Of the same nodes. */
  async start(env: Environment): Promise<TestReplica> {
    const replica = await TestReplica.start(this.nodes.list, { ...LONG, ...env });
    this.#replicas.push(replica);
    return replica;
  }

  get replica(): TestReplica {
    return this.#guarded!;
  }

  get address(): string {
    return this.replica.replica.addresses[0]!.replace('127.0.0.1', 'localhost');
  }

  /** The same nodes without any guard. */
  async unguarded(): Promise<RpcClient> {
    this.#open ??= await this.start({});
    return this.#open.client;
  }

  async close(): Promise<void> {
    for (const client of this.#clients.values()) client.close();
    for (const replica of this.#replicas) await replica.stop();
    await this.nodes.close();
    this.folder.remove();
  }

  token(name: string): string {
    let token = this.#tokens.get(name);
    if (token === undefined) {
      token = makeToken(systemRandom);
      this.#tokens.set(name, token);
    }
    return token;
  }

  shown(more: Shown = {}): Shown {
    return { ca: this.authority.cert, ...more };
  }

  as(name: Person): Shown {
    return this.shown(bearer(this.token(name)));
  }

  withCertificate(wanted: Wanted, authority = this.authority, more: Shown = {}): Shown {
    return this.shown({ ...authority.issue(wanted), ...more });
  }

  client(shown: Shown): RpcClient {
    const key = JSON.stringify(shown);
    let client = this.#clients.get(key);
    if (client === undefined) {
      // A connection of its own: certificates belong to connections.
      client = new RpcClient(this.address, { 'grpc.use_local_subchannel_pool': 1 }, shown);
      this.#clients.set(key, client);
    }
    return client;
  }

  by(name: Person): RpcClient {
    return this.client(this.as(name));
  }

  /** `header` and `claims` as an attacker writes them; signed by `key`, or with whatever `signature` makes. */
  jwt(
    { header = {}, claims = {} }: { header?: object; claims?: Claims } = {},
    signature: KeyObject | ((text: string) => string) = this.issuerKeys.privateKey,
  ): Shown {
    const nowS = Math.floor(Date.now() / 1000);
    const usual = { iss: ISSUER, aud: AUDIENCE, sub: 'alice', exp: nowS + 600 };
    const text = `${part({ alg: 'RS256', kid: KID, typ: 'JWT', ...header })}.${part({ ...usual, ...claims })}`;
    const signed =
      typeof signature === 'function'
        ? signature(text)
        : sign('sha256', Buffer.from(text), signature).toString('base64url');
    return this.shown(bearer(`${text}.${signed}`));
  }

  /** What a library that trusts `alg` would verify with the public key. */
  hmac(text: string): string {
    const secret = this.issuerKeys.publicKey.export({ type: 'spki', format: 'pem' });
    return createHmac('sha256', secret).update(text).digest('base64url');
  }

  /** Once what was done since `sinceMs` (Date.now) is in the audit log as expected; tries `again` until then. */
  async audited(sinceMs: number, expected: AuditWish, again: () => Promise<unknown>): Promise<void> {
    await written(this.audit, sinceMs, expected, again);
  }

  #accessFile(): object {
    const digest = (name: string) => digestOf(this.token(name));
    const publicJwk = { ...this.issuerKeys.publicKey.export({ format: 'jwk' }), kid: KID, alg: 'RS256' };
    this.folder.write('jwks.json', JSON.stringify({ keys: [publicJwk] }));
    const people = PEOPLE.map((person) => ({
      ...person,
      tenant: person.tenant === '' ? undefined : person.tenant,
      tokens: [{ name: 'main', sha256: digest(person.name) }],
    }));
    const extra = [
      {
        name: 'retired',
        tokens: [{ name: 'old', sha256: digest('retired'), expires: '2020-01-01T00:00:00Z' }],
        allow: [{ verbs: ALL }],
      },
      { name: 'worker', certificates: ['cn:worker'], allow: [{ verbs: ['acquire', 'inspect'] }] },
      { name: 'alice', jwt: [{ issuer: ISSUER, subject: 'alice' }], allow: [{ verbs: ['inspect'] }] },
    ];
    const issuer = { issuer: ISSUER, audience: AUDIENCE, jwks_file: 'jwks.json', algorithms: ['RS256'] };
    return { identities: [...people, ...extra], jwt: [issuer] };
  }
}
