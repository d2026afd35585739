/**
 * A unary gRPC client that costs next to nothing: HTTP/2 frames by hand (RFC 9113), so that the callers of a benchmark
 * leave the cores to the server. It sends what never changes as bytes made once, reads only which stream a message or
 * an end belongs to, and keeps no header table: good for a benchmark's own server, and for nothing else.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const HEAD = 9;
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
/** What we let the server send before it must hear of us again, on the connection and on each stream. */
const WINDOW = 2 ** 30;
const INITIAL_WINDOW_SIZE = 4;

interface Waiting {
  readonly resolve: (message: Buffer) => void;
  readonly reject: (error: Error) => void;
  message: Buffer | undefined;
}

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(HEAD);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A literal field that enters no table (RFC 7541, 6.2.2), by the index of its name or with a name of its own. */
function literal(name: number | string, value: string): Buffer {
  const named = typeof name === 'number' ? integer(name) : Buffer.concat([Buffer.from([0]), text(name)]);
  return Buffer.concat([named, text(value)]);
}

function integer(index: number): Buffer {
  return index < 15 ? Buffer.from([index]) : Buffer.from([15, index - 15]);
}

function text(value: string): Buffer {
  return Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
}

/** Fields of the static table: `:method POST` and `:scheme http`. */
const POST_HTTP = Buffer.from([0x83, 0x86]);
const AUTHORITY = 1;
const PATH = 4;
const CONTENT_TYPE = 31;

export class LightClient {
  readonly #socket: Socket;
  readonly #host: string;
  readonly #waiting = new Map<number, Waiting>();
  #nextStream = 1;
  #received: Buffer = Buffer.alloc(0);
  #unacknowledged = 0;
  #outgoing: Buffer[] = [];

  constructor(address: string) {
    const [host = '', port = ''] = address.split(':');
    this.#host = address;
    this.#socket = connect(Number(port), host);
    this.#socket.setNoDelay(true);
    this.#socket.on('data', (chunk) => this.#take(chunk));
    this.#socket.on('close', () => this.#fail('the connection was closed'));
    const settings = Buffer.alloc(6);
    settings.writeUInt16BE(INITIAL_WINDOW_SIZE, 0);
    settings.writeUInt32BE(WINDOW, 2);
    this.#send(PREFACE, frame(SETTINGS, 0, 0, settings), windowUpdate(WINDOW));
  }

  async connected(): Promise<void> {
    await once(this.#socket, 'connect');
  }

  /** The bytes of one answer to the bytes of one request; rejects when the call ends without one. */
  method(path: string): (message: Buffer) => Promise<Buffer> {
    const fields = [
      POST_HTTP,
      literal(PATH, path),
      literal(AUTHORITY, this.#host),
      literal(CONTENT_TYPE, 'application/grpc'),
      literal('te', 'trailers'),
    ];
    const block = frame(HEADERS, END_HEADERS, 0, Buffer.concat(fields));
    return (message) =>
      new Promise((resolve, reject) => {
        const stream = this.#nextStream;
        this.#nextStream += 2;
        this.#waiting.set(stream, { resolve, reject, message: undefined });
        const headers = Buffer.from(block);
        headers.writeUInt32BE(stream, 5);
        const data = Buffer.allocUnsafe(HEAD + 5 + message.length);
        data.writeUIntBE(message.length + 5, 0, 3);
        data[3] = DATA;
        data[4] = END_STREAM;
        data.writeUInt32BE(stream, 5);
        data[HEAD] = 0;
        data.writeUInt32BE(message.length, HEAD + 1);
        message.copy(data, HEAD + 5);
        this.#send(headers, data);
      });
  }

  /** All that one turn of the loop sends leaves in one write. */
  #send(...parts: Buffer[]): void {
    if (this.#outgoing.length === 0) {
      setImmediate(() => {
        const outgoing = Buffer.concat(this.#outgoing);
        this.#outgoing = [];
        this.#socket.write(outgoing);
      });
    }
    this.#outgoing.push(...parts);
  }

  #take(chunk: Buffer): void {
    const bytes = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    let at = 0;
    while (bytes.length - at >= HEAD) {
      const length = bytes.readUIntBE(at, 3);
      if (bytes.length - at < HEAD + length) break;
      const payload = bytes.subarray(at + HEAD, at + HEAD + length);
      this.#answer(bytes[at + 3]!, bytes[at + 4]!, bytes.readUInt32BE(at + 5) & 0x7fffffff, payload);
      at += HEAD + length;
    }
    this.#received = bytes.subarray(at);
  }

  #answer(type: number, flags: number, stream: number, payload: Buffer): void {
    const waiting = this.#waiting.get(stream);
    if (type === SETTINGS && (flags & ACK) === 0) this.#send(frame(SETTINGS, ACK, 0, Buffer.alloc(0)));
    if (type === PING && (flags & ACK) === 0) this.#send(frame(PING, ACK, 0, Buffer.from(payload)));
    if (type === GOAWAY) this.#fail(`the server said: ${payload.subarray(8).toString()}`);
    if (type === DATA) {
      this.#unacknowledged += payload.length;
      if (this.#unacknowledged > WINDOW / 2) {
        this.#send(windowUpdate(this.#unacknowledged));
        this.#unacknowledged = 0;
      }
      if (waiting !== undefined) {
        waiting.message = waiting.message === undefined ? payload : Buffer.concat([waiting.message, payload]);
      }
    }
    const ended = type === RST_STREAM || (flags & END_STREAM) !== 0;
    if (waiting === undefined || !ended || (type !== HEADERS && type !== RST_STREAM)) return;
    this.#waiting.delete(stream);
    if (waiting.message === undefined) waiting.reject(new Error('the call ended without an answer'));
    else waiting.resolve(waiting.message.subarray(5));
  }

  #fail(why: string): void {
    for (const { reject } of this.#waiting.values()) reject(new Error(why));
    this.#waiting.clear();
  }
}

function windowUpdate(bytes: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(bytes);
  return frame(WINDOW_UPDATE, 0, 0, payload);
}
