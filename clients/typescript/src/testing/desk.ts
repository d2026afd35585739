/** What every call and stream of the fake shares: its locks, what a test has ordered, and what was asked. */

import type { Locks } from './locks.ts';
import type { AcquireAsk } from './model.ts';
import { draining, ordered, type Reason, type Refusal, type RefusalMore } from './refusals.ts';
import type { TtlRange } from './rules.ts';

export type CallName =
  | 'acquire'
  | 'heartbeat'
  | 'release'
  | 'resume'
  | 'check_token'
  | 'inspect'
  | 'list'
  | 'force_release'
  | 'status';

/** One thing that was asked of the fake. Which fields are set depends on what it was. */
export interface Call extends Partial<Omit<AcquireAsk, 'resources' | 'owner'>> {
  readonly name: CallName;
  /** By the fake's clock. */
  readonly atMs: number;
  readonly resources: readonly string[];
  /** Whose: empty where the request does not say. */
  readonly owner: string;
  /** Of `release` and `force_release`. */
  readonly reason?: string;
  /** Of `heartbeat`. */
  readonly progress?: string;
}

export interface OrderedRefusal extends RefusalMore {
  readonly message?: string;
  /** How many are refused: 1 unless set. */
  readonly times?: number;
  /** Which calls: `acquire` unless set. */
  readonly on?: CallName;
}

/** A stream that stands. */
export interface Standing {
  /** By number, the client of the fake's own whose Session it is; 0 where that is not known. */
  readonly client: number;
  /** It keeps leases, or waits for some. */
  readonly busy: boolean;
  /** Another replica takes its leases from now on. */
  drain(remainingMs: number): void;
  /** The time of the drain is up. */
  endDrained(): void;
}

interface Order {
  readonly on: CallName;
  readonly refusal: Refusal;
  left: number;
}

/**
 * Asked for by the fake's own clients, each with its number, to know that all that was sent before has arrived: neither
 * logged nor refused.
 */
export const ECHO = 'fake/echo/';

export class Desk {
  readonly locks: Locks;
  readonly range: TtlRange;
  readonly streams = new Set<Standing>();
  calls: Call[] = [];
  /** New acquires, resumes and streams are refused with DRAINING. */
  drained = false;
  /** Nothing is reachable: every call ends with UNAVAILABLE, as from a transport. */
  unreachable = false;
  /** Changes with everything that was asked or told. */
  pulse = 0;
  readonly #nowMs: () => number;
  readonly #onPulse: () => void;
  #orders: Order[] = [];
  #stalled: (() => void)[] | undefined;

  constructor(locks: Locks, range: TtlRange, nowMs: () => number, onPulse: () => void) {
    this.locks = locks;
    this.range = range;
    this.#nowMs = nowMs;
    this.#onPulse = onPulse;
  }

  beat(): void {
    this.pulse += 1;
    this.#onPulse();
  }

  get stalled(): boolean {
    return this.#stalled !== undefined;
  }

  leave(stream: Standing): void {
    if (this.streams.delete(stream)) this.beat();
  }

  log(name: CallName, facts: Partial<Call> = {}): void {
    this.calls.push({ resources: [], owner: '', ...facts, name, atMs: this.#nowMs() });
    this.beat();
  }

  /** Why this call fails, if a test has ordered so, or because of a drain. */
  refusal(name: CallName): Refusal | undefined {
    if (this.drained && (name === 'acquire' || name === 'resume')) return draining;
    const order = this.#orders.find(({ on, left }) => on === name && left > 0);
    if (order !== undefined) order.left -= 1;
    return order?.refusal;
  }

  refuse(reason: Reason, { times = 1, on = 'acquire', ...more }: OrderedRefusal): void {
    this.#orders = this.#orders.filter(({ left }) => left > 0);
    this.#orders.push({ on, refusal: ordered(reason, more), left: times });
  }

  allow(): void {
    this.#orders = [];
  }

  /** Runs `act` now, or once the service goes on. */
  pass(act: () => void): void {
    if (this.#stalled === undefined) act();
    else this.#stalled.push(act);
  }

  stall(): void {
    this.#stalled ??= [];
    this.locks.renews = false;
  }

  goOn(): void {
    const acts = this.#stalled ?? [];
    this.#stalled = undefined;
    this.locks.renews = true;
    for (const act of acts) act();
  }
}
