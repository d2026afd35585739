/** The wrapper of every handler: nothing a handler does or throws can leave a call, or the process, in the lurch. */
import { type handleUnaryCall, Metadata, status } from '@grpc/grpc-js';
import { invalidField, type Refusal } from '../domain/refusals.ts';
import type { AcquireAsk, Caller } from '../locks/locks.ts';
import { type Clock, systemClock, type Timer } from '../std/clock.ts';
import { actionOf } from './access/acts.ts';
import type { Visit, Visits } from './access/visit.ts';
import { MALFORMED } from './protos.ts';
import { internal, isRefusal, toStatus } from './status.ts';

/** What a handler answers when nobody listens any more. */
export const GONE = Symbol('the caller is gone');

export const malformed: Refusal = invalidField('request', 'is not a valid protobuf message of this method');

/** A wait ends so long before the caller's deadline that its answer still arrives. */
const ANSWER_MS = 100;

/** When a call's time is up: by the wall clock, as grpc-js counts it. */
export class Deadline {
  readonly atMs: number;
  readonly #clock: Clock;

  private constructor(atMs: number, clock: Clock) {
    this.atMs = atMs;
    this.#clock = clock;
  }

  static of(call: { getDeadline(): Date | number }, clock: Clock): Deadline {
    const deadline = call.getDeadline();
    const atMs = typeof deadline === 'number' ? deadline : deadline.getTime();
    return atMs === Infinity ? NEVER : new Deadline(atMs, clock);
  }

  /** One for all that have none. */
  static never(clock: Clock): Deadline {
    return new Deadline(Infinity, clock);
  }

  /** Milliseconds; Infinity without one. */
  leftMs(): number {
    // Most calls of a benchmark have none: no need to read the clock for them.
    return this.atMs === Infinity ? Infinity : this.atMs - this.#clock.wallMicros() / 1000;
  }

  passed(): boolean {
    return this.leftMs() <= 0;
  }

  /** A wait that was asked for stays at least a millisecond: none at all would mean something else. */
  cut(ask: AcquireAsk): AcquireAsk {
    if (ask.waitMs === 0 || this.atMs === Infinity) return ask;
    const mostMs = Math.max(1, this.leftMs() - ANSWER_MS);
    return ask.waitMs <= mostMs ? ask : { ...ask, waitMs: mostMs };
  }

  /**
   * Calls `look` when it may have passed. Timers are early by a fraction and clocks are set back: a look that finds
   * it has not, asks again.
   */
  after(look: () => void): Timer | undefined {
    const leftMs = this.leftMs();
    if (leftMs === Infinity) return undefined;
    return this.#clock.after(Math.max(1, Math.ceil(leftMs)), look);
  }
}

const NEVER = Deadline.never(systemClock);

/** What is asked of a unary call of grpc-js. */
interface CancellableCall {
  readonly cancelled: boolean;
  getDeadline(): Date | number;
  on(event: 'cancelled', act: () => void): unknown;
  off(event: 'cancelled', act: () => void): unknown;
}

/** The caller of one unary call. */
export class UnaryCaller implements Caller {
  readonly visit: Visit;
  readonly deadline: Deadline;
  readonly #call: CancellableCall;
  readonly #clock: Clock;
  readonly #flights: Flights;

  constructor(call: CancellableCall, visit: Visit, clock: Clock, flights: Flights) {
    this.#call = call;
    this.visit = visit;
    this.#clock = clock;
    this.#flights = flights;
    this.deadline = Deadline.of(call, clock);
  }

  get principal(): string {
    return this.visit.principal;
  }

  get seal(): string {
    return this.visit.seal;
  }

  gone(): boolean {
    return this.#call.cancelled || this.#flights.cutOff || this.deadline.passed();
  }

  /** The call may be told of its end in three ways, and after it was answered, too: only the first one counts. */
  whenGone(act: () => void): () => void {
    let timer: Timer | undefined;
    const stop = (): void => {
      timer?.cancel();
      this.#call.off('cancelled', leave);
      this.#flights.forget(cut);
    };
    const leave = (): void => {
      stop();
      act();
    };
    const arm = (): void => {
      // By a timer even for one who has left: the asker does not have the way back yet.
      timer = this.gone() ? this.#clock.after(0, look) : this.deadline.after(look);
    };
    const look = (): void => (this.gone() ? leave() : arm());
    const cut: Cuttable = { onCut: leave };
    this.#flights.whenCut(cut);
    this.#call.on('cancelled', leave);
    arm();
    return stop;
  }
}

export interface Cuttable {
  onCut(): void;
}

/** Counts the handlers at work, so that a drain can wait for the last one. */
export class Flights {
  #cutOff = false;
  readonly #toCut = new Set<Cuttable>();
  #aloft = 0;
  #waiting: (() => void)[] = [];

  /** Every connection was closed by force: calls learn of it one by one, and a grant must not slip in between. */
  get cutOff(): boolean {
    return this.#cutOff;
  }

  cut(): void {
    this.#cutOff = true;
    // Whoever is told may take back what another asked for.
    for (const one of this.#toCut) {
      this.#toCut.delete(one);
      one.onCut();
    }
  }

  /** Tells `one` at the cut, until `forget`. */
  whenCut(one: Cuttable): void {
    this.#toCut.add(one);
  }

  forget(one: Cuttable): void {
    this.#toCut.delete(one);
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
  readonly visits: Pick<Visits, 'of'>;
  /** Where the cause of an INTERNAL goes; the client never sees it. */
  onDefect(method: string, cause: unknown): void;
}

type Answer<Response> = Response | Refusal | typeof GONE;

/** A unary handler of grpc-js around `answer`, which may throw, reject, refuse or find its caller gone. */
export function unary<Request extends object, Response extends object>(
  wrapping: Wrapping,
  answer: (request: Request, caller: UnaryCaller) => Answer<Response> | Promise<Answer<Response>>,
): handleUnaryCall<Request, Response> {
  const { clock, flights, visits, onDefect } = wrapping;
  return async (call, callback) => {
    flights.enter();
    try {
      const visit = visits.of(call);
      const caller = new UnaryCaller(call, visit, clock, flights);
      const over = visit.pace(call);
      if (over !== undefined) {
        callback(toStatus(over));
        return;
      }
      const isMalformed = call.request === MALFORMED;
      if (isMalformed) visit.turnedAway(actionOf(call.getPath()), malformed);
      const said = isMalformed ? malformed : await answer(call.request, caller);
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
  return caller.deadline.passed()
    ? { code: status.DEADLINE_EXCEEDED, details: 'Deadline exceeded', metadata: new Metadata() }
    : { code: status.CANCELLED, details: 'Cancelled by the caller', metadata: new Metadata() };
}
