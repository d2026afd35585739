/** An HTTP/2 client of bare frames: it does exactly what a test says, also what no library would. */
import { type ChildProcess, spawn } from 'node:child_process';
import { connect, type Socket } from 'node:net';

export type Where = { readonly path: string } | { readonly port: number; readonly host: string };

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const DATA = 0;
const HEADERS = 1;
const RST_STREAM = 3;
const SETTINGS = 4;
const PING = 6;
const GOAWAY = 7;
const WINDOW_UPDATE = 8;
const END_STREAM = 1;
const ACK = 1;
const END_HEADERS = 4;

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** HPACK in its plainest form: every name and value spelled out, none remembered. */
function headerBlock(headers: Readonly<Record<string, string>>): Buffer {
  const spelled = (text: string) => [Buffer.from([text.length]), Buffer.from(text)];
  return Buffer.concat(
    Object.entries(headers).flatMap(([name, value]) => [
      Buffer.from([0]),
      ...spelled(name),
      ...spelled(value),
    ]),
  );
}

export class RawClient {
  readonly socket: Socket;
  /** Whether it answers pings, as every living client does. */
  alive = true;
  #unread: Buffer = Buffer.alloc(0);
  #nextStream = 1;

  constructor(where: Where) {
    this.socket = connect({ ...where, allowHalfOpen: true });
    this.socket.setNoDelay(true);
    this.socket.on('error', () => {});
    this.socket.on('data', (chunk) => this.#read(chunk));
    this.socket.write(PREFACE);
    this.#send(frame(SETTINGS, 0, 0));
  }

  /** Another process keeps this connection open, too, as a forked one does; it neither reads nor writes. */
  share(): ChildProcess {
    return spawn('sleep', ['1000'], { stdio: ['ignore', 'ignore', 'ignore', this.socket] });
  }

  /** Opens a stream with one message; a unary request is `complete`. */
  open(path: string, message: string, complete: boolean): number {
    const stream = this.#nextStream;
    this.#nextStream += 2;
    const block = headerBlock({
      ':method': 'POST',
      ':scheme': 'http',
      ':path': path,
      ':authority': 'x',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    this.#send(frame(HEADERS, END_HEADERS, stream, block));
    this.say(stream, message, complete);
    return stream;
  }

  say(stream: number, message: string, last = false): void {
    const body = Buffer.from(message);
    const prefixed = Buffer.concat([Buffer.from([0]), uint32(body.length), body]);
    this.#send(frame(DATA, last ? END_STREAM : 0, stream, prefixed));
  }

  halfClose(stream: number): void {
    this.#send(frame(DATA, END_STREAM, stream));
  }

  reset(stream: number, code: number): void {
    this.#send(frame(RST_STREAM, 0, stream, uint32(code)));
  }

  goAway(code: number): void {
    this.#send(frame(GOAWAY, 0, 0, Buffer.concat([uint32(0), uint32(code)])));
  }

  /** Lets the server write more than the kernel's buffers hold. */
  widen(stream: number): void {
    for (const id of [0, stream]) this.#send(frame(WINDOW_UPDATE, 0, id, uint32(2 ** 25)));
  }

  /** An update of no bytes is a mistake that ends the whole connection. */
  blunder(): void {
    this.#send(frame(WINDOW_UPDATE, 0, 0, uint32(0)));
  }

  #send(bytes: Buffer): void {
    this.socket.write(bytes);
  }

  #read(chunk: Buffer): void {
    this.#unread = Buffer.concat([this.#unread, chunk]);
    while (this.#unread.length >= 9) {
      const size = 9 + this.#unread.readUIntBE(0, 3);
      if (this.#unread.length < size) return;
      const [type, flags] = [this.#unread[3], this.#unread[4]];
      const payload = this.#unread.subarray(9, size);
      this.#unread = this.#unread.subarray(size);
      const asked = type === SETTINGS || type === PING;
      if (!asked || flags === ACK || !this.alive) continue;
      this.#send(frame(type, ACK, 0, type === PING ? payload : undefined));
    }
  }
}
