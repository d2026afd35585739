/** Clients of one lock that count turns: who was served when, and whether two ever held it at once. */
import type { Lease } from '../../src/domain/lease.ts';
import type { Refusal } from '../../src/domain/refusals.ts';
import type { AcquireAsk, Busy, Caller } from '../../src/locks/locks.ts';
import { type Clock, systemClock, type Timer } from '../../src/std/clock.ts';
import { stays } from './asking.ts';
import { type Desk, granted } from './desk.ts';
import type { RpcClient } from './rpc-client.ts';

/** Longer than any test: whoever is answered Busy was forgotten. */
export const FOREVER_MS = 50_000;

/** Time as it is, but what is due only after `limitMs` never comes: no probes, no sweeps, no looks. */
export function withoutTimersOf(limitMs: number): Clock {
  const never: Timer = { cancel: () => {} };
  return {
    ...systemClock,
    after: (delayMs, act) => (delayMs < limitMs ? systemClock.after(delayMs, act) : never),
  };
}

/** What all clients of one lock saw, in the order of this process. */
export class Turns {
  /** Owners in the order of their grants. */
  readonly order: string[] = [];
  /** Everything that may not be: overlaps, tokens that do not grow, refusals, releases of nothing. */
  readonly faults: string[] = [];
  #holder = '';
  #token = 0n;
  #watching: { readonly count: number; readonly act: () => void }[] = [];

  /** A hold begins when its client hears of it. */
  begin(owner: string, token: bigint): void {
    if (this.#holder !== '') this.faults.push(`${owner} got it while ${this.#holder} held it`);
    if (token <= this.#token) this.faults.push(`${owner} got ${token}, which is not above ${this.#token}`);
    this.#holder = owner;
    this.#token = token;
    this.order.push(owner);
    for (const { act } of this.#watching.filter(({ count }) => count === this.order.length)) act();
  }

  /** And ends when its client lets go, before any node knows. */
  end(owner: string): void {
    if (this.#holder === owner) this.#holder = '';
  }

  /** Resolves in the moment of the grant number `count`, counted from 1. */
  reached(count: number): Promise<void> {
    if (this.order.length >= count) return Promise.resolve();
    return new Promise((resolve) => this.#watching.push({ count, act: resolve }));
  }

  /** Waits, holds while `during` runs, lets go. */
  async take(
    desk: Desk,
    ask: Partial<AcquireAsk> & { readonly owner: string; readonly resources: readonly string[] },
    during: (lease: Lease) => unknown = () => {},
    caller: Caller = stays,
  ): Promise<void> {
    const { owner, resources } = ask;
    const answer = await desk.acquire(resources, { ttlMs: 10_000, waitMs: FOREVER_MS, ...ask }, caller);
    if (!granted(answer)) {
      this.faults.push(`${owner} was not served: ${told(answer)}`);
      return;
    }
    this.begin(owner, answer.token);
    await during(answer);
    this.end(owner);
    if (!(await desk.release(answer))) this.faults.push(`${owner} could not release`);
  }
}

/** One turn of an owner at some replica: waits, holds while `during` runs, lets go. */
export type Seat = (turns: Turns, owner: string, resource: string, during?: () => unknown) => Promise<void>;

export function seatAt(desk: Desk): Seat {
  return (turns, owner, resource, during) =>
    turns.take(desk, { owner, resources: [resource], ttlMs: 20_000 }, during);
}

/** The same through gRPC. */
export function seatThrough(client: RpcClient): Seat {
  return async (turns, owner, resource, during = () => {}) => {
    const lease = await client.lock(resource, { owner, wait: { seconds: FOREVER_MS / 1000 } });
    turns.begin(owner, BigInt(lease.fencing_token));
    await during();
    turns.end(owner);
    if (!(await client.release(lease.lease_id))) turns.faults.push(`${owner} could not release`);
  };
}

export function told(answer: Lease | Busy | Refusal): string {
  return JSON.stringify(answer, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
}

/** Something that many wait for and one opens. */
export class Gate {
  readonly opened: Promise<void>;
  #open: () => void = () => {};

  constructor() {
    this.opened = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  open(): void {
    this.#open();
  }
}
