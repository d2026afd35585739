/** The client: one connection and one Session for all the locks of a process. */
import { type ChannelCredentials, credentials as grpcCredentials } from '@grpc/grpc-js';
import { type Clock, processName, systemClock } from './clock.ts';
import { type Span, spanMs } from './durations.ts';
import { InvalidFieldError } from './errors.ts';
import type {
  CheckTokenRequest,
  CheckTokenResponseRead,
  ForceReleaseRequest,
  ForceReleaseResponseRead,
  InspectRequest,
  InspectResponseRead,
  ListRequest,
  ListResponseRead,
  StatusRequest,
  StatusResponseRead,
} from './gen/messages.ts';
import type { Lease } from './lease.ts';
import { type Make, type OnceOptions, type OnceResult, once } from './once/once.ts';
import { askOf, type Defaults, type LockOptions, type Names } from './options.ts';
import { countFault, textFault } from './rules.ts';
import { AcquireOp } from './session/acquire-op.ts';
import type { Token } from './session/bearer.ts';
import { Session } from './session/session.ts';
import { call } from './unary.ts';
import {
  type Holder,
  holderOf,
  type Inspection,
  inspectionOf,
  type LockSummary,
  type Status,
  statusOf,
  summaryOf,
  type TokenCheck,
} from './views.ts';
import { method } from './wire/codec.ts';
import { bigintToWide, wideToBigint } from './wire/wide.ts';

/** Where the service is, and what holds for all locks of this client. */
export interface HoldfastOptions {
  /** `host:port`, or `unix:/path`: `127.0.0.1:7420` unless set. */
  readonly address?: string | undefined;
  /** Several replicas of one service, tried in this order; with `address`, after it. */
  readonly addresses?: readonly string[] | undefined;
  /** For every lock that names none; else each call is an owner of its own, `HOST/PID/N`. */
  readonly owner?: string | undefined;
  /** For every lock that names none. */
  readonly ttl?: Span | undefined;
  /** How long a lease outlives a stream that ended unannounced, and how long resuming it may take: 1 s unless set. */
  readonly grace?: Span | undefined;
  /** How a connection that has gone silent is found: asked after `time` (10 s), given up after `timeout` (5 s). */
  readonly keepalive?: { readonly time?: Span | undefined; readonly timeout?: Span | undefined } | undefined;
  /** Of `@grpc/grpc-js`; plain text unless set. */
  readonly credentials?: ChannelCredentials | undefined;
  /** Who this is, where the service asks: its bearer token, or a function that has it, asked at each connection. */
  readonly token?: Token | undefined;
}

const DEFAULT_ADDRESS = '127.0.0.1:7420';
const OWNER_MAX = 256;
const HISTORY_MAX = 1000;
const PAGE_SIZE = 1000;

const INSPECT = method<InspectRequest, InspectResponseRead>('LockService', 'Inspect');
const LIST = method<ListRequest, ListResponseRead>('LockService', 'List');
const CHECK_TOKEN = method<CheckTokenRequest, CheckTokenResponseRead>('LockService', 'CheckToken');
const FORCE_RELEASE = method<ForceReleaseRequest, ForceReleaseResponseRead>('AdminService', 'ForceRelease');
const STATUS = method<StatusRequest, StatusResponseRead>('AdminService', 'Status');

function addressesOf({ address, addresses = [] }: HoldfastOptions): readonly string[] {
  const all = [...(address === undefined ? [] : [address]), ...addresses];
  all.forEach((each, at) => {
    const fault = textFault(each, 1, 1024);
    if (fault !== undefined) throw InvalidFieldError.of(`addresses[${at}]`, fault);
  });
  return all.length === 0 ? [DEFAULT_ADDRESS] : [...new Set(all)];
}

/** Never what it is. */
function tokenFault(token: string): string | undefined {
  return /^[\x21-\x7e]+$/.test(token) ? undefined : 'must be printable ASCII without spaces';
}

function must(field: string, fault: string | undefined): void {
  if (fault !== undefined) throw InvalidFieldError.of(field, fault);
}

export class Holdfast {
  readonly #session: Session;
  readonly #defaults: Defaults;

  /** Connects when first asked. Throws InvalidFieldError. */
  constructor(options: HoldfastOptions = {}, clock: Clock = systemClock) {
    const { owner, ttl, grace = 1000, keepalive = {}, credentials, token } = options;
    if (typeof token === 'string') must('token', tokenFault(token));
    if (owner !== undefined) must('owner', textFault(owner, 1, OWNER_MAX));
    if (ttl !== undefined) spanMs('ttl', ttl);
    const { time = 10_000, timeout = 5000 } = keepalive;
    this.#session = new Session({
      addresses: addressesOf(options),
      credentials: credentials ?? grpcCredentials.createInsecure(),
      token,
      graceMs: spanMs('grace', grace),
      keepalive: { timeMs: spanMs('keepalive.time', time), timeoutMs: spanMs('keepalive.timeout', timeout) },
      clock,
    });
    const prefix = processName();
    let calls = 0;
    const named = (): string => {
      calls += 1;
      return `${prefix}/${calls}`;
    };
    this.#defaults = { ttl, owner: owner === undefined ? named : () => owner };
  }

  /**
   * Takes a lease on one name or on several together, to be given back by `release`, or by a scope:
   * `await using lease = await hf.lock('gpu/0')`.
   *
   * Rejects with BusyError (held by others, or the wait is over), DeadlockError, QuotaError, NoQuorumError,
   * InvalidFieldError, DeniedError, UnavailableError, DrainingError, ClosedError, or the reason of `options.signal`.
   * A lease that could not be handed over is not left behind.
   */
  lock(names: Names, options: LockOptions = {}): Promise<Lease> {
    return this.#acquire(names, options, 0);
  }

  /** As `lock`; by its name one that the caller releases. */
  acquire(names: Names, options: LockOptions = {}): Promise<Lease> {
    return this.#acquire(names, options, 0);
  }

  /** As `lock`, waiting for as long as it takes unless `wait` says otherwise. */
  hold(names: Names, options: LockOptions = {}): Promise<Lease> {
    return this.#acquire(names, options, Number.POSITIVE_INFINITY);
  }

  /**
   * Runs `act` under the lock and releases, whatever `act` does. What it throws is thrown; if it ended well and the
   * lease was lost meanwhile, LeaseLostError is.
   */
  async withLock<T>(
    names: Names,
    act: (lease: Lease) => T | Promise<T>,
    options: LockOptions = {},
  ): Promise<T> {
    const lease = await this.#acquire(names, options, 0);
    let result: T;
    try {
      result = await act(lease);
    } catch (error) {
      // What went wrong first is what matters; the lease ends by its ttl where it cannot be released.
      await lease.release().catch(() => {});
      throw error;
    }
    await lease[Symbol.asyncDispose]();
    return result;
  }

  /**
   * Resolves once the file `path` is there: the first in line for `key` makes it with `make`, the others wait and get it;
   * one that dies or fails is succeeded, and one that was too late publishes nothing. One key for each path.
   *
   * Rejects with what `make` threw, with the errors of `hold`, or with PublishError or StaleTokenError of
   * `@holdfast/client/fencing`.
   */
  once(key: string, path: string, make: Make, options: OnceOptions = {}): Promise<OnceResult> {
    return once(this, key, path, make, options);
  }

  /**
   * One resource: who holds it, who waits, what each node says, and its past (`history`: at most 1000 events, none
   * unless set). Rejects with UnknownResourceError if no node has ever heard of it.
   */
  async inspect(name: string, { history = 0 }: { readonly history?: number } = {}): Promise<Inspection> {
    must('history_limit', countFault(history, 0, HISTORY_MAX));
    must('resource', textFault(name, 1, 256));
    return inspectionOf(await call(this.#session, INSPECT, { resource: name, history_limit: history }));
  }

  /** The resources that somebody holds or waits for, by name, page by page as they are read. Not a snapshot. */
  async *list(
    which: { readonly prefix?: string; readonly owner?: string } = {},
  ): AsyncGenerator<LockSummary> {
    const { prefix = '', owner = '' } = which;
    must('prefix', textFault(prefix, 0, 256));
    must('owner', textFault(owner, 0, OWNER_MAX));
    for (let page_token = ''; ; ) {
      const request = { prefix, owner, page_size: PAGE_SIZE, page_token };
      const { locks, next_page_token } = await call(this.#session, LIST, request);
      for (const lock of locks) yield summaryOf(lock);
      if (next_page_token === '') return;
      page_token = next_page_token;
    }
  }

  /** Whether a lease with exactly this token holds the resource: true when it was answered, and no longer. */
  async checkToken(name: string, token: bigint): Promise<TokenCheck> {
    must('resource', textFault(name, 1, 256));
    if (typeof token !== 'bigint' || token < 1n || token >= 2n ** 64n) {
      throw InvalidFieldError.of('fencing_token', 'must be a bigint within 1 and 2^64 - 1');
    }
    const request = { resource: name, fencing_token: bigintToWide(token) };
    const { current, last_token } = await call(this.#session, CHECK_TOKEN, request);
    return { current, lastToken: wideToBigint(last_token) };
  }

  /**
   * Ends somebody's lease, of `leaseRef` or all that hold the resource; the leases as they were. The holder is told and
   * not asked, and may act until it hears: the protected resource must check tokens. `reason` (1 to 512 characters)
   * goes into the history.
   */
  async forceRelease(
    name: string,
    { reason, leaseRef = '' }: { readonly reason: string; readonly leaseRef?: string },
  ): Promise<readonly Holder[]> {
    must('resource', textFault(name, 1, 256));
    must('reason', textFault(reason, 1, 512));
    must('lease_ref', textFault(leaseRef, 0, 256));
    const { freed } = await call(this.#session, FORCE_RELEASE, {
      resource: name,
      lease_ref: leaseRef,
      reason,
    });
    return freed.map(holderOf);
  }

  /** How the service and its nodes are, as the connected replica sees them. */
  async status(): Promise<Status> {
    return statusOf(await call(this.#session, STATUS, {}));
  }

  /** Ends the Session: what is still held is released, and what is still asked for fails with ClosedError. */
  close(): Promise<void> {
    return this.#session.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #acquire(names: Names, options: LockOptions, waitUnlessSetMs: number): Promise<Lease> {
    try {
      const ask = askOf(names, options, this.#defaults, waitUnlessSetMs);
      if (ask.signal?.aborted) return Promise.reject(ask.signal.reason);
      const op = new AcquireOp(this.#session, ask);
      this.#session.submit(op);
      return op.promise;
    } catch (error) {
      return Promise.reject(error);
    }
  }
}
