/** HTTP/2 spelled out by hand, so that a test can send what no library would; all that comes back is noted. */
import { connect, type Socket } from 'node:net';
import { until } from './until.ts';

export const DATA = 0;
export const HEADERS = 1;
export const PRIORITY = 2;
export const RST_STREAM = 3;
export const SETTINGS = 4;
export const PUSH_PROMISE = 5;
export const PING = 6;
export const GOAWAY = 7;
export const WINDOW_UPDATE = 8;
export const CONTINUATION = 9;
export const END_STREAM = 1;
export const ACK = 1;
export const END_HEADERS = 4;
/** Codes of RST_STREAM and GOAWAY. */
export const CANCEL = 8;
export const ENHANCE_YOUR_CALM = 11;

const HEAD_BYTES = 9;
const FRAME_BYTES = 16_384;
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const PATH = '/holdfast.v1.LockService/';

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

/** `length` may lie. */
export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Buffer = Buffer.alloc(0),
  length = payload.length,
): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUIntBE(length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream >>> 0, 5);
  return Buffer.concat([head, payload]);
}

/** A number of HPACK in `bits` bits of a first byte, and as many more bytes as it takes. */
export function hpackInt(value: number, bits: number, first = 0): Buffer {
  const most = 2 ** bits - 1;
  if (value < most) return Buffer.from([first | value]);
  const bytes = [first | most];
  let rest = value - most;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return Buffer.from([...bytes, rest]);
}

export function hpackText(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  return Buffer.concat([hpackInt(bytes.length, 7), bytes]);
}

export type Header = readonly [name: string, value: string];

/** Every name and value spelled out, none remembered. */
export function hpack(headers: readonly Header[]): Buffer {
  return Buffer.concat(
    headers.flatMap(([name, value]) => [Buffer.from([0]), hpackText(name), hpackText(value)]),
  );
}

export interface CallHeaders {
  readonly method?: string;
  /** Of ours, or with a slash any path. */
  readonly path?: string;
  /** Empty: none. */
  readonly contentType?: string;
  readonly te?: string;
  readonly more?: readonly Header[];
}

export function callHeaders(call: CallHeaders = {}): Buffer {
  const {
    method = 'POST',
    path = 'List',
    contentType = 'application/grpc',
    te = 'trailers',
    more = [],
  } = call;
  const optional: Header[] = [
    ['content-type', contentType],
    ['te', te],
  ];
  return hpack([
    [':method', method],
    [':scheme', 'http'],
    [':path', path.startsWith('/') ? path : PATH + path],
    [':authority', 'holdfast'],
    ...optional.filter(([, value]) => value !== ''),
    ...more,
  ]);
}

/** A message of gRPC; flag and length may lie. */
export function message(body: Buffer = Buffer.alloc(0), flag = 0, length = body.length): Buffer {
  return Buffer.concat([Buffer.from([flag]), uint32(length), body]);
}

/** The headers of a call, which leave it open. */
export const opened = (stream: number, call: CallHeaders = {}): Buffer =>
  frame(HEADERS, END_HEADERS, stream, callHeaders(call));

/** `body` in frames that are as large as they may be. */
export function data(stream: number, body: Buffer, flags = END_STREAM): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < body.length || at === 0; at += FRAME_BYTES) {
    const last = at + FRAME_BYTES >= body.length;
    parts.push(frame(DATA, last ? flags : 0, stream, body.subarray(at, at + FRAME_BYTES)));
  }
  return Buffer.concat(parts);
}

/** A whole call. */
export const called = (stream: number, call: CallHeaders = {}, body = message()): Buffer =>
  Buffer.concat([opened(stream, call), data(stream, body)]);

/** The number of a client's stream. */
export const odd = (index: number): number => 2 * index + 1;

export function times(count: number, make: (index: number) => Buffer): Buffer {
  return Buffer.concat(Array.from({ length: count }, (_, index) => make(index)));
}

export interface Manners {
  /** Whether the server's SETTINGS and PING are answered; true unless told otherwise. */
  readonly answers?: boolean;
  /** Whether anything is read. */
  readonly reads?: boolean;
  /** Whether the first bytes are those of HTTP/2. */
  readonly greets?: boolean;
}

export class Attacker {
  readonly socket: Socket;
  readonly frames: Frame[] = [];
  closed = false;
  readonly #answers: boolean;
  #unread = Buffer.alloc(0);

  private constructor(socket: Socket, manners: Manners) {
    this.socket = socket;
    this.#answers = manners.answers ?? true;
    socket.on('error', () => {});
    for (const end of ['end', 'close']) {
      socket.on(end, () => {
        this.closed = true;
      });
    }
    if (manners.reads ?? true) this.read();
    if (manners.greets ?? true) this.send(PREFACE, frame(SETTINGS, 0, 0));
  }

  static async to(address: string, manners: Manners = {}): Promise<Attacker> {
    const [host, port] = address.split(':') as [string, string];
    const socket = connect({ host, port: Number(port), allowHalfOpen: true, noDelay: true });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new Attacker(socket, manners);
  }

  /** From now on. */
  read(): void {
    if (this.socket.listenerCount('data') === 0) this.socket.on('data', (chunk: Buffer) => this.#read(chunk));
  }

  send(...bytes: readonly Buffer[]): void {
    this.socket.write(Buffer.concat(bytes));
  }

  close(): void {
    this.socket.destroy();
  }

  count(type: number, stream?: number): number {
    return this.frames.filter((one) => one.type === type && (stream ?? one.stream) === one.stream).length;
  }

  /** Of the first GOAWAY. */
  get goaway(): number | undefined {
    return this.frames.find(({ type }) => type === GOAWAY)?.payload.readUInt32BE(4);
  }

  /** Of each RST_STREAM. */
  get resets(): number[] {
    return this.frames.filter(({ type }) => type === RST_STREAM).map(({ payload }) => payload.readUInt32BE());
  }

  /** Everything that was sent before has been dealt with: frames of one connection are read in their order. */
  async settled(): Promise<void> {
    const payload = Buffer.from('settled!');
    this.send(frame(PING, 0, 0, payload));
    await until('the ping comes back, or the connection ends', () => {
      return this.closed || this.frames.some((one) => one.type === PING && one.payload.equals(payload));
    });
  }

  #read(chunk: Buffer): void {
    this.#unread = Buffer.concat([this.#unread, chunk]);
    for (;;) {
      if (this.#unread.length < HEAD_BYTES) return;
      const end = HEAD_BYTES + this.#unread.readUIntBE(0, 3);
      if (this.#unread.length < end) return;
      const [, , , type = 0, flags = 0] = this.#unread;
      const stream = this.#unread.readUInt32BE(5);
      const one = { type, flags, stream, payload: this.#unread.subarray(HEAD_BYTES, end) };
      this.#unread = this.#unread.subarray(end);
      this.#see(one);
    }
  }

  #see(one: Frame): void {
    this.frames.push(one);
    if (!this.#answers || (one.flags & ACK) !== 0) return;
    if (one.type === SETTINGS) this.send(frame(SETTINGS, ACK, 0));
    if (one.type === PING) this.send(frame(PING, ACK, 0, one.payload));
  }
}
