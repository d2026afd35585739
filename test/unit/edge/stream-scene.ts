/** A stream handler in front of locks that do as the test says; the call of grpc-js is played by the test. */
import { EventEmitter } from 'node:events';
import { anybody } from '../../../src/domain/access.ts';
import { silentProbe } from '../../../src/domain/probe.ts';
import { CALLER } from '../../../src/edge/access/identity-of.ts';
import { Visits } from '../../../src/edge/access/visit.ts';
import { type Cuttable, Flights } from '../../../src/edge/calls.ts';
import { loadContract } from '../../../src/edge/protos.ts';
import type { WireStatus } from '../../../src/edge/status.ts';
import { type StreamContext, Streams } from '../../../src/edge/streams.ts';
import { ManualClock } from '../../../src/std/clock.ts';
import { FakeLocks, settings } from './fake-locks.ts';
import { type DecodedStatus, decodeStatus } from './rpc-status.ts';

export const contract = loadContract();

type Method = (typeof contract.locks)['Hold' | 'Session'];

/** As a handler really gets it. */
export const received = (method: Method, request: object): never =>
  method.requestDeserialize(method.requestSerialize(request as never)) as never;

export class FakeStream extends EventEmitter {
  readonly request: unknown;
  /** What a client would read, in order. */
  readonly said: Record<string, unknown>[] = [];
  /** `OK`, or what was emitted as the error. */
  status: 'OK' | WireStatus | undefined;
  /** Whether the client takes what is written. */
  takes = true;
  destroyed = false;
  paused = false;
  /** As the interceptor leaves it where nobody is asked who calls. */
  readonly call = { [CALLER]: { identity: anybody, peer: '' } };
  readonly #method: Method;
  readonly #deadlineMs: number;
  #untaken: (() => void)[] = [];

  constructor(method: Method, request?: object, deadlineMs = Infinity) {
    super();
    this.#method = method;
    this.request = request;
    this.#deadlineMs = deadlineMs;
    // As grpc-js does: whatever is emitted becomes the status.
    this.on('error', (status: WireStatus) => {
      this.status ??= status;
    });
  }

  get refusal(): DecodedStatus {
    if (this.status === undefined || this.status === 'OK') throw new Error(`it ended with ${this.status}`);
    return decodeStatus(this.status.metadata);
  }

  /** Reasons of refusals; `OK`; or that it still stands. */
  get outcome(): string {
    if (this.status === undefined) return 'open';
    return this.status === 'OK' ? 'OK' : (this.refusal.details.ErrorInfo?.reason ?? '');
  }

  write(message: object, done: (error?: Error) => void): boolean {
    if (this.status !== undefined || this.destroyed) throw new Error('written after the end');
    this.said.push(
      this.#method.responseDeserialize(this.#method.responseSerialize(message as never)) as never,
    );
    if (this.takes) queueMicrotask(done);
    else this.#untaken.push(done);
    return true;
  }

  /** The client takes all that it has not. */
  take(): void {
    for (const done of this.#untaken.splice(0)) done();
  }

  end(): void {
    this.status ??= 'OK';
  }

  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    queueMicrotask(() => this.emit('close'));
  }

  /** The client went, in whatever way: what grpc-js then does. */
  leave(): void {
    this.emit('cancelled', 'cancelled');
    this.destroy();
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  getDeadline(): number {
    return this.#deadlineMs;
  }

  getPeer(): string {
    return 'peer:1';
  }

  getPath(): string {
    return this.#method.path;
  }

  /** Listeners that a handler left behind; one is ours. */
  get handlers(): number {
    return ['cancelled', 'close', 'error', 'data', 'end', 'drain'].reduce(
      (sum, event) => sum + this.listenerCount(event),
      -1,
    );
  }
}

/** What was due is done, and what that made due at the end of the turn. */
export const turn = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(() => setImmediate(resolve));
  });

class CountedFlights extends Flights {
  readonly #listening = new Set<Cuttable>();

  /** How many still listen for a cut. */
  get listening(): number {
    return this.#listening.size;
  }

  override whenCut(one: Cuttable): void {
    this.#listening.add(one);
    super.whenCut(one);
  }

  override forget(one: Cuttable): void {
    this.#listening.delete(one);
    super.forget(one);
  }
}

export class StreamScene {
  readonly clock = new ManualClock();
  readonly flights = new CountedFlights();
  readonly streams = new Streams();
  readonly locks = new FakeLocks();
  readonly defects: unknown[] = [];
  readonly operations: string[] = [];
  /** What the connection says of the end of a stream; undefined: nobody knows the connection. */
  ended: 'closed' | 'silent' | undefined = 'closed';
  draining = false;
  /** Timers that are armed. */
  timers = 0;

  readonly context: StreamContext = {
    clock: {
      monotonicMs: () => this.clock.monotonicMs(),
      wallMicros: () => this.clock.wallMicros(),
      after: (delayMs, act) => {
        this.timers += 1;
        let armed = true;
        const disarm = (): void => {
          if (armed) this.timers -= 1;
          armed = false;
        };
        const timer = this.clock.after(delayMs, () => {
          disarm();
          act();
        });
        return {
          cancel: () => {
            disarm();
            timer.cancel();
          },
        };
      },
    },
    flights: this.flights,
    streams: this.streams,
    visits: new Visits({ locks: this.locks, settings, probe: silentProbe, clock: this.clock }),
    probe: {
      ...silentProbe,
      operation: (name, outcome, _tookMs, reason = '') =>
        this.operations.push(`${name} ${outcome} ${reason}`),
    },
    connections: {
      of: () => {
        const { ended } = this;
        return ended === undefined ? undefined : { endOf: () => this.ended ?? 'silent' };
      },
    },
    draining: () => this.draining,
    onDefect: (_method, cause) => this.defects.push(cause),
  };

  deadlineIn(ms: number): number {
    return this.clock.wallMicros() / 1000 + ms;
  }

  /** What an ended stream left behind. */
  leftovers(stream: FakeStream): Record<string, number> {
    return {
      listeners: stream.handlers,
      timers: this.timers,
      standing: this.streams.count('hold') + this.streams.count('session'),
      cuts: this.flights.listening,
    };
  }
}

/** After everything a stream had to leave behind. */
export const NOTHING = { listeners: 0, timers: 0, standing: 0, cuts: 0 };
