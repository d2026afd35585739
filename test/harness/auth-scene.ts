/** A service that asks who calls: its access file, its issuer, its certificates, in clear and over TLS. */
import { digestOf, makeToken } from '../../src/domain/access-token.ts';
import { systemRandom } from '../../src/std/random.ts';
import { Authority, Folder } from './certificates.ts';
import { KeyServer } from './key-server.ts';
import { settingsFor, TestReplica } from './replica.ts';
import { type Lease, RpcClient, span } from './rpc-client.ts';
import type { Shown } from './shown.ts';

export const UNAUTHENTICATED = 16;
/** No lease ends by itself while a test lasts. */
export const TTL_MS = 20_000;

const RIGHTS = 'allow: [{ verbs: [acquire, inspect, force_release, admin] }]';

export class AuthScene {
  readonly folder = new Folder();
  readonly ca = new Authority();
  readonly server: KeyServer;
  readonly env: Readonly<Record<string, string>>;
  /** Tokens of identity `one`, the second one expired, and of `two`. */
  readonly known = makeToken(systemRandom);
  readonly expired = makeToken(systemRandom);
  readonly second = makeToken(systemRandom);
  readonly #closing: (() => unknown)[] = [];
  readonly #replicas: TestReplica[] = [];
  #serial = 0;

  private constructor(server: KeyServer) {
    this.server = server;
    this.env = {
      HOLDFAST_ACCESS: this.folder.write('access.yaml', this.access()),
      HOLDFAST_LISTEN: '127.0.0.1:0',
      HOLDFAST_MAX_TTL: `${TTL_MS}ms`,
    };
  }

  static async open(): Promise<AuthScene> {
    return new AuthScene(await KeyServer.start());
  }

  /** The access file. */
  access(tokensOfOne = this.tokens, keys = this.server.url): string {
    return `
identities:
  - { name: one, tokens: ${tokensOfOne}, certificates: ["spiffe://x/one"], jwt: [{ subject: one }], ${RIGHTS} }
  - { name: two, tokens: [{ name: t, sha256: ${digestOf(this.second)} }], ${RIGHTS} }
jwt: [{ issuer: "${this.server.issuer}", audience: holdfast, jwks: "${keys}", algorithms: [RS256, ES256] }]
`;
  }

  get tokens(): string {
    const old = `{ name: b, sha256: ${digestOf(this.expired)}, expires: 2020-01-01T00:00:00Z }`;
    return `[{ name: a, sha256: ${digestOf(this.known)} }, ${old}]`;
  }

  async replica(more: Record<string, string> = {}): Promise<TestReplica> {
    const replica = await TestReplica.start('', { ...this.env, ...more });
    this.#replicas.push(replica);
    return replica;
  }

  /** Clients may, or must, show a certificate. */
  secure(clientAuth: 'request' | 'require'): Promise<TestReplica> {
    const { cert, key } = this.ca.server();
    return this.replica({
      HOLDFAST_TLS_CERT: this.folder.write('cert.pem', cert),
      HOLDFAST_TLS_KEY: this.folder.write('key.pem', key),
      HOLDFAST_TLS_CLIENT_CA: this.folder.write('ca.pem', this.ca.cert),
      HOLDFAST_TLS_CLIENT_AUTH: clientAuth,
    });
  }

  client(shown: Shown, to: string): RpcClient {
    const client = new RpcClient(to, { 'grpc.use_local_subchannel_pool': 1 }, shown);
    this.onEnd(() => client.close());
    return client;
  }

  /** A name that nobody has locked yet; the last one is `last`. */
  lock(client: RpcClient): Promise<Lease> {
    this.#serial += 1;
    return client.lock(this.last, { ttl: span(TTL_MS) });
  }

  get last(): string {
    return `auth/${this.#serial}`;
  }

  reload(replica: TestReplica, env: Record<string, string> = {}) {
    const settings = settingsFor('', { ...this.env, ...env });
    return replica.replica.reload(() => ({ ok: true, settings, warnings: [] }));
  }

  /** At the end of this test. */
  onEnd(close: () => unknown): void {
    this.#closing.push(close);
  }

  async end(): Promise<void> {
    for (const close of this.#closing.splice(0).reverse()) await close();
  }

  async close(): Promise<void> {
    await this.end();
    for (const replica of this.#replicas) await replica.stop();
    await this.server.close();
    this.folder.remove();
  }
}
