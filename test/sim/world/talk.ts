/** One call of a client at a replica, unary or a stream: what gRPC makes of the network in between, as thinly as possible. */
import type { Caller, StreamEnd } from '../../../src/locks/locks.ts';
import type { Timer } from '../../../src/std/clock.ts';
import type { Door } from './door.ts';
import { Lane, type Link, type Network } from './network.ts';
import type { Process } from './process.ts';

/** Both ends of a stream ping the other so often, and take silence for its end after so long. */
const KEEPALIVE_MS = 1000;
const KEEPALIVE_TIMEOUT_MS = 500;

/** Where the calls of one client go. */
export interface Route {
  readonly network: Network;
  readonly link: Link;
  /** Whoever listens at the replica's address when something arrives there. */
  door(): Door | undefined;
}

export interface TalkOptions {
  readonly route: Route;
  readonly client: Process;
  readonly streams: boolean;
  /** Runs at the replica when the request arrives there. */
  serve(served: Served): void;
  /** The connection broke, the replica was not there, or it did not answer pings; once, and not after `leave`. */
  onBroken(): void;
}

/** The client's end. */
export class Talk {
  readonly #options: TalkOptions;
  readonly #up = new Lane();
  readonly #down = new Lane();
  #open = true;
  #served: Served[] = [];
  /** Which run of the replica took it: a later one knows nothing of it. */
  #door: Door | undefined;
  #ping: Timer | undefined;

  constructor(options: TalkOptions) {
    this.#options = options;
    const { route, streams } = options;
    const deliver = (): void => {
      const door = route.door();
      if (door === undefined) {
        this.down(() => this.breaks(), true);
        return;
      }
      this.#door ??= door;
      door.process.run(() => {
        if (route.door() !== door) return;
        const served = new Served(this, door, streams);
        this.#served.push(served);
        options.serve(served);
      }, this);
    };
    this.#send('in', deliver, { twice: !streams });
    if (streams) this.#pingLater();
  }

  get link(): Link {
    return this.#options.route.link;
  }

  get open(): boolean {
    return this.#open;
  }

  /** Nobody listens here any more: cancelled, past its deadline, or its process died. */
  leave(): void {
    if (!this.#open) return;
    this.#close();
    this.up((served) => served.leave('closed'));
  }

  breaks(): void {
    if (!this.#open) return;
    this.#close();
    this.#options.onBroken();
  }

  /** Answered. */
  done(): void {
    this.#close();
  }

  /** Something in between broke the connection: each end sees that at once, if its process runs. */
  reset(served: Served): void {
    served.process.run(() => served.leave('closed'), this);
    this.#options.client.run(() => this.breaks(), this);
  }

  /** To the replica, after what was sent before. */
  up(act: (served: Served) => void, sure = false): void {
    const deliver = (): void => {
      for (const served of this.#served) served.process.run(() => act(served), this);
    };
    this.#send('in', deliver, { sure });
  }

  /** To the client, in the order in which it was told. */
  down(act: () => void, sure = false): void {
    this.#send(
      'out',
      () =>
        this.#options.client.run(() => {
          if (this.#open) act();
        }, this),
      { sure },
    );
  }

  #close(): void {
    this.#open = false;
    this.#ping?.cancel();
  }

  #pingLater(): void {
    const { client, route } = this.#options;
    this.#ping = client.after(KEEPALIVE_MS, () => {
      this.#ping = client.after(KEEPALIVE_TIMEOUT_MS, () => this.breaks());
      const pong = (): void => {
        this.#ping?.cancel();
        this.#pingLater();
      };
      this.#send(
        'in',
        () => {
          const door = route.door();
          // Of a process that has gone the kernel says so.
          if (door === undefined || (this.#door !== undefined && this.#door !== door))
            this.down(() => this.breaks(), true);
          else door.process.run(() => this.down(pong, true), this);
        },
        { sure: true },
      );
    });
  }

  #send(
    direction: 'in' | 'out',
    deliver: () => void,
    how: { readonly twice?: boolean; readonly sure?: boolean } = {},
  ): void {
    const { network, link } = this.#options.route;
    network.send(network.way(link, direction), deliver, {
      ...how,
      lane: direction === 'in' ? this.#up : this.#down,
    });
  }
}

/** The replica's end: the caller of locks.ts. */
export class Served implements Caller {
  readonly principal = '';
  readonly talk: Talk;
  readonly door: Door;
  /** Only streams have one: how it ended, when we did not end it. */
  onEnded: (how: StreamEnd) => void = () => {};
  readonly #acts = new Set<() => void>();
  #over = false;
  #ping: Timer | undefined;
  #deadline: Timer | undefined;

  constructor(talk: Talk, door: Door, streams: boolean) {
    this.talk = talk;
    this.door = door;
    door.calls.add(this);
    if (streams) this.#pingLater();
  }

  get process(): Process {
    return this.door.process;
  }

  get over(): boolean {
    return this.#over;
  }

  gone(): boolean {
    return this.#over;
  }

  whenGone(act: () => void): () => void {
    if (this.#over) {
      const timer = this.process.after(0, act);
      return () => timer.cancel();
    }
    this.#acts.add(act);
    return () => this.#acts.delete(act);
  }

  /** The deadline travels with the call. */
  within(timeoutMs: number): void {
    this.#deadline = this.process.after(timeoutMs, () => this.leave('closed'));
  }

  /** Somebody else ended it. */
  leave(how: StreamEnd): void {
    if (this.#over) return;
    this.finish();
    this.onEnded(how);
  }

  /** Answered: whoever asked is told last, and nothing after it. */
  answer(act: () => void): void {
    if (this.#over) return;
    this.finish();
    this.talk.down(act);
  }

  finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#ping?.cancel();
    this.#deadline?.cancel();
    this.door.calls.delete(this);
    for (const act of [...this.#acts]) act();
    this.#acts.clear();
  }

  #pingLater(): void {
    this.#ping = this.process.after(KEEPALIVE_MS, () => {
      this.#ping = this.process.after(KEEPALIVE_TIMEOUT_MS, () => {
        this.leave('silent');
        this.talk.down(() => this.talk.breaks(), true);
      });
      this.talk.down(() => this.talk.up(() => this.#pong(), true), true);
    });
  }

  #pong(): void {
    if (this.#over) return;
    this.#ping?.cancel();
    this.#pingLater();
  }
}
