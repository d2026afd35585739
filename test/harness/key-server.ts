/** An issuer's key server over real HTTP that can be slow, away, wrong, and change its keys; and the tokens it signs. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose';

export type Behaviour = 'answers' | 'hangs' | 'fails' | 'lies' | 'floods' | 'redirects';

interface Key {
  readonly kid: string;
  readonly alg: string;
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
  readonly jwk: JWK;
}

export class KeyServer {
  behaviour: Behaviour = 'answers';
  /** Requests so far. */
  asked = 0;
  keys: Key[] = [];
  readonly issuer = 'https://issuer.example';
  readonly #server: Server;
  #hanging: ServerResponse[] = [];

  private constructor() {
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  static async start(): Promise<KeyServer> {
    const server = new KeyServer();
    await server.addKey('k1');
    await new Promise<void>((done) => {
      server.#server.listen(0, '127.0.0.1', done);
    });
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/keys`;
  }

  async addKey(kid: string, alg = 'RS256'): Promise<Key> {
    const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
    const key = { kid, alg, publicKey, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg } };
    this.keys.push(key);
    return key;
  }

  /** Answers those that have waited. */
  proceed(): void {
    this.behaviour = 'answers';
    for (const response of this.#hanging.splice(0)) this.#tell(response);
  }

  sign(claims: JWTPayload, key: Key = this.keys.at(-1)!): Promise<string> {
    const expires = Math.floor(Date.now() / 1000) + 3600;
    return new SignJWT({ iss: this.issuer, aud: 'holdfast', exp: expires, ...claims })
      .setProtectedHeader({ alg: key.alg, kid: key.kid })
      .sign(key.privateKey);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => {
      this.#server.close(done);
    });
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    this.asked += 1;
    if (this.behaviour === 'hangs') this.#hanging.push(response);
    else if (this.behaviour === 'fails') response.writeHead(500).end();
    else if (this.behaviour === 'lies') response.end('{"keys": 1}');
    else if (this.behaviour === 'redirects')
      response.writeHead(302, { location: `${request.url}/more` }).end();
    else if (this.behaviour === 'floods') this.#flood(response);
    else this.#tell(response);
  }

  #tell(response: ServerResponse): void {
    response.end(JSON.stringify({ keys: this.keys.map(({ jwk }) => jwk) }));
  }

  #flood(response: ServerResponse): void {
    const chunk = Buffer.alloc(65_536, ' ');
    const more = (): void => {
      while (!response.destroyed && response.write(chunk));
      if (!response.destroyed) response.once('drain', more);
    };
    more();
  }
}
