/**
 * What one identity uses at this replica, held against its quota. Counts belong to the identity and limits to the
 * access file: a reload changes the limits, and the counts stay.
 *
 * The rate is a token bucket of our own: rate-limiter-flexible answers by a promise and counts in windows of its own
 * timers, and this is asked before every operation, in the tick that begins it.
 */
import type { Quota, QuotaName } from '../../domain/access.ts';
import { type Refusal, refuse } from '../../domain/refusals.ts';
import type { Token } from '../../domain/token.ts';
import type { AcquireAsk } from '../../locks/locks.ts';
import type { Clock } from '../../std/clock.ts';
import { Telling } from './acts.ts';

/** When trying again may make sense, where nothing tells. */
const AGAIN_MS = 1000;

function exceeded(quota: QuotaName, limit: string, message: string, retryAfterMs = AGAIN_MS): Refusal {
  return refuse('QUOTA', message, { metadata: { quota, limit }, retryAfterMs });
}

/** Whether one more operation is within the rate; a second's worth may come at once. */
class Bucket {
  readonly #clock: Clock;
  /** Not yet spent, as of the last look; undefined: full. */
  #left: number | undefined;
  #lookedMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Takes one and is 0, or takes none and is how long until there is one, in milliseconds. */
  take(perSecond: number): number {
    const most = Math.max(1, perSecond);
    const nowMs = this.#clock.monotonicMs();
    const grown = ((nowMs - this.#lookedMs) * perSecond) / 1000;
    const left = this.#left === undefined ? most : Math.min(most, this.#left + grown);
    this.#lookedMs = nowMs;
    this.#left = left < 1 ? left : left - 1;
    return left < 1 ? ((1 - left) * 1000) / perSecond : 0;
  }
}

/** What an acquire takes of the account before anybody knows whether it is granted. */
export interface Claimed {
  readonly waits: boolean;
  /** The request, for whoever asks again with the same one; empty: nobody can. */
  readonly request: string;
}

/** Of the request as the nodes scope its id. */
export function claimOf({ owner, requestId, waitMs }: AcquireAsk): Claimed {
  return { waits: waitMs > 0, request: requestId === '' ? '' : `${owner}\n${requestId}` };
}

interface Counted {
  /** By our monotonic clock. */
  readonly untilMs: number;
  readonly request: string;
}

export class Account {
  /** Of refusals. */
  readonly telling: Telling;
  readonly #clock: Clock;
  readonly #bucket: Bucket;
  /** Leases that are thought to stand, by value. */
  readonly #leases = new Map<string, Counted>();
  /** No lease of them is over before that. */
  #firstEndMs = Infinity;
  #asked = 0;
  #waiting = 0;
  #streams = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#bucket = new Bucket(clock);
    this.telling = new Telling(clock);
  }

  /** Nothing of it is in use, so that it may be forgotten; but for the rate, which is full again in a second. */
  get idle(): boolean {
    this.#sweep();
    return this.#leases.size + this.#asked + this.#waiting + this.#streams === 0;
  }

  get leases(): number {
    return this.#leases.size;
  }

  rate({ ratePerSecond }: Quota): Refusal | undefined {
    if (ratePerSecond === undefined) return undefined;
    const againMs = this.#bucket.take(ratePerSecond);
    if (againMs === 0) return undefined;
    const limit = String(ratePerSecond);
    return exceeded('rate', limit, `more than ${limit} operations in a second`, Math.ceil(againMs));
  }

  /**
   * Room for a lease that is asked for, kept until `leave`: whoever waits has it as well, so that no grant has to be
   * taken back for want of it. Who asks for what is counted already, by its value or its request, needs none.
   */
  enter(quota: Quota, claimed: Claimed, value = ''): Refusal | undefined {
    const { leases = Infinity, waiters = Infinity } = quota;
    if (this.#leases.size + this.#asked >= leases) this.#sweep();
    if (this.#leases.size + this.#asked >= leases && !this.#counts(value, claimed.request)) {
      return exceeded('leases', String(leases), `${leases} leases are held or asked for at this replica`);
    }
    if (claimed.waits && this.#waiting >= waiters) {
      return exceeded('waiters', String(waiters), `${waiters} acquires wait at this replica`);
    }
    this.#asked += 1;
    if (claimed.waits) this.#waiting += 1;
    return undefined;
  }

  leave(claimed: Claimed): void {
    this.#asked -= 1;
    if (claimed.waits) this.#waiting -= 1;
  }

  /** Granted or renewed for so long. Nothing is remembered where no limit could ask for it. */
  keep(quota: Quota, value: string, forMs: number, request = ''): void {
    if (quota.leases === undefined) return;
    const untilMs = this.#clock.monotonicMs() + forMs;
    this.#leases.set(value, { untilMs, request: request || (this.#leases.get(value)?.request ?? '') });
    this.#firstEndMs = Math.min(this.#firstEndMs, untilMs);
  }

  drop(value: string): void {
    this.#leases.delete(value);
  }

  enterStream({ streams = Infinity }: Quota): Refusal | undefined {
    if (this.#streams >= streams) {
      return exceeded('streams', String(streams), `${streams} streams stand at this replica`);
    }
    this.#streams += 1;
    return undefined;
  }

  leaveStream(): void {
    this.#streams -= 1;
  }

  /** A walk only for who asks again while the quota is used up. */
  #counts(value: string, request: string): boolean {
    if (this.#leases.has(value)) return true;
    return request !== '' && [...this.#leases.values()].some((counted) => counted.request === request);
  }

  /** Walks only when one of them may be over. */
  #sweep(): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs < this.#firstEndMs) return;
    this.#firstEndMs = Infinity;
    for (const [value, { untilMs }] of this.#leases) {
      if (untilMs <= nowMs) this.#leases.delete(value);
      else this.#firstEndMs = Math.min(this.#firstEndMs, untilMs);
    }
  }
}

/** Whether a ttl is within the longest that the identity may ask for, and within its longest hold. */
export function ttlRefusal({ maxTtlMs, maxHoldMs }: Quota, ttlMs: number): Refusal | undefined {
  if (maxTtlMs !== undefined && ttlMs > maxTtlMs) {
    return exceeded('max_ttl', `${maxTtlMs}ms`, `a ttl of ${ttlMs}ms is above the longest, ${maxTtlMs}ms`);
  }
  if (maxHoldMs !== undefined && ttlMs > maxHoldMs) return beyondHold(maxHoldMs, AGAIN_MS);
  return undefined;
}

/** A token is the microsecond of its grant, to within the second by which it may be ahead of its clock. */
export function holdLeftMs(maxHoldMs: number, token: Token, clock: Clock): number {
  return (Number(token) - clock.wallMicros()) / 1000 + maxHoldMs;
}

/** Whether a lease may be renewed for `ttlMs` from now. */
export function holdRefusal(
  { maxHoldMs }: Quota,
  token: Token,
  ttlMs: number,
  clock: Clock,
): Refusal | undefined {
  if (maxHoldMs === undefined) return undefined;
  const leftMs = holdLeftMs(maxHoldMs, token, clock);
  return ttlMs <= leftMs ? undefined : beyondHold(maxHoldMs, Math.max(AGAIN_MS, leftMs));
}

function beyondHold(maxHoldMs: number, retryAfterMs: number): Refusal {
  const message = `it would be held for longer than ${maxHoldMs}ms, the longest hold`;
  return exceeded('max_hold', `${maxHoldMs}ms`, message, retryAfterMs);
}

const ACCOUNTS_SWEPT = 1024;

/** One account for each identity that has been seen, by tenant and name, for as long as it uses anything. */
export class Accounts {
  readonly #clock: Clock;
  readonly #accounts = new Map<string, Account>();
  #sweepAt = ACCOUNTS_SWEPT;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#accounts.size;
  }

  of(key: string): Account {
    const known = this.#accounts.get(key);
    if (known !== undefined) return known;
    if (this.#accounts.size >= this.#sweepAt) this.#sweep();
    const account = new Account(this.#clock);
    this.#accounts.set(key, account);
    return account;
  }

  /** When there are twice as many as were in use at the last walk. */
  #sweep(): void {
    for (const [key, account] of this.#accounts) if (account.idle) this.#accounts.delete(key);
    this.#sweepAt = Math.max(ACCOUNTS_SWEPT, 2 * this.#accounts.size);
  }
}
