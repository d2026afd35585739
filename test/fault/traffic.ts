/** Owners who lock, renew and let go in loops at several replicas while a test breaks things, and the history of what they saw. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { expect } from 'vitest';
import { type Lease, leaseRefOf, parseLeaseId } from '../../src/domain/lease.ts';
import { systemClock } from '../../src/std/clock.ts';
import type { Desk } from '../harness/desk.ts';
import { check, tally } from '../harness/history/check.ts';
import type { Asked, Entry, Held, Rule } from '../harness/history/history.ts';
import type { Nodes } from '../harness/nodes.ts';
import { until } from '../harness/until.ts';

export interface TrafficOptions {
  readonly ttlMs: number;
  /** Of those who come and go, at each desk; 3 unless told otherwise. */
  readonly owners?: number;
}

/** Few, so that somebody nearly always holds each. */
const BUSY = ['busy/0', 'busy/1'];
/** Held for long, so that a fault finds somebody with a lease that counts, and somebody else who wants it. */
const KEPT = 'kept';

/** How long somebody stands in line before asking anew. */
const WAIT_MS = 100;
/** Whoever was refused without being asked anywhere must not spin. */
const REST_MS = 4;
/** How often a holder renews before it lets go. */
const RENEWALS = 3;
/** And one who keeps it, so many times a ttl. */
const KEEPING = 6;

export class Traffic {
  readonly entries: Entry[] = [];
  readonly names: readonly string[] = [...BUSY, KEPT];
  readonly #ttlMs: number;
  readonly #lag = monitorEventLoopDelay({ resolution: 10 });
  readonly #owners: Promise<void>[];
  #stopping = false;

  constructor(desks: readonly Desk[], { ttlMs, owners = 3 }: TrafficOptions) {
    this.#ttlMs = ttlMs;
    this.#lag.enable();
    this.#owners = desks.flatMap((desk, at) =>
      Array.from({ length: owners + 1 }, (_, number) =>
        this.#live(desk, `d${at}`, `d${at}w${number}`, number),
      ),
    );
  }

  get grants(): Asked[] {
    return this.entries.filter(
      (entry): entry is Asked => entry.kind === 'acquire' && entry.outcome === 'granted',
    );
  }

  /** Grants that were asked for from `sinceMs` on. */
  grantsSince(sinceMs: number): number {
    return this.grants.filter(({ calledMs }) => calledMs >= sinceMs).length;
  }

  /** Resolves once so many more leases were asked for, granted, renewed and released. */
  async goesOn(count = 10, what = 'grants, renewals and releases go on'): Promise<void> {
    const sinceMs = nowMs();
    const done = (kind: Entry['kind'], outcome: string): number =>
      this.entries.filter(
        (entry) =>
          entry.kind === kind &&
          'outcome' in entry &&
          entry.outcome === outcome &&
          (entry.calledMs ?? 0) >= sinceMs,
      ).length;
    await until(what, () =>
      [done('acquire', 'granted'), done('renew', 'renewed'), done('release', 'released')].every(
        (number) => number >= count,
      ),
    );
  }

  /** Resolves once every resource was granted anew. */
  async servesAll(): Promise<void> {
    const sinceMs = nowMs();
    await until('each resource is granted again', () =>
      this.names.every((name) =>
        this.grants.some(({ calledMs, resources }) => calledMs >= sinceMs && resources.includes(name)),
      ),
    );
  }

  /** The same, and nothing is broken from now on. */
  async healed(): Promise<void> {
    const atMs = nowMs();
    await this.servesAll();
    this.entries.push({ kind: 'healed', atMs, aliveByMs: nowMs() });
  }

  /** Calls from `sinceMs` on that ended without anybody knowing what became of them. */
  doubtsSince(sinceMs: number): Entry[] {
    return this.entries.filter(
      (entry) => 'outcome' in entry && entry.outcome === 'unknown' && entry.calledMs >= sinceMs,
    );
  }

  /** Does `act` as a fault of the history. */
  async fault<T>(name: string, where: string, act: () => Promise<T>): Promise<T> {
    const atMs = nowMs();
    const result = await act();
    this.entries.push({ kind: 'fault', name, where, atMs, untilMs: nowMs() });
    return result;
  }

  /** Nobody asks any more once so many were granted in all, and each owner has had its last answer. */
  async stop(leastGrants = 0): Promise<void> {
    await until(`${leastGrants} grants`, () => this.grants.length >= leastGrants);
    this.#stopping = true;
    await Promise.all(this.#owners);
    this.#lag.disable();
  }

  /** Waits until nothing is left at any node, and writes down that it was so. */
  async rest(nodes: Nodes): Promise<void> {
    for (const name of this.names) {
      await nodes.free(name);
      const waiting = () =>
        Promise.all(nodes.servers.map((_, at) => nodes.run(at, 'ZRANGE', `holdfast:b:q:${name}`, 0, -1)));
      // Where a leaving was lost the place ends by its liveness.
      const gone = async () => (await waiting()).flat().length === 0;
      await until(`nobody stands in line for ${name}`, gone).catch(() => {});
      const held = (await nodes.holders(name)).filter((value) => value !== '');
      const waiters = await waiting();
      this.entries.push({
        kind: 'rest',
        resource: name,
        atMs: nowMs(),
        leaseRefs: held.map(leaseRefOf),
        waiters: waiters.flat() as string[],
      });
    }
  }

  /** What the run broke; one that granted too little proves nothing either way. */
  broken(leastGrants: number): Rule[] {
    const { granted } = tally(this.entries);
    expect(granted, 'invalid: too little traffic').toBeGreaterThanOrEqual(leastGrants);
    expect(granted).toBe(this.grants.length);
    return [...new Set(check(this.entries).map(({ rule }) => rule))].sort();
  }

  /** Nothing was broken, and the run was not so held up itself that it proves nothing. */
  expectSound(leastGrants: number): void {
    const found = check(this.entries).map(({ rule, resource, detail }) => `${rule} ${resource}: ${detail}`);
    expect(found).toEqual([]);
    expect(this.#lag.percentile(99) / 1e6, 'invalid: too much lag').toBeLessThan(this.#ttlMs / 2);
    expect(this.broken(leastGrants)).toEqual([]);
  }

  async #live(desk: Desk, client: string, owner: string, number: number): Promise<void> {
    for (let round = number; !this.#stopping; round += 1) {
      const taken = await this.#take(desk, client, owner, number === 0 ? KEPT : BUSY[round % 2]!);
      if (taken === undefined) await rest(REST_MS);
      else if (number === 0) await this.#keep(desk, client, taken, KEEPING, this.#ttlMs / KEEPING);
      else await this.#keep(desk, client, taken, round % (RENEWALS + 1), 0);
    }
  }

  async #take(desk: Desk, client: string, owner: string, resource: string): Promise<Taken | undefined> {
    const calledMs = nowMs();
    const answer = await desk.acquire(resource, { owner, ttlMs: this.#ttlMs, waitMs: WAIT_MS });
    const asked = {
      kind: 'acquire',
      client,
      owner,
      resources: [resource],
      mode: 'exclusive',
      any: 0,
      priority: 0,
      requestId: '',
      waits: true,
      calledMs,
      answeredMs: nowMs(),
    } as const;
    if (answer.kind === 'lease') {
      const { leaseRef, token, resources, replayed } = answer;
      this.entries.push({ ...asked, outcome: 'granted', grant: { leaseRef, token, resources, replayed } });
      return { lease: answer, fromMs: asked.answeredMs, validMs: this.#validFrom(calledMs) };
    }
    const reason = answer.kind === 'refusal' ? { reason: answer.reason } : {};
    const left = answer.kind === 'refusal' && answer.reason === 'NO_QUORUM' ? 'unknown' : 'refused';
    this.entries.push({ ...asked, outcome: answer.kind === 'busy' ? 'busy' : left, ...reason });
    return undefined;
  }

  /** Renews so often, or until it is lost or over, and lets go. */
  async #keep(desk: Desk, client: string, taken: Taken, renewals: number, everyMs: number): Promise<void> {
    const { lease, fromMs } = taken;
    let { validMs } = taken;
    let lostMs = Number.POSITIVE_INFINITY;
    for (let count = 0; count < renewals && nowMs() < Math.min(validMs, lostMs); count += 1) {
      if (everyMs > 0) await rest(everyMs);
      const calledMs = nowMs();
      const answer = await desk.heartbeat(lease);
      const answeredMs = nowMs();
      const lost = answer.kind === 'refusal' && answer.reason === 'LEASE_LOST';
      const outcome = answer.kind === 'lease' ? 'renewed' : lost ? 'lost' : 'unknown';
      // What was over before the answer came stays over.
      if (outcome === 'renewed' && answeredMs < validMs) validMs = this.#validFrom(calledMs);
      if (lost) lostMs = answeredMs;
      this.entries.push({ kind: 'renew', client, leaseRef: lease.leaseRef, calledMs, answeredMs, outcome });
    }
    const calledMs = nowMs();
    const untilMs = Math.min(calledMs, validMs, lostMs);
    const end: Held['end'] = untilMs === calledMs ? 'released' : untilMs === lostMs ? 'lost' : 'expired';
    const { leaseRef, token, resources, owner } = lease;
    if (untilMs > fromMs) {
      const held = { kind: 'held', client, owner, leaseRef, token, resources, mode: 'exclusive' } as const;
      this.entries.push({ ...held, fromMs, untilMs, end });
    }
    const name = parseLeaseId(lease.leaseId)!;
    const answer = await desk.locks.release({ lease: name, reason: '' });
    const gone = answer.kind === 'released' && !answer.released;
    const outcome = answer.kind !== 'released' ? 'unknown' : gone ? 'gone' : 'released';
    this.entries.push({ kind: 'release', client, leaseRef, calledMs, answeredMs: nowMs(), outcome });
  }

  /** As a holder counts: from before it asked, less the drift. */
  #validFrom(calledMs: number): number {
    return calledMs + this.#ttlMs * 0.99 - 2;
  }
}

interface Taken {
  readonly lease: Lease;
  readonly fromMs: number;
  readonly validMs: number;
}

function rest(ms: number): Promise<void> {
  return new Promise((resolve) => {
    systemClock.after(ms, resolve);
  });
}

export function nowMs(): number {
  return performance.now();
}
