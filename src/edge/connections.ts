/** Tells a client that ended its stream from one that fell silent. */
import { subscribe } from 'node:diagnostics_channel';
import {
  constants,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Socket } from 'node:net';
import type { Clock, Timer } from '../std/clock.ts';
import type { ClientCertificate } from './access/certificates.ts';

/**
 * `closed`: the client, or its kernel after its process died, said that it is over. `silent`: nobody did. Behind a proxy
 * it is the proxy's word.
 */
export type ClientEnd = 'closed' | 'silent';

export interface Connection {
  /** How a stream ended that the client or the transport ended. Ask it in the call's first `cancelled` or `close`. */
  endOf(): ClientEnd;
}

// Documented by Node; without them every end would count as silent.
export const STREAM_CREATED = 'http2.server.stream.created';
export const STREAM_CLOSE = 'http2.server.stream.close';
/** What the peer's kernel causes; every other error says that nobody answered. */
const SAID_BY_PEER: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE']);
/** How long a dead session may take to send what it still has. */
const LINGER_MS = 1000;
/** node:http2 shows the properties of the socket of a session, not the socket. */
const CONNECTION = Symbol('connection');

type Named = Socket & { [CONNECTION]?: Standing };

class Standing implements Connection {
  readonly socket: Socket;
  /** Verified; undefined: none was shown, or TLS is not spoken. */
  readonly certificate: ClientCertificate | undefined;
  #session: Http2Session | undefined;
  #end: ClientEnd | undefined;
  #lingers = false;

  constructor(socket: Socket, certificate: ClientCertificate | undefined) {
    this.socket = socket;
    this.certificate = certificate;
    socket.once('end', () => this.#say('closed'));
    socket.once('error', ({ code = '' }: NodeJS.ErrnoException) =>
      this.#say(SAID_BY_PEER.has(code) ? 'closed' : 'silent'),
    );
  }

  /** With its first stream, because grpc-js shows no session. */
  carries(session: Http2Session): void {
    if (this.#session !== undefined) return;
    this.#session = session;
    // NO_ERROR announces an end, and the streams live on; any other code ends all of them at once.
    session.on('goaway', (code: number) => {
      if (code !== constants.NGHTTP2_NO_ERROR) this.#say('closed');
    });
  }

  endOf(): ClientEnd {
    // While the session lives, one stream alone has ended, and only its client does that.
    if (this.#session?.destroyed === false && !this.socket.destroyed) return this.#end ?? 'closed';
    // Keepalive, or we ourselves: what the peer may say from now on is an answer to that.
    this.#say('silent');
    return this.#end as ClientEnd;
  }

  /** A dead session waits for its last write, which takes for ever when the peer stands still. */
  sweep(): void {
    if (this.#session?.destroyed !== true) return;
    if (this.#lingers) this.socket.destroy();
    this.#lingers = true;
  }

  #say(end: ClientEnd): void {
    this.#end ??= this.#session?.destroyed === true ? 'silent' : end;
  }
}

/**
 * Of one call, all in all, also where HPACK makes each of them a byte: every open call of a connection keeps its own.
 * Node resets what has more, but only once the client has acknowledged our settings; until then it allows 16 MiB.
 */
export const HEADER_BYTES = 16_384;
/** What HTTP/2 counts for a header besides its text. */
const HEADER_EXTRA_BYTES = 32;

function bytesOf(headers: IncomingHttpHeaders): number {
  let bytes = 0;
  for (const name of Object.keys(headers)) {
    const value = headers[name] ?? '';
    for (const one of [value].flat()) bytes += name.length + one.length + HEADER_EXTRA_BYTES;
  }
  return bytes;
}

subscribe(STREAM_CREATED, (message) => {
  const { stream, headers } = message as { stream: ServerHttp2Stream; headers: IncomingHttpHeaders };
  const session = stream.session as ServerHttp2Session | undefined;
  const connection = (session?.socket as Named | undefined)?.[CONNECTION];
  if (session === undefined || connection === undefined) return;
  connection.carries(session);
  if (session.pendingSettingsAck && bytesOf(headers) > HEADER_BYTES) {
    // Later, because grpc-js does not expect a stream that has ended before it heard of it.
    const error = new Error('headers beyond their bound');
    setImmediate(() => session.destroy(error, constants.NGHTTP2_ENHANCE_YOUR_CALM));
  }
});

/**
 * A stream that its client reset with NO_ERROR while we write would wait for that write, and nobody would hear of the
 * end.
 */
export function endReset(message: unknown): void {
  const { stream } = message as { stream: ServerHttp2Stream };
  if (!stream.aborted || stream.destroyed || stream.rstCode !== constants.NGHTTP2_NO_ERROR) return;
  setImmediate(() => stream.destroy());
}

subscribe(STREAM_CLOSE, endReset);

/** The sockets of this server, by the name that grpc-js gives a call's peer. */
export class Connections {
  readonly #clock: Clock;
  readonly #standing = new Map<string, Standing>();
  #taken = 0;
  #sweep: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#standing.size;
  }

  /** Before the socket, over TLS the one that is safe, is injected into grpc-js. */
  take(socket: Socket, certificate?: ClientCertificate): void {
    const name = this.#name(socket);
    const standing = new Standing(socket, certificate);
    (socket as Named)[CONNECTION] = standing;
    this.#standing.set(name, standing);
    socket.once('close', () => this.#standing.delete(name));
    this.#sweep ??= this.#clock.after(LINGER_MS, () => this.#sweepAll());
  }

  /** By `call.getPeer()`, asked while the call lives: afterwards it is `unknown`. */
  of(peer: string): Standing | undefined {
    return this.#standing.get(peer);
  }

  destroyAll(): void {
    for (const { socket } of this.#standing.values()) socket.destroy();
  }

  /** A unix socket has no name, and one port of a client may be connected to two of ours: those get a number. */
  #name(socket: Socket): string {
    const { remoteAddress, remotePort } = socket;
    this.#taken += 1;
    const name = `${remoteAddress}:${remotePort}`;
    if (remoteAddress !== undefined && remotePort !== undefined && !this.#standing.has(name)) return name;
    const address = `${remoteAddress ?? 'unix'}#${this.#taken}`;
    Object.defineProperty(socket, 'remoteAddress', { value: address });
    return remotePort === undefined ? address : `${address}:${remotePort}`;
  }

  #sweepAll(): void {
    for (const standing of this.#standing.values()) standing.sweep();
    this.#sweep = this.size === 0 ? undefined : this.#clock.after(LINGER_MS, () => this.#sweepAll());
  }
}
