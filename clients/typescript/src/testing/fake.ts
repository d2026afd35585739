/** A fake Holdfast for tests: one process, no Redis, a clock that the test moves, and every mishap at its word. */
import { createHash, randomBytes } from 'node:crypto';
import type { Span } from '../durations.ts';
import { spanMs } from '../durations.ts';
import { Holdfast, type HoldfastOptions } from '../holdfast.ts';
import type { Names } from '../options.ts';
import { isRefusal } from './calls.ts';
import { ManualClock } from './clock.ts';
import { type Call, Desk, type OrderedRefusal } from './desk.ts';
import { Locks } from './locks.ts';
import type { AcquireAsk, Asker, Holder, Keeper, Lease, Mode, Waiter } from './model.ts';
import { isReason, type LostWhy, type Reason } from './refusals.ts';
import { leaseIdFrom, type TtlRange } from './rules.ts';
import { Door } from './server.ts';
import { Settling } from './settling.ts';

export interface FakeOptions {
  /** Shared with others; one of its own unless given. */
  readonly clock?: ManualClock;
  /** A unix socket to listen on; a free port of this machine unless given. */
  readonly path?: string;
  /** What ttls the fake grants: 100 ms to 60 s, 30 s where none is asked for, as the service does. */
  readonly minTtl?: Span;
  readonly maxTtl?: Span;
  readonly defaultTtl?: Span;
}

/** Somebody else, whom the test plays. */
export interface Somebody {
  /** `somebody` unless set. */
  readonly owner?: string;
  readonly mode?: Mode;
  readonly priority?: number;
  readonly labels?: Readonly<Record<string, string>>;
}

export interface Ending {
  /** `forced` unless set. */
  readonly reason?: LostWhy;
  /** For people; also the reason in the history. */
  readonly detail?: string;
}

const DRAIN_MS = 20_000;
const NOBODY: Keeper = { renewed: () => {}, lost: () => {}, yieldRequested: () => {} };

function newId(): { leaseId: string; leaseRef: string } {
  const leaseId = leaseIdFrom(randomBytes(16).toString('base64url'));
  return { leaseId, leaseRef: createHash('sha256').update(leaseId).digest('base64url').slice(0, 16) };
}

function rangeOf({ minTtl = 100, maxTtl = 60_000, defaultTtl = 30_000 }: FakeOptions): TtlRange {
  return {
    minTtlMs: spanMs('minTtl', minTtl),
    maxTtlMs: spanMs('maxTtl', maxTtl),
    defaultTtlMs: spanMs('defaultTtl', defaultTtl),
  };
}

/**
 * Every control resolves when the clients that `client()` made know of it: after `await fake.lose('gpu/0')` the lease's
 * `signal` is aborted.
 */
export class FakeHoldfast implements AsyncDisposable {
  readonly clock: ManualClock;
  /** `host:port` or `unix:/path`, for clients of other processes and languages, too. */
  readonly address: string;
  readonly #desk: Desk;
  readonly #door: Door;
  readonly #settling: Settling;
  readonly #clients: Holdfast[] = [];
  readonly #follower = (): Promise<void> => this.#settling.settle();
  #stopped: Promise<void> | undefined;

  private constructor(clock: ManualClock, desk: Desk, door: Door, settling: Settling) {
    this.clock = clock;
    this.address = door.address;
    this.#desk = desk;
    this.#door = door;
    this.#settling = settling;
    clock.followers.add(this.#follower);
  }

  /** Listens, and is ready. */
  static async start(options: FakeOptions = {}): Promise<FakeHoldfast> {
    const range = rangeOf(options);
    const clock = options.clock ?? new ManualClock();
    let settling: Settling | undefined;
    const onChange = (): void => settling?.changed();
    const locks = new Locks({ time: clock, newId, onChange });
    const desk = new Desk(locks, range, () => clock.nowMs(), onChange);
    settling = new Settling(desk, clock);
    return new FakeHoldfast(clock, desk, await Door.open(desk, options.path), settling);
  }

  /** A client of this fake, on its clock; closed by `stop`. */
  client(options: HoldfastOptions = {}): Holdfast {
    const client = this.#settling.add((clock) => new Holdfast({ address: this.address, ...options }, clock));
    this.#clients.push(client);
    return client;
  }

  /** What was asked so far, oldest first. */
  get calls(): readonly Call[] {
    return this.#desk.calls;
  }

  /** Who holds `name`, shared leases in the order of their grants. */
  holders(name: string): readonly Holder[] {
    const seen = this.#desk.locks.inspect(name);
    return isRefusal(seen) ? [] : seen.holders;
  }

  /** Who waits for `name`, the next to be served first. */
  waiters(name: string): readonly Waiter[] {
    const seen = this.#desk.locks.inspect(name);
    return isRefusal(seen) ? [] : seen.waiters;
  }

  /** Resolves once `condition` holds; looks whenever something was asked or has changed. */
  until(condition: () => boolean): Promise<void> {
    return this.#settling.until(condition);
  }

  /** Somebody else holds it, and keeps it until `free`. Throws if it cannot be had. */
  async hold(names: Names, somebody: Somebody = {}): Promise<Lease> {
    let granted: Lease | undefined;
    const asker = this.#asker((lease) => {
      granted = lease;
    });
    this.#desk.locks.acquire(this.#ask(names, somebody, 0), asker);
    await this.#settling.settle();
    if (granted === undefined) throw new Error(`${String(names)} is not free`);
    return granted;
  }

  /** Somebody else stands in line for it, and keeps it once it is granted, until `free`. */
  async queue(names: Names, somebody: Somebody = {}): Promise<void> {
    const asker = this.#asker(() => {});
    this.#desk.locks.acquire(this.#ask(names, somebody, Number.POSITIVE_INFINITY), asker);
    await this.#settling.settle();
  }

  /** Whoever holds it has released it. */
  async free(name: string): Promise<void> {
    await this.#end(name, 'released', 'it was released by its lease_id');
  }

  /** Its lease ends under its holder, who is told why. Throws if nobody holds it. */
  async lose(
    name: string,
    { reason = 'forced', detail = 'the test has ended it' }: Ending = {},
  ): Promise<void> {
    if (this.holders(name).length === 0) throw new Error(`nobody holds ${name}`);
    await this.#end(name, reason, detail);
  }

  /** Its lease was not renewed in time: `lose` with the reason `expired`. */
  async expire(name: string): Promise<void> {
    await this.lose(name, { reason: 'expired', detail: 'it was not renewed in time' });
  }

  /** Somebody asks the holder to yield (`onYieldRequest`). */
  async askToYield(name: string, { owner = 'somebody', priority = 9 }: Somebody = {}): Promise<void> {
    this.#desk.locks.askToYield(name, { owner, priority, waitedMs: 5000 });
    await this.#settling.settle();
  }

  /** The next acquires (or `on` something else) fail with this reason, `times` times. */
  refuse(reason: Reason, options: OrderedRefusal = {}): void {
    if (!isReason(reason)) throw new Error(`${reason} is no reason of the service`);
    this.#desk.refuse(reason, options);
  }

  /** Nothing is refused any more. */
  allow(): void {
    this.#desk.allow();
  }

  /** The service goes silent: it neither answers nor renews, and what is asked waits, until `goOn`. */
  stall(): void {
    this.#desk.stall();
  }

  async goOn(): Promise<void> {
    this.#desk.goOn();
    await this.#settling.settle();
  }

  /**
   * The replica shuts down, and another one takes its place at the same address: clients resume their leases there.
   * With `forGood` there is no other one, and every new stream is refused with DRAINING.
   */
  async drain({ forGood = false }: { readonly forGood?: boolean } = {}): Promise<void> {
    const begin = (): void => {
      const streams = [...this.#desk.streams];
      this.#desk.drained = forGood;
      for (const stream of streams) stream.drain(DRAIN_MS);
      this.#desk.locks.drainWaits();
      this.clock.after(DRAIN_MS, () => {
        for (const stream of streams) stream.endDrained();
      });
    };
    await this.#settling.noticed(begin);
    await this.#settling.settle();
  }

  /** Drops all connections. Clients come back at once, unless they shall stay away until `reconnect`. */
  async disconnect({ stay = false }: { readonly stay?: boolean } = {}): Promise<void> {
    const stood = this.#desk.streams.size > 0;
    await this.#settling.noticed(() => {
      this.#desk.unreachable = true;
      this.#door.cut();
    });
    await this.#settling.until(() => this.#desk.streams.size === 0);
    this.#desk.unreachable = stay;
    if (stood && !stay) await this.#settling.comeBack();
  }

  /** After `disconnect({ stay: true })`: the service can be reached again. */
  async reconnect(): Promise<void> {
    this.#desk.unreachable = false;
    await this.#settling.comeBack();
  }

  /** Closes its clients and the server. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(): Promise<void> {
    this.clock.followers.delete(this.#follower);
    this.#desk.goOn();
    await Promise.all(this.#clients.map((client) => client.close()));
    await this.#door.close();
  }

  async #end(name: string, why: LostWhy, detail: string): Promise<void> {
    this.#desk.locks.lose(name, why, detail);
    await this.#settling.settle();
  }

  #asker(granted: (lease: Lease) => void): Asker {
    const { locks } = this.#desk;
    return {
      granted: (lease) => {
        locks.keep(lease.leaseId, NOBODY);
        granted(lease);
      },
      busy: () => {},
      refused: ({ message }) => {
        throw new Error(message);
      },
      queued: () => {},
    };
  }

  #ask(names: Names, somebody: Somebody, waitMs: number): AcquireAsk {
    const { owner = 'somebody', mode = 'exclusive', priority = 0, labels = {} } = somebody;
    const resources = typeof names === 'string' ? [names] : [...names];
    const ttlMs = this.#desk.range.defaultTtlMs;
    return { resources, owner, mode, priority, labels, ttlMs, waitMs, any: 0, requestId: '' };
  }
}
