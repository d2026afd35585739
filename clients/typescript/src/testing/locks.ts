/** The fake's locks: who has what, who waits, and how each lease ends. No socket, and no time but that of its clock. */
import { Grant, type GrantHost } from './grant.ts';
import type {
  AcquireAsk,
  Asker,
  Busy,
  EventType,
  Holder,
  Inspection,
  Keeper,
  Lease,
  Time,
  YieldAsker,
} from './model.ts';
import { keyOf, Past } from './past.ts';
import { holdersIn, Records } from './records.ts';
import { draining, invalid, type LostWhy, type Refusal, unknownResource } from './refusals.ts';
import { Wait, Waits } from './waits.ts';

/** How a stream ended: its leases go after so many milliseconds, or stand. */
export type StreamEnd = number | 'stands';

/** An acquire that may still wait. */
export interface Asked {
  /** False if it does not wait any more. With `keepPlace` a repeat of its request_id finds its place again. */
  giveUp(keepPlace?: boolean): boolean;
}

export const TAKEN_OVER = 'another stream, or a repeat of its request, has taken the lease over';
const UNRENEWED = 'it was not renewed in time';
const CLOSED = 'the stream was closed';
const EVENT_OF: Readonly<Record<LostWhy, EventType>> = {
  expired: 'expired',
  released: 'released',
  forced: 'forced',
  unknown: 'lost',
};

export interface LocksOptions {
  readonly time: Time;
  /** A new lease_id, and the public lease_ref that belongs to it. */
  readonly newId: () => { readonly leaseId: string; readonly leaseRef: string };
  /** Called after everything that may have changed who holds or waits. */
  readonly onChange?: () => void;
}

export class Locks {
  /** While false, no lease is renewed by itself. */
  renews = true;
  readonly #time: Time;
  readonly #newId: LocksOptions['newId'];
  readonly #onChange: () => void;
  readonly #grants = new Map<string, Grant>();
  readonly records = new Records();
  readonly #past = new Past();
  readonly #waits = new Waits((resource) => this.records.on(resource).map(({ facts }) => facts));
  readonly #host: GrantHost;
  #number = 0;
  #token = 0n;

  constructor({ time, newId, onChange = () => {} }: LocksOptions) {
    this.#time = time;
    this.#newId = newId;
    this.#onChange = onChange;
    this.#host = {
      time,
      renews: () => this.renews,
      onRenewed: (grant) => {
        this.records.note(grant.step('renewed'));
        grant.keeper?.renewed(grant.lease());
      },
      onDue: (grant, why) => this.#end(grant, why, why === 'expired' ? UNRENEWED : CLOSED),
    };
  }

  /** Answers `asker` now or later; the result gives the wait up. */
  acquire(ask: AcquireAsk, asker: Asker): Asked {
    const done = { giveUp: () => false };
    const before = this.#past.answered(ask);
    if (before !== undefined) {
      this.#repeat(before, asker);
      return done;
    }
    const names = this.#waits.pick(ask);
    if (names !== undefined) this.#grant(ask, names, asker);
    else if (ask.waitMs > 0) return this.#wait(ask, asker);
    else asker.busy(this.#busy(ask));
    this.#onChange();
    return done;
  }

  heartbeat(leaseId: string, ttlMs: number | undefined, progress: string): Lease | Refusal {
    const grant = this.#grants.get(leaseId);
    if (grant === undefined) return this.#past.refusalOf(leaseId);
    if (progress !== '') grant.progress = progress;
    grant.extend(ttlMs ?? grant.facts.ttlMs);
    this.records.note(grant.step('renewed'));
    this.#onChange();
    return grant.lease(ttlMs);
  }

  /** `by`: the stream that asks, which is not told of the loss. False if the lease was gone. */
  release(leaseId: string, reason = '', by?: Keeper): boolean {
    const grant = this.#grants.get(leaseId);
    if (grant === undefined) return false;
    if (grant.keeper === by) grant.keeper = undefined;
    this.#end(grant, 'released', 'it was released by its lease_id', reason);
    return true;
  }

  /** The stream `keeper` keeps the lease from now on; an older one is told that it has lost it. */
  keep(leaseId: string, keeper: Keeper): void {
    const grant = this.#grants.get(leaseId);
    if (grant === undefined) return;
    const { keeper: older } = grant;
    if (older !== keeper) older?.lost({ reason: 'unknown', ...refAndToken(grant), detail: TAKEN_OVER });
    grant.keep(keeper);
  }

  /** Takes a lease over into another stream, extended. */
  resume(leaseId: string, keeper: Keeper): Lease | Refusal {
    const grant = this.#grants.get(leaseId);
    if (grant === undefined) return this.#past.refusalOf(leaseId);
    grant.extend(grant.facts.ttlMs);
    this.keep(leaseId, keeper);
    return grant.lease();
  }

  /** The stream has ended; a lease that another stream has resumed is not touched. */
  leave(leaseId: string, keeper: Keeper, end: StreamEnd): void {
    const grant = this.#grants.get(leaseId);
    if (grant?.keeper !== keeper) return;
    grant.leave();
    if (end === 'stands') return;
    if (end > 0) grant.linger(end);
    else this.#end(grant, 'released', CLOSED);
  }

  /** Ends what holds `resource`: all of it, or the lease of that public name. */
  lose(resource: string, why: LostWhy, detail: string, leaseRef = ''): readonly Holder[] | Refusal {
    if (!this.records.knows(resource)) return unknownResource(resource);
    const grants = this.records
      .on(resource)
      .filter(({ facts }) => leaseRef === '' || facts.leaseRef === leaseRef);
    const freed = grants.flatMap((grant) => holdersIn(grant.lease()));
    for (const grant of grants) this.#end(grant, why, detail, detail);
    return freed;
  }

  /** Whose lease that is and on what, for the log; nothing if there never was such a lease. */
  known(leaseId: string): ReturnType<Past['factsOf']> {
    return this.#past.factsOf(leaseId);
  }

  wallMs(): number {
    return this.#time.wallMs();
  }

  askToYield(resource: string, asker: YieldAsker): void {
    for (const { keeper } of this.records.on(resource)) keeper?.yieldRequested(asker);
  }

  inspect(resource: string, historyMost = 0): Inspection | Refusal {
    const wallMs = (ms: number): number => this.#time.wallMs() - this.#time.nowMs() + ms;
    return this.records.inspect(resource, this.#waits.waiters(resource, wallMs), historyMost);
  }

  /** All resources that somebody holds or waits for, in the byte order of their names. */
  live(): Inspection[] {
    const all = this.records.names().map((name) => this.inspect(name) as Inspection);
    return all.filter(({ holders, waiters }) => holders.length > 0 || waiters.length > 0);
  }

  /** Refuses every wait with DRAINING; each finds its place again by its request_id. */
  drainWaits(): void {
    for (const wait of this.#waits.order) {
      this.#leaveLine(wait, true);
      wait.asker.refused(draining);
    }
    this.#settle();
  }

  #repeat(before: ReturnType<Past['answered']>, asker: Asker): void {
    if (before === undefined || before === 'other') {
      asker.refused(invalid([{ field: 'request_id', description: 'was used with other arguments' }]));
      return;
    }
    const grant = this.#grants.get(before.leaseId);
    if (grant === undefined) asker.refused(this.#past.refusalOf(before.leaseId));
    else asker.granted(grant.lease(), true);
  }

  #grant(ask: AcquireAsk, resources: readonly string[], asker: Asker): void {
    const { owner, ttlMs, mode, labels } = ask;
    const wallMs = this.#time.wallMs();
    // As large as those of the service, so that a test finds a column that is too narrow for them.
    const fromClock = BigInt(Math.floor(wallMs * 1000));
    this.#token = fromClock > this.#token ? fromClock : this.#token + 1n;
    const facts = { ...this.#newId(), resources, token: this.#token, owner, mode, ttlMs, labels };
    const grant = new Grant(this.#host, { ...facts, acquireTimeMs: wallMs });
    this.#grants.set(facts.leaseId, grant);
    this.#past.granted(ask, facts);
    this.records.take(grant);
    asker.granted(grant.lease(), false);
  }

  #wait(ask: AcquireAsk, asker: Asker): Asked {
    const nowMs = this.#time.nowMs();
    this.#number += 1;
    const kept = this.#past.takePlace(ask, nowMs);
    const wait = new Wait(ask, asker, kept ?? { ticketMs: nowMs, number: this.#number }, nowMs);
    this.#waits.add(wait);
    const { resources, owner } = ask;
    this.records.note({ type: 'queued', timeMs: this.#time.wallMs(), resources, owner });
    if (ask.waitMs < Infinity) {
      wait.timer = this.#time.after(ask.waitMs, () => this.#waitIsOver(wait), false);
    }
    this.#settle();
    return {
      giveUp: (keepPlace = false) => {
        const left = this.#leaveLine(wait, keepPlace);
        if (left) this.#settle();
        return left;
      },
    };
  }

  #waitIsOver(wait: Wait): void {
    const { position } = this.#waits.standing(wait);
    this.#waits.remove(wait);
    wait.asker.busy({ ...this.#busy(wait.ask), position, waitElapsed: true });
    this.#settle();
  }

  #leaveLine(wait: Wait, keepPlace: boolean): boolean {
    if (!this.#waits.remove(wait)) return false;
    if (keepPlace) this.#past.keepPlace(wait.ask, wait, this.#time.nowMs());
    return true;
  }

  #busy(ask: AcquireAsk): Busy {
    const holders = this.records.inTheWay(ask);
    const wallMs = this.#time.wallMs();
    const leftMs = holders.map(({ expireTimeMs }) => Math.max(0, expireTimeMs - wallMs));
    return {
      holders,
      queueLength: this.#waits.longest(ask.resources),
      position: 0,
      waitElapsed: false,
      retryAfterMs: leftMs.length === 0 ? 0 : Math.max(...leftMs),
    };
  }

  #end(grant: Grant, why: LostWhy, detail: string, reason = ''): void {
    const { keeper, facts } = grant;
    grant.stop();
    this.#grants.delete(facts.leaseId);
    this.#past.ended(facts.leaseId, why);
    this.records.give(grant);
    this.records.note(grant.step(EVENT_OF[why], reason));
    keeper?.lost({ reason: why, ...refAndToken(grant), detail });
    this.#settle();
  }

  /** Serves those who can go on, ends deadlocks, and tells the others where they stand now. */
  #settle(): void {
    for (;;) {
      const next = this.#waits.next();
      const stuck = next === undefined ? this.#waits.victim() : undefined;
      if (next !== undefined) this.#serve(next.wait, next.names);
      else if (stuck !== undefined) {
        this.#waits.remove(stuck.victim);
        stuck.victim.asker.refused(stuck.refusal);
      } else break;
    }
    for (const wait of this.#waits.order) {
      const place = this.#waits.standing(wait);
      if (wait.moved(place.position))
        wait.asker.queued({ ...place, holders: this.records.inTheWay(wait.ask) });
    }
    this.#onChange();
  }

  /** A repeat that waits beside the first gets the same lease: it would wait for itself. */
  #serve(wait: Wait, names: readonly string[]): void {
    this.#waits.remove(wait);
    this.#grant(wait.ask, names, wait.asker);
    const key = keyOf(wait.ask);
    const repeats = this.#waits.order.filter(({ ask }) => key !== undefined && keyOf(ask) === key);
    for (const repeat of repeats) {
      this.#waits.remove(repeat);
      this.#repeat(this.#past.answered(repeat.ask), repeat.asker);
    }
  }
}

function refAndToken({ facts }: Grant): { leaseRef: string; token: bigint } {
  return { leaseRef: facts.leaseRef, token: facts.token };
}
