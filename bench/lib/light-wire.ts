/**
 * HTTP/2 as far as a benchmark's callers need it (RFC 9113): frames by hand, so that the callers leave the cores to the
 * server. It sends what never changes as bytes made once and keeps no header table: good for a benchmark's own server,
 * and for nothing else.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export const DATA = 0;
export const HEADERS = 1;
export const RST_STREAM = 3;
export const SETTINGS = 4;
export const WINDOW_UPDATE = 8;
export const END_STREAM = 1;
export const ACK = 1;
/** What a peer grants before it says otherwise, and the most that one frame may carry. */
export const FIRST_WINDOW = 65_535;
export const MOST_IN_FRAME = 16_384;
export const INITIAL_WINDOW_SIZE = 4;
/** Flag and length in front of every gRPC message. */
export const MESSAGE_HEAD = 5;

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const HEAD = 9;
const PING = 6;
const GOAWAY = 7;
const END_HEADERS = 4;
/** What we let the server send before it must hear of us again, on the connection and on each stream. */
const WINDOW = 2 ** 30;

export interface WireListener {
  /** Everything but what the wire answers by itself; the payload is good until the call returns. */
  frame(type: number, flags: number, stream: number, payload: Buffer): void;
  closed(why: string): void;
  /** What is to leave with this turn's write; asked once for each `wake`. */
  outgoing?(): readonly Buffer[];
}

export function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(HEAD);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A whole gRPC message in one frame, the last of its stream. */
export function onlyMessage(stream: number, message: Buffer): Buffer {
  const data = Buffer.allocUnsafe(HEAD + MESSAGE_HEAD + message.length);
  data.writeUIntBE(message.length + MESSAGE_HEAD, 0, 3);
  data[3] = DATA;
  data[4] = END_STREAM;
  data.writeUInt32BE(stream, 5);
  data[HEAD] = 0;
  data.writeUInt32BE(message.length, HEAD + 1);
  message.copy(data, HEAD + MESSAGE_HEAD);
  return data;
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

export class LightWire {
  readonly #socket: Socket;
  readonly #host: string;
  readonly #listener: WireListener;
  #nextStream = 1;
  #received: Buffer = Buffer.alloc(0);
  #unacknowledged = 0;
  #outgoing: Buffer[] = [];
  #awake = false;

  constructor(address: string, listener: WireListener) {
    const [host = '', port = ''] = address.split(':');
    this.#host = address;
    this.#listener = listener;
    this.#socket = connect(Number(port), host);
    this.#socket.setNoDelay(true);
    this.#socket.on('data', (chunk) => this.#take(chunk));
    // What went wrong; `close` follows.
    this.#socket.on('error', (error) => listener.closed(error.message));
    this.#socket.on('close', () => listener.closed('the connection was closed'));
    const settings = Buffer.alloc(6);
    settings.writeUInt16BE(INITIAL_WINDOW_SIZE, 0);
    settings.writeUInt32BE(WINDOW, 2);
    this.send(PREFACE, frame(SETTINGS, 0, 0, settings), windowUpdate(0, WINDOW));
  }

  async connected(): Promise<void> {
    await once(this.#socket, 'connect');
  }

  /** Begins calls of one method: each time the next stream's number and its headers. */
  opener(
    path: string,
    more: Readonly<Record<string, string>> = {},
  ): () => { readonly stream: number; readonly headers: Buffer } {
    const fields = [
      POST_HTTP,
      literal(PATH, path),
      literal(AUTHORITY, this.#host),
      literal(CONTENT_TYPE, 'application/grpc'),
      literal('te', 'trailers'),
      ...Object.entries(more).map(([name, value]) => literal(name, value)),
    ];
    const block = frame(HEADERS, END_HEADERS, 0, Buffer.concat(fields));
    return () => {
      const stream = this.#nextStream;
      this.#nextStream += 2;
      const headers = Buffer.from(block);
      headers.writeUInt32BE(stream, 5);
      return { stream, headers };
    };
  }

  /** All that one turn of the loop sends leaves in one write. */
  send(...parts: Buffer[]): void {
    this.#outgoing.push(...parts);
    this.wake();
  }

  wake(): void {
    if (this.#awake) return;
    this.#awake = true;
    setImmediate(() => this.#flush());
  }

  #flush(): void {
    this.#awake = false;
    const more = this.#listener.outgoing?.() ?? [];
    const parts = this.#outgoing.length === 0 ? more : [...this.#outgoing, ...more];
    this.#outgoing = [];
    if (parts.length > 0) this.#socket.write(parts.length === 1 ? parts[0]! : Buffer.concat(parts));
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
    if (type === SETTINGS && (flags & ACK) === 0) this.send(frame(SETTINGS, ACK, 0, Buffer.alloc(0)));
    if (type === PING && (flags & ACK) === 0) this.send(frame(PING, ACK, 0, Buffer.from(payload)));
    if (type === GOAWAY) this.#listener.closed(`the server said: ${payload.subarray(8).toString()}`);
    if (type === DATA) this.#got(payload.length);
    this.#listener.frame(type, flags, stream, payload);
  }

  #got(bytes: number): void {
    this.#unacknowledged += bytes;
    if (this.#unacknowledged < WINDOW / 2) return;
    this.send(windowUpdate(0, this.#unacknowledged));
    this.#unacknowledged = 0;
  }
}

export function windowUpdate(stream: number, bytes: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(bytes);
  return frame(WINDOW_UPDATE, 0, stream, payload);
}

/** Whether a stream whose messages have brought so many bytes must be given room anew. */
export const wantsRoom = (bytes: number): boolean => bytes > WINDOW / 2;
