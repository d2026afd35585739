/** A Session that costs its process a few microseconds an operation: all that one turn of the loop asks is one message. */
import {
  ACK,
  DATA,
  END_STREAM,
  FIRST_WINDOW,
  frame,
  HEADERS,
  INITIAL_WINDOW_SIZE,
  LightWire,
  MESSAGE_HEAD,
  MOST_IN_FRAME,
  RST_STREAM,
  SETTINGS,
  WINDOW_UPDATE,
  type WireListener,
  wantsRoom,
  windowUpdate,
} from './light-wire.ts';
import { type Heard, MOST_OPS, OpWriter, readSessionResponse } from './session-wire.ts';

const PATH = '/holdfast.v1.LockService/Session';

export interface Granted {
  readonly leaseId: Buffer;
  /** Microseconds since 1970 for some two centuries more: below 2^53. */
  readonly token: number;
}

interface Pending {
  readonly resolve: (answer: Granted | boolean) => void;
  readonly reject: (error: Error) => void;
}

export class LightSession implements WireListener, Heard {
  /** Messages of either direction since the start. */
  sent = 0;
  received = 0;
  readonly #wire: LightWire;
  readonly #stream: number;
  readonly #ops = new OpWriter();
  readonly #pending = new Map<number, Pending>();
  #seq = 0;
  #ended = '';
  /** Whole messages that no frame has carried yet. */
  #unsent: Buffer[] = [];
  /** What the server lets us send, on the connection and on the stream. */
  readonly #room = { connection: FIRST_WINDOW, stream: FIRST_WINDOW };
  #firstWindow = FIRST_WINDOW;
  #body: Buffer = Buffer.alloc(0);
  #unacknowledged = 0;

  constructor(address: string, headersToo: Readonly<Record<string, string>> = {}) {
    this.#wire = new LightWire(address, this);
    const { stream, headers } = this.#wire.opener(PATH, headersToo)();
    this.#stream = stream;
    this.#wire.send(headers);
  }

  connected(): Promise<void> {
    return this.#wire.connected();
  }

  /** Rejects when it is refused, busy included. */
  acquire(resource: string, owner: string, ttlS: number, waitS = 0): Promise<Granted> {
    return this.#ask((seq) => this.#ops.acquire(seq, resource, owner, ttlS, waitS)) as Promise<Granted>;
  }

  release(leaseId: Buffer): Promise<boolean> {
    return this.#ask((seq) => this.#ops.release(seq, leaseId)) as Promise<boolean>;
  }

  #ask(write: (seq: number) => void): Promise<Granted | boolean> {
    if (this.#ended !== '') return Promise.reject(new Error(this.#ended));
    const seq = ++this.#seq;
    write(seq);
    if (this.#ops.count === MOST_OPS) this.#pack();
    this.#wire.wake();
    return new Promise((resolve, reject) => this.#pending.set(seq, { resolve, reject }));
  }

  #pack(): void {
    this.#unsent.push(this.#ops.take());
    this.sent += 1;
  }

  outgoing(): readonly Buffer[] {
    if (this.#ops.count > 0) this.#pack();
    const frames: Buffer[] = [];
    for (;;) {
      const [message] = this.#unsent;
      const most = Math.min(this.#room.connection, this.#room.stream, MOST_IN_FRAME);
      if (message === undefined || most <= 0) return frames;
      const part = message.subarray(0, most);
      if (part.length === message.length) this.#unsent.shift();
      else this.#unsent[0] = message.subarray(part.length);
      this.#room.connection -= part.length;
      this.#room.stream -= part.length;
      frames.push(frame(DATA, 0, this.#stream, part));
    }
  }

  frame(type: number, flags: number, stream: number, payload: Buffer): void {
    if (type === DATA && stream === this.#stream) this.#data(payload);
    else if (type === WINDOW_UPDATE) this.#moreRoom(stream, payload.readUInt32BE(0));
    else if (type === SETTINGS && (flags & ACK) === 0) this.#settings(payload);
    const ended = type === RST_STREAM || (type === HEADERS && (flags & END_STREAM) !== 0);
    if (ended && stream === this.#stream) this.closed('the server has ended the session');
  }

  closed(why: string): void {
    this.#ended ||= why;
    for (const { reject } of this.#pending.values()) reject(new Error(this.#ended));
    this.#pending.clear();
  }

  granted(seq: number, leaseId: Buffer, token: number): void {
    this.#take(seq).resolve({ leaseId, token });
  }

  released(seq: number, released: boolean): void {
    this.#take(seq).resolve(released);
  }

  refused(seq: number, why: string): void {
    this.#take(seq).reject(new Error(why));
  }

  /** Nothing here holds for long, so nothing may be lost. */
  lost(seq: number): void {
    this.closed(`the lease of operation ${seq} was lost`);
  }

  #take(seq: number): Pending {
    const pending = this.#pending.get(seq);
    if (pending === undefined) throw new Error(`operation ${seq} was answered twice, or never asked`);
    this.#pending.delete(seq);
    return pending;
  }

  #settings(payload: Buffer): void {
    for (let at = 0; at + 6 <= payload.length; at += 6) {
      if (payload.readUInt16BE(at) !== INITIAL_WINDOW_SIZE) continue;
      const window = payload.readUInt32BE(at + 2);
      this.#moreRoom(this.#stream, window - this.#firstWindow);
      this.#firstWindow = window;
    }
  }

  #moreRoom(stream: number, bytes: number): void {
    if (stream === 0) this.#room.connection += bytes;
    else if (stream === this.#stream) this.#room.stream += bytes;
    if (this.#unsent.length > 0) this.#wire.wake();
  }

  /** Frames end where they like, messages somewhere within. */
  #data(payload: Buffer): void {
    this.#unacknowledged += payload.length;
    if (wantsRoom(this.#unacknowledged)) {
      this.#wire.send(windowUpdate(this.#stream, this.#unacknowledged));
      this.#unacknowledged = 0;
    }
    const bytes = this.#body.length === 0 ? payload : Buffer.concat([this.#body, payload]);
    let at = 0;
    while (bytes.length - at >= MESSAGE_HEAD) {
      const end = at + MESSAGE_HEAD + bytes.readUInt32BE(at + 1);
      if (bytes.length < end) break;
      this.received += 1;
      readSessionResponse(bytes.subarray(at + MESSAGE_HEAD, end), this);
      at = end;
    }
    this.#body = bytes.subarray(at);
  }
}
