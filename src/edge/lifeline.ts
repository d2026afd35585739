/** How a stream that keeps leases ends when we did not end it: the many ways in which grpc-js says so, made one. */
import type { StreamEnd } from '../locks/locks.ts';
import type { Clock, Timer } from '../std/clock.ts';
import { type Cuttable, Deadline, type Flights } from './calls.ts';
import type { Connection } from './connections.ts';
import { resetCall, wasRevoked } from './interceptor.ts';

/** What is asked of a stream of grpc-js. */
export interface LivingCall {
  getDeadline(): Date | number;
  getPeer(): string;
  on(event: 'cancelled' | 'close', act: () => void): unknown;
  off(event: 'cancelled' | 'close', act: () => void): unknown;
  destroy(): unknown;
}

export interface LifelineContext {
  readonly clock: Clock;
  readonly flights: Flights;
  readonly connections: { of(peer: string): Connection | undefined };
}

/**
 * `close` comes always, but may come late; `cancelled` comes after every end, ours included. `error` need not be heard:
 * one of the stream itself brings `close` with it, and of one of ours grpc-js makes a status, which brings `cancelled`.
 */
const ENDINGS = ['cancelled', 'close'] as const;

export interface Living {
  /** The stream is over, and we did not end it. Called once. */
  onEnded(how: StreamEnd): void;
}

/** One for each stream, of which there may be many thousands: what is rarely needed is made when it is. */
export class Lifeline implements Cuttable {
  readonly deadline: Deadline;
  readonly #call: LivingCall;
  readonly #context: LifelineContext;
  readonly #connection: Connection | undefined;
  readonly #stream: Living;
  #acts: Set<() => void> | undefined;
  #timer: Timer | undefined;
  #over = false;
  #drained = false;
  /** Bound, as an arrow function would keep a scope as well. */
  readonly #onEnding: () => void;

  constructor(call: LivingCall, context: LifelineContext, stream: Living) {
    this.#call = call;
    this.#context = context;
    // Now: a call that is over has no peer any more.
    this.#connection = context.connections.of(call.getPeer());
    this.#stream = stream;
    this.deadline = Deadline.of(call, context.clock);
    this.#onEnding = this.#leave.bind(this);
    for (const ending of ENDINGS) call.on(ending, this.#onEnding);
    context.flights.whenCut(this);
    this.#arm();
  }

  get over(): boolean {
    return this.#over;
  }

  /** Nobody listens any more for what is granted. */
  gone(): boolean {
    return this.#over || this.#context.flights.cutOff || this.deadline.passed();
  }

  /** Calls `act` once when it is over, whatever ended it; the result takes that back. */
  whenGone(act: () => void): () => void {
    if (this.gone()) {
      // By a timer: the asker does not have the way back yet.
      const timer = this.#context.clock.after(0, act);
      return () => timer.cancel();
    }
    this.#acts ??= new Set();
    this.#acts.add(act);
    return () => this.#acts?.delete(act);
  }

  /** The client was told to go elsewhere: whatever ends the stream from now on, its leases stay. */
  drained(): void {
    this.#drained = true;
  }

  /** Nothing has left for too long: a zombie, or a client that nobody can tell from a dead one. */
  giveUp(): StreamEnd {
    const how = this.finish('silent');
    resetCall(this.#call);
    this.#call.destroy();
    return how;
  }

  /** We end the stream ourselves; the result says what becomes of its leases, where nothing else decides. */
  finish(how: StreamEnd): StreamEnd {
    this.#stop();
    return this.#drained ? 'drained' : how;
  }

  onCut(): void {
    this.#leave();
  }

  #leave(): void {
    if (this.#over) return;
    const how = this.#how();
    this.#stop();
    this.#stream.onEnded(how);
    // After a deadline grpc-js ends the call, but may not say so while the reader takes nothing.
    this.#call.destroy();
  }

  #how(): StreamEnd {
    if (this.#drained || this.#context.flights.cutOff || wasRevoked(this.#call)) return 'drained';
    if (this.deadline.passed()) return 'closed';
    // Of a connection that nobody knows, nobody can say that its client is gone.
    return this.#connection?.endOf() ?? 'silent';
  }

  #arm(): void {
    this.#timer = this.deadline.after(() => (this.deadline.passed() ? this.#leave() : this.#arm()));
  }

  #stop(): void {
    if (this.#over) return;
    this.#over = true;
    this.#timer?.cancel();
    this.#context.flights.forget(this);
    for (const ending of ENDINGS) this.#call.off(ending, this.#onEnding);
    const acts = this.#acts;
    this.#acts = undefined;
    for (const act of acts ?? []) act();
  }
}
