/** TLS in front of gRPC: a server that never listens, given the sockets that were accepted elsewhere. */
import { constants } from 'node:crypto';
import type { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { type ClientCertificate, clientCertificate } from './access/certificates.ts';
import type { TlsMaterial } from './tls-files.ts';

export interface TlsNews {
  /** A connection that is safe to read from. */
  onSecure(socket: TLSSocket, certificate: ClientCertificate | undefined): void;
  /** Why one did not come about, in words of OpenSSL. */
  onFailed(peer: string, why: string): void;
}

/** gRPC is HTTP/2; whoever does not ask for it would be sent bytes that it cannot read. */
const PROTOCOL = 'h2';
const HANDSHAKE_MS = 10_000;
/** Beyond, the oldest gives way: it has had the most time. */
const HANDSHAKES_MAX = 1024;

const SILENT: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'ERR_TLS_HANDSHAKE_TIMEOUT']);

export class TlsDoor {
  readonly #news: TlsNews;
  /** Between the connection and its safety, the oldest first. */
  readonly #shaking = new Map<string, Socket>();
  #material: TlsMaterial;
  #server: Server;

  constructor(material: TlsMaterial, news: TlsNews) {
    this.#news = news;
    this.#material = material;
    this.#server = this.#make(material);
  }

  get material(): TlsMaterial {
    return this.#material;
  }

  /** For connections from now on; those that stand go on by what they agreed on. */
  replace(material: TlsMaterial): void {
    this.#server = this.#make(material);
    this.#material = material;
  }

  take(raw: Socket): void {
    if (raw.destroyed) return;
    const key = keyOf(raw);
    this.#shaking.set(key, raw);
    raw.once('close', () => {
      if (this.#shaking.get(key) === raw) this.#shaking.delete(key);
    });
    if (this.#shaking.size > HANDSHAKES_MAX) {
      const [oldest] = this.#shaking.values();
      oldest!.destroy();
    }
    this.#server.emit('connection', raw);
  }

  destroyAll(): void {
    for (const raw of this.#shaking.values()) raw.destroy();
  }

  #make({ context, clientAuth }: TlsMaterial): Server {
    const server = createServer({
      ...context,
      ALPNProtocols: [PROTOCOL],
      handshakeTimeout: HANDSHAKE_MS,
      requestCert: context.ca !== undefined && clientAuth !== 'none',
      // Also of those that need not show one: a wrong certificate is a mistake somewhere, not the lack of one.
      rejectUnauthorized: false,
      // A session that is resumed would bring back a certificate that by now has expired, or whose CA was taken away.
      secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
    });
    server.on('secureConnection', (socket) => this.#secure(socket, clientAuth, context.ca !== undefined));
    server.on('tlsClientError', (error, socket) => {
      const { code = error.message } = error as NodeJS.ErrnoException;
      // Who comes and goes without a word is a probe or a network, and nobody who was refused.
      if (!SILENT.has(code)) this.#news.onFailed(peerOf(socket), code);
    });
    return server;
  }

  #secure(socket: TLSSocket, clientAuth: TlsMaterial['clientAuth'], hasCa: boolean): void {
    this.#shaking.delete(keyOf(socket));
    const certificate = hasCa && clientAuth !== 'none' ? socket.getPeerX509Certificate() : undefined;
    const why = this.#fault(socket, clientAuth === 'require' && hasCa, certificate !== undefined);
    if (why !== undefined) {
      this.#news.onFailed(peerOf(socket), why);
      socket.on('error', () => {});
      socket.destroy();
      return;
    }
    this.#news.onSecure(socket, certificate && clientCertificate(certificate));
  }

  #fault(socket: TLSSocket, required: boolean, shown: boolean): string | undefined {
    if (socket.alpnProtocol !== PROTOCOL) return 'the client does not ask for HTTP/2';
    if (shown && !socket.authorized)
      return String(socket.authorizationError ?? 'the certificate is not good');
    return required && !shown ? 'the client shows no certificate' : undefined;
  }
}

/** The same for a socket and for the one that TLS wraps it in. */
function keyOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}

function peerOf({ remoteAddress, remotePort }: Socket): string {
  return remoteAddress === undefined ? '' : `${remoteAddress}:${remotePort}`;
}
