/** What a worker has instead of a listening socket: connections come from the primary, and it hears of their ends. */
import type { Socket } from 'node:net';
import type { Listening } from '../edge/listen.ts';

export interface GateNews {
  /** One connection has. */
  ended(): void;
  /** No more connections, please. */
  closing(): void;
}

/** Ten thousand connections that end at once are one message. */
export class Tally {
  readonly #say: (count: number) => void;
  #count = 0;

  constructor(say: (count: number) => void) {
    this.#say = say;
  }

  add(): void {
    this.#count += 1;
    if (this.#count > 1) return;
    setImmediate(() => {
      const count = this.#count;
      this.#count = 0;
      this.#say(count);
    });
  }
}

export class Gate implements Listening {
  readonly #onSocket: (socket: Socket) => void;
  readonly #news: GateNews;
  readonly #sockets = new Set<Socket>();
  #closed = false;
  #done: (() => void) | undefined;

  constructor(onSocket: (socket: Socket) => void, news: GateNews) {
    this.#onSocket = onSocket;
    this.#news = news;
  }

  take(socket: Socket): void {
    socket.once('close', () => {
      this.#sockets.delete(socket);
      this.#news.ended();
      this.#check();
    });
    // Sent before the primary heard that this gate closes.
    if (this.#closed) {
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    this.#onSocket(socket);
  }

  /** As `net.Server`: takes no more, and is done when the last connection has ended. */
  close(done: () => void = () => {}): void {
    this.#done = done;
    if (!this.#closed) this.#news.closing();
    this.#closed = true;
    this.#check();
  }

  /** No gate fails: its sockets were accepted elsewhere. */
  on(): this {
    return this;
  }

  #check(): void {
    if (this.#closed && this.#sockets.size === 0) this.#done?.();
  }
}
