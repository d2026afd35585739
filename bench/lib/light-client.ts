/** A unary gRPC client that costs next to nothing: reads only which stream a message or an end belongs to. */
import {
  DATA,
  END_STREAM,
  HEADERS,
  LightWire,
  MESSAGE_HEAD,
  onlyMessage,
  RST_STREAM,
  type WireListener,
} from './light-wire.ts';

interface Waiting {
  readonly resolve: (message: Buffer) => void;
  readonly reject: (error: Error) => void;
  message: Buffer | undefined;
}

export class LightClient implements WireListener {
  readonly #wire: LightWire;
  readonly #headersToo: Readonly<Record<string, string>>;
  readonly #waiting = new Map<number, Waiting>();

  /** Every call carries `headersToo`. */
  constructor(address: string, headersToo: Readonly<Record<string, string>> = {}) {
    this.#headersToo = headersToo;
    this.#wire = new LightWire(address, this);
  }

  connected(): Promise<void> {
    return this.#wire.connected();
  }

  /** The bytes of one answer to the bytes of one request; rejects when the call ends without one. */
  method(path: string): (message: Buffer) => Promise<Buffer> {
    const open = this.#wire.opener(path, this.#headersToo);
    return (message) =>
      new Promise((resolve, reject) => {
        const { stream, headers } = open();
        this.#waiting.set(stream, { resolve, reject, message: undefined });
        this.#wire.send(headers, onlyMessage(stream, message));
      });
  }

  frame(type: number, flags: number, stream: number, payload: Buffer): void {
    const waiting = this.#waiting.get(stream);
    if (waiting === undefined) return;
    if (type === DATA) {
      waiting.message = waiting.message === undefined ? payload : Buffer.concat([waiting.message, payload]);
    }
    const ended = type === RST_STREAM || (flags & END_STREAM) !== 0;
    if (!ended || (type !== HEADERS && type !== RST_STREAM)) return;
    this.#waiting.delete(stream);
    if (waiting.message === undefined) waiting.reject(new Error('the call ended without an answer'));
    else waiting.resolve(waiting.message.subarray(MESSAGE_HEAD));
  }

  closed(why: string): void {
    for (const { reject } of this.#waiting.values()) reject(new Error(why));
    this.#waiting.clear();
  }
}
