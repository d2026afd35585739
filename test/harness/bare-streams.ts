/** Hold and Session over node:http2 alone, so that a test decides when a stream is read, and how it and its connection end. */
import http2 from 'node:http2';
import { connect, type Socket } from 'node:net';
import type { HoldRequest } from '../../src/edge/gen/holdfast/v1/HoldRequest.ts';
import type { HoldResponse__Output as HoldResponse } from '../../src/edge/gen/holdfast/v1/HoldResponse.ts';
import type { SessionOp } from '../../src/edge/gen/holdfast/v1/SessionOp.ts';
import type { SessionRequest } from '../../src/edge/gen/holdfast/v1/SessionRequest.ts';
import type { SessionResponse__Output as SessionResponse } from '../../src/edge/gen/holdfast/v1/SessionResponse.ts';
import type { SessionResult__Output as SessionResult } from '../../src/edge/gen/holdfast/v1/SessionResult.ts';
import { v1 } from './rpc-client.ts';
import { until } from './until.ts';

const { Hold, Session } = v1.LockService.service;
const PREFIX_BYTES = 5;

/** A message as it travels in a stream. */
function framed(message: Buffer): Buffer {
  const head = Buffer.alloc(PREFIX_BYTES);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

export const encodeSession = (request: SessionRequest): Buffer => Session.requestSerialize(request);

export interface Reading {
  /** What of a stream the server may send before it is read; 0: nothing at all. */
  readonly windowBytes?: number;
}

export class BareConnection {
  readonly socket: Socket;
  readonly session: http2.ClientHttp2Session;

  private constructor(socket: Socket, settings: http2.Settings) {
    this.socket = socket;
    socket.on('error', () => {});
    this.session = http2.connect('http://holdfast', { createConnection: () => socket, settings });
    this.session.on('error', () => {});
    // 64 KiB for all streams together would make them wait for each other.
    this.session.once('connect', () => this.session.setLocalWindowSize(2 ** 24));
  }

  static async to(address: string, { windowBytes }: Reading = {}): Promise<BareConnection> {
    const [host, port] = address.split(':') as [string, string];
    const socket = connect({ host, port: Number(port), allowHalfOpen: true, noDelay: true });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new BareConnection(socket, windowBytes === undefined ? {} : { initialWindowSize: windowBytes });
  }

  hold(request: HoldRequest, timeoutMs?: number): BareHold {
    const stream = new BareHold(this.#open(Hold.path, timeoutMs));
    stream.send(Hold.requestSerialize(request));
    stream.halfClose();
    return stream;
  }

  openSession(timeoutMs?: number): BareSession {
    return new BareSession(this.#open(Session.path, timeoutMs));
  }

  close(): void {
    this.session.destroy();
    this.socket.destroy();
  }

  #open(path: string, timeoutMs?: number): http2.ClientHttp2Stream {
    const timeout = timeoutMs === undefined ? {} : { 'grpc-timeout': `${timeoutMs}m` };
    return this.session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc+proto',
      te: 'trailers',
      ...timeout,
    });
  }
}

abstract class BareStream<Response> {
  readonly messages: Response[] = [];
  /** The status of gRPC, once it came; undefined also when the stream ended without one. */
  status: number | undefined;
  /** The text that comes with it. */
  detail = '';
  closed = false;
  onMessage: ((message: Response) => void) | undefined;
  readonly stream: http2.ClientHttp2Stream;
  #unread: Buffer[] = [];
  #unreadBytes = 0;

  constructor(stream: http2.ClientHttp2Stream) {
    this.stream = stream;
    stream.on('error', () => {});
    stream.on('response', (headers) => this.#see(headers));
    stream.on('trailers', (headers) => this.#see(headers));
    stream.on('close', () => {
      this.closed = true;
    });
    stream.on('data', (chunk: Buffer) => this.#read(chunk));
  }

  abstract decode(message: Buffer): Response;

  /** The next message. */
  next(): Promise<Response> {
    return new Promise((resolve, reject) => {
      const fail = (): void => reject(new Error(`it ended with ${this.status} ${this.detail}`));
      this.stream.once('close', fail);
      this.onMessage = (message) => {
        this.onMessage = undefined;
        this.stream.off('close', fail);
        resolve(message);
      };
    });
  }

  over(): Promise<void> {
    if (this.closed) return Promise.resolve();
    return new Promise((resolve) => this.stream.once('close', () => resolve()));
  }

  send(message: Buffer): void {
    this.stream.write(framed(message));
  }

  halfClose(): void {
    this.stream.end();
  }

  reset(code: number): void {
    this.stream.close(code);
  }

  /** Nothing more is taken from it: the window of the stream fills. */
  pause(): void {
    this.stream.pause();
  }

  resume(): void {
    this.stream.resume();
  }

  #see(headers: http2.IncomingHttpHeaders): void {
    if (headers['grpc-status'] === undefined) return;
    this.status = Number(headers['grpc-status']);
    this.detail = decodeURI(String(headers['grpc-message'] ?? ''));
  }

  #read(chunk: Buffer): void {
    this.#unread.push(chunk);
    this.#unreadBytes += chunk.length;
    for (;;) {
      if (this.#unreadBytes < PREFIX_BYTES) return;
      const all = this.#unread.length === 1 ? this.#unread[0]! : Buffer.concat(this.#unread);
      const size = PREFIX_BYTES + all.readUInt32BE(1);
      this.#unread = [all];
      if (all.length < size) return;
      this.#unread = [all.subarray(size)];
      this.#unreadBytes = all.length - size;
      const message = this.decode(all.subarray(PREFIX_BYTES, size));
      this.messages.push(message);
      this.onMessage?.(message);
    }
  }
}

export class BareHold extends BareStream<HoldResponse> {
  decode(message: Buffer): HoldResponse {
    return Hold.responseDeserialize(message);
  }

  async granted() {
    const lease = await until('the Hold is granted', () => {
      if (this.closed) throw new Error(`it ended with ${this.status} ${this.detail}`);
      return this.messages.find(({ granted }) => granted != null)?.granted;
    });
    return lease;
  }

  /** What it was last told of its lease. */
  get lease() {
    return this.messages.flatMap(({ granted, renewed }) => granted ?? renewed ?? []).at(-1);
  }
}

export class BareSession extends BareStream<SessionResponse> {
  #seq = 0;

  decode(message: Buffer): SessionResponse {
    return Session.responseDeserialize(message);
  }

  /** All in one message; the number of the last. */
  ask(ops: readonly SessionOp[], request: SessionRequest = {}): number {
    const numbered = ops.map((op) => {
      this.#seq += 1;
      return { ...op, seq: this.#seq };
    });
    this.send(encodeSession({ ...request, ops: numbered }));
    return this.#seq;
  }

  get results(): SessionResult[] {
    return this.messages.flatMap(({ results }) => results);
  }

  get events() {
    return this.messages.flatMap(({ events }) => events);
  }

  /** As `result`, for those who ask one thing at a time. */
  async answered(seq: number): Promise<SessionResult> {
    for (;;) {
      const { results } = await this.next();
      const found = results.find((result) => result.seq === String(seq));
      if (found !== undefined) return found;
    }
  }

  async result(seq: number | string): Promise<SessionResult> {
    return until(`operation ${seq} is answered`, () => {
      const found = this.results.find((result) => result.seq === String(seq));
      if (found === undefined && this.closed) throw new Error(`it ended with ${this.status} ${this.detail}`);
      return found;
    });
  }
}
