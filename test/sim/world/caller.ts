/** Keeps one connection to a node: connects again when it breaks, and gives up on an answer when its time is over. */
import type { Timer } from '../../../src/std/clock.ts';
import type { Chance } from './chance.ts';
import type { Link, Network } from './network.ts';
import type { NodeProcess } from './node-process.ts';
import type { Process } from './process.ts';
import { type Published, type Question, type Reply, Wire } from './wire.ts';

/** As connection.ts sets it for ioredis. */
const HANDSHAKE_MS_MIN = 1000;
const AGAIN_MS_STEP = 50;
const AGAIN_MS_MAX = 500;

export type Told = Reply | { readonly kind: 'timeout' } | { readonly kind: 'broken' };

export interface CallerOptions {
  readonly network: Network;
  readonly process: Process;
  readonly chance: Chance;
  readonly link: Link;
  readonly node: NodeProcess;
  readonly timeoutMs: number;
}

export interface CallerEnd {
  onConnected(): void;
  onBroken(): void;
  onPublished?(published: Published): void;
}

interface Pending {
  readonly timer: Timer;
  tell(told: Told): void;
}

export class Caller {
  readonly #options: CallerOptions;
  readonly #end: CallerEnd;
  /** What the present connection owes; an answer that comes too late finds nobody. */
  #owed = new Set<number>();
  readonly #pending = new Map<number, Pending>();
  #wire: Wire | undefined;
  #connected = false;
  #closed = false;
  #tried = 0;
  #last = 0;
  /** Connecting, or unanswered for too long. */
  #patience: Timer | undefined;

  constructor(options: CallerOptions, end: CallerEnd) {
    this.#options = options;
    this.#end = end;
    this.#connect();
  }

  get connected(): boolean {
    return this.#connected;
  }

  ask(question: Question, tell: (told: Told) => void): void {
    const wire = this.#wire;
    if (!this.#connected || wire === undefined) {
      queueMicrotask(() => tell({ kind: 'broken' }));
      return;
    }
    this.#last += 1;
    const id = this.#last;
    const timer = this.#options.process.after(this.#options.timeoutMs, () => {
      this.#pending.delete(id);
      tell({ kind: 'timeout' });
    });
    this.#pending.set(id, { timer, tell });
    this.#owed.add(id);
    this.#patience ??= this.#wait();
    wire.ask(id, question);
  }

  /** Breaks the connection and makes another. */
  again(): void {
    this.#wire?.reset();
  }

  reset(): void {
    this.#wire?.reset();
  }

  close(): void {
    this.#closed = true;
    this.#wire?.close();
    this.#drop();
  }

  #connect(): void {
    if (this.#closed) return;
    const { network, link, node, process } = this.#options;
    this.#patience = this.#wait();
    const wire: Wire = new Wire({
      network,
      link,
      node,
      process,
      end: {
        onOpen: () => {
          this.#patience?.cancel();
          this.#patience = undefined;
          this.#connected = true;
          this.#tried = 0;
          this.#end.onConnected();
        },
        onReply: (id, reply) => this.#hear(id, reply),
        onPublished: (published) => this.#end.onPublished?.(published),
        onBroken: () => this.#broken(),
      },
    });
    this.#wire = wire;
  }

  #hear(id: number, reply: Reply): void {
    this.#patience?.cancel();
    this.#owed.delete(id);
    this.#patience = this.#owed.size === 0 ? undefined : this.#wait();
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    pending.timer.cancel();
    pending.tell(reply);
  }

  /** Nothing at all came for so long, although something should: the connection is given up. */
  #wait(): Timer {
    const { process, timeoutMs } = this.#options;
    return process.after(Math.max(HANDSHAKE_MS_MIN, timeoutMs * 4), () => this.#wire?.reset());
  }

  #broken(): void {
    const wasConnected = this.#connected;
    this.#drop();
    if (wasConnected) this.#end.onBroken();
    if (this.#closed) return;
    this.#tried += 1;
    const { process, chance } = this.#options;
    const delayMs = Math.min(AGAIN_MS_MAX, AGAIN_MS_STEP * this.#tried) + chance.fraction() * AGAIN_MS_STEP;
    process.after(delayMs, () => this.#connect());
  }

  #drop(): void {
    this.#connected = false;
    this.#wire = undefined;
    this.#patience?.cancel();
    this.#patience = undefined;
    this.#owed = new Set();
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { timer, tell } of pending) {
      timer.cancel();
      tell({ kind: 'broken' });
    }
  }
}
