/** The wrapper of every handler: nothing a handler does or throws can leave a call, or the process, in the lurch. */
import type { EventEmitter } from 'node:events';
import { type handleUnaryCall, Metadata, status } from '@grpc/grpc-js';
import { invalidField, type Refusal } from '../domain/refusals.ts';
import type { Caller } from '../locks/locks.ts';
import type { Clock, Timer } from '../std/clock.ts';
import { MALFORMED } from './protos.ts';
import { internal, isRefusal, notServed, toStatus } from './status.ts';

/** What a handler answers when nobody listens any more. */
export const GONE = Symbol('the caller is gone');

export const malformed: Refusal = invalidField('request', 'is not a valid protobuf message of this method');

/** What is asked of a unary call of grpc-js. */
interface CancellableCall {
  readonly cancelled: boolean;
  getDeadline(): Date | number;
  on(event: 'cancelled', act: () => void): unknown;
  off(event: 'cancelled', act: () => void): unknown;
}

/** The caller of one unary call; its deadline is by the wall clock, as grpc-js counts it. */
export class UnaryCaller implements Caller {
  /** Empty until callers are authenticated. */
  readonly principal = '';
  readonly deadlineMs: number;
  readonly #call: CancellableCall;
  readonly #clock: Clock;
  readonly #flights: Flights;

  constructor(call: CancellableCall, clock: Clock, flights: Flights) {
    this.#call = call;
    this.#clock = clock;
    this.#flights = flights;
    const deadline = call.getDeadline();
    this.deadlineMs = typeof deadline === 'number' ? deadline : deadline.getTime();
  }

  gone(): boolean {
    return this.#call.cancelled || this.#flights.cutOff || this.late();
  }

  late(): boolean {
    return this.leftMs() <= 0;
  }

  /** The call may be told of its end in three ways, and after it was answered, too: only the first one counts. */
  whenGone(act: () => void): () => void {
    let timer: Timer | undefined;
    const stop = (): void => {
      timer?.cancel();
      this.#call.off('cancelled', leave);
      forget();
    };
    const leave = (): void => {
      stop();
      act();
    };
    const arm = (): void => {
      // By a timer even for one who has left: the asker does not have the way back yet.
      const waitMs = this.gone() ? 0 : Math.max(1, Math.ceil(this.leftMs()));
      if (waitMs !== Infinity) timer = this.#clock.after(waitMs, look);
    };
    // Timers are early by a fraction and clocks are set back: whoever is called must find the caller gone.
    const look = (): void => (this.gone() ? leave() : arm());
    const forget = this.#flights.whenCut(leave);
    this.#call.on('cancelled', leave);
    arm();
    return stop;
  }

  /** Milliseconds to the deadline; Infinity without one. */
  leftMs(): number {
    // Most calls of a benchmark have none: no need to read the clock for them.
    return this.deadlineMs === Infinity ? Infinity : this.deadlineMs - this.#clock.wallMicros() / 1000;
  }
}

/** Counts the handlers at work, so that a drain can wait for the last one. */
export class Flights {
  #cutOff = false;
  #toCut = new Set<() => void>();
  #aloft = 0;
  #waiting: (() => void)[] = [];

  /** Every connection was closed by force: calls learn of it one by one, and a grant must not slip in between. */
  get cutOff(): boolean {
    return this.#cutOff;
  }

  cut(): void {
    this.#cutOff = true;
    const acts = this.#toCut;
    this.#toCut = new Set();
    for (const act of acts) act();
  }

  /** Calls `act` at the cut; the result takes that back. */
  whenCut(act: () => void): () => void {
    const acts = this.#toCut;
    acts.add(act);
    return () => acts.delete(act);
  }

  enter(): void {
    this.#aloft += 1;
  }

  leave(): void {
    this.#aloft -= 1;
    if (this.#aloft > 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  idle(): Promise<void> {
    if (this.#aloft === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

export interface Wrapping {
  readonly clock: Clock;
  readonly flights: Flights;
  /** Where the cause of an INTERNAL goes; the client never sees it. */
  onDefect(method: string, cause: unknown): void;
}

type Answer<Response> = Response | Refusal | typeof GONE;

/** A unary handler of grpc-js around `answer`, which may throw, reject, refuse or find its caller gone. */
export function unary<Request extends object, Response extends object>(
  wrapping: Wrapping,
  answer: (request: Request, caller: UnaryCaller) => Answer<Response> | Promise<Answer<Response>>,
): handleUnaryCall<Request, Response> {
  const { clock, flights, onDefect } = wrapping;
  return async (call, callback) => {
    const caller = new UnaryCaller(call, clock, flights);
    flights.enter();
    try {
      const said = call.request === MALFORMED ? malformed : await answer(call.request, caller);
      if (said === GONE) callback(farewell(caller));
      else if (isRefusal(said)) callback(toStatus(said));
      else callback(null, said);
    } catch (cause) {
      onDefect(call.getPath(), cause);
      callback(toStatus(internal));
    } finally {
      flights.leave();
    }
  };
}

/** Mostly unheard; but a deadline that passed a moment ago must still not be answered by a grant. */
function farewell(caller: UnaryCaller): { code: status; details: string; metadata: Metadata } {
  return caller.late()
    ? { code: status.DEADLINE_EXCEEDED, details: 'Deadline exceeded', metadata: new Metadata() }
    : { code: status.CANCELLED, details: 'Cancelled by the caller', metadata: new Metadata() };
}

/** A stream that this release does not serve; `emit` because destroying a call would send no status. */
export function refusedStream(what: string): (call: EventEmitter) => void {
  return (call) => {
    call.emit('error', toStatus(notServed(what)));
  };
}
