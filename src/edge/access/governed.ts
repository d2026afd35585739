/** The visit of somebody who has a name, or whose acts are kept: rules and quotas first, then the locks of its tenant. */
import { anybody, type Quota } from '../../domain/access.ts';
import { type Lease, type LeaseName, leaseNameOf, leaseValueIn, sealName } from '../../domain/lease.ts';
import type { Refusal } from '../../domain/refusals.ts';
import type { Token } from '../../domain/token.ts';
import type {
  AcquireAsk,
  Busy,
  Caller,
  ForceAsk,
  Granted,
  HeartbeatAsk,
  HistoryAsk,
  KeptNews,
  ListAsk,
  Locks,
  ReleaseAsk,
  WatchAsk,
  Watcher,
} from '../../locks/locks.ts';
import type { Clock } from '../../std/clock.ts';
import type { TtlSettings } from '../fields.ts';
import { Acts, actionOf, type Facts, factsOf } from './acts.ts';
import { heardBy, inspectable, mayAdmin, mayAll, mayName, mayOwn, mayPrefix, mayWatch } from './authorize.ts';
import { forceRelease, unlessOwn } from './force.ts';
import { identityOf } from './identity-of.ts';
import { type Keeper, KeptLease } from './kept.ts';
import { type Account, claimOf, holdRefusal, ttlRefusal } from './quotas.ts';
import type { Access, Visit, Visits } from './visit.ts';
import { Whole } from './whole.ts';

type Taken = Lease | Granted | Busy | Refusal;

export class Governed extends Whole implements Visit, Locks, Keeper {
  readonly clock: Clock;
  readonly #visits: Visits;
  readonly #call: object;
  readonly #acts: Acts;
  #access: Access;
  /** Where nobody is authenticated there is nobody whose account it could be. */
  readonly #account: Account | undefined;

  constructor(visits: Visits, call: object) {
    super(visits.locks);
    this.clock = visits.clock;
    this.#visits = visits;
    this.#call = call;
    this.#access = visits.accessOf(identityOf(call));
    const { identity } = this.#access;
    this.#account = identity === anybody ? undefined : visits.accountOf(this.#access);
    const telling = this.#account?.telling ?? visits.telling;
    this.#acts = new Acts(visits.probe, visits.clock, identity, call, telling);
  }

  get principal(): string {
    return this.#access.identity.name;
  }

  get seal(): string {
    return this.#access.seal;
  }

  get locks(): Locks {
    return this;
  }

  get settings(): TtlSettings {
    return this.#now().settings;
  }

  pace(call: { getPath(): string }): Refusal | undefined {
    const refusal = this.#account?.rate(this.#now().quota);
    return refusal && this.#stop(actionOf(call.getPath()), refusal);
  }

  mayWatch(ask: WatchAsk): Refusal | undefined {
    const refusal = mayWatch(this.#now().identity, ask);
    return refusal && this.#stop('watch', refusal, { resources: ask.resources });
  }

  mayAdmin(call: string): Refusal | undefined {
    const refusal = mayAdmin(this.#now().identity, call);
    return refusal && this.#stop(actionOf(call), refusal);
  }

  enterStream(action: string): Refusal | undefined {
    const refusal = this.#account?.enterStream(this.#now().quota);
    return refusal && this.#stop(action, refusal);
  }

  leaveStream(): void {
    this.#account?.leaveStream();
  }

  turnedAway(action: string, refusal: Refusal): void {
    this.#acts.refused(action, refusal);
  }

  administered(action: string, outcome: string, detail: string): void {
    this.#acts.acted(action, outcome, { detail });
  }

  acquire(ask: AcquireAsk, caller: Caller): ReturnType<Locks['acquire']> {
    return this.#take('acquire', ask, caller, async ({ locks }, quota) => {
      const answer = await locks.acquire(ask, caller);
      if (answer.kind === 'lease') {
        this.#account?.keep(quota, leaseValueIn(answer.leaseId), answer.ttlMs, claimOf(ask).request);
      }
      return answer;
    });
  }

  hold(ask: AcquireAsk, caller: Caller, news: KeptNews): ReturnType<Locks['hold']> {
    return this.#take('acquire', ask, caller, async ({ locks }) => {
      const kept = new KeptLease(this, news, claimOf(ask).request);
      const answer = await locks.hold(ask, caller, kept);
      return answer.kind === 'granted' ? kept.take(answer) : answer;
    });
  }

  async resume(lease: LeaseName, news: KeptNews): ReturnType<Locks['resume']> {
    const { identity, quota, locks } = this.#now();
    const named = { resources: lease.resources };
    const refusal =
      mayAll(identity, 'acquire', lease.resources) ?? this.#tooLong(quota, lease.token, lease.ttlMs);
    if (refusal !== undefined) return this.#refuse('resume', refusal, named);
    const claimed = { waits: false, request: '' };
    const full = this.#account?.enter(quota, claimed, lease.value);
    if (full !== undefined) return this.#refuse('resume', full, named);
    try {
      const kept = new KeptLease(this, news);
      const answer = await locks.resume(this.#sealed(lease), kept);
      if (answer.kind === 'refusal') this.#acts.refused('resume', answer, named);
      else this.#acts.acted('resume', 'granted', factsOf(answer.lease));
      return answer.kind === 'granted' ? kept.take(answer) : answer;
    } finally {
      this.#account?.leave(claimed);
    }
  }

  /** Asks no rule: who was granted a lease keeps it until it ends, also when the rule has gone meanwhile. */
  async heartbeat(ask: HeartbeatAsk): ReturnType<Locks['heartbeat']> {
    const { quota, locks } = this.#now();
    const { lease } = ask;
    const named = { resources: lease.resources };
    const refusal = this.#tooLong(quota, lease.token, ask.ttlMs ?? lease.ttlMs);
    if (refusal !== undefined) return this.#refuse('heartbeat', refusal, named);
    const answer = await locks.heartbeat({ ...ask, lease: this.#sealed(lease) });
    if (answer.kind === 'renewed') this.counted(lease.value, answer.lease.ttlMs);
    else if (answer.reason === 'LEASE_LOST') {
      this.uncounted(lease.value);
      this.#acts.refused('heartbeat', answer, named);
    }
    return answer;
  }

  /** Asks no rule, as Heartbeat. */
  async release(ask: ReleaseAsk): ReturnType<Locks['release']> {
    const lease = this.#sealed(ask.lease);
    const answer = await this.#now().locks.release({ ...ask, lease });
    if (answer.kind === 'released') this.uncounted(ask.lease.value);
    const facts = { resources: lease.resources, leaseRef: lease.leaseRef, why: ask.reason };
    if (answer.kind === 'refusal') this.#acts.refused('release', answer, facts);
    else this.#acts.released(answer.released, facts);
    return answer;
  }

  async giveBack(name: LeaseName): Promise<boolean> {
    this.uncounted(name.value);
    const given = await this.#now().locks.giveBack(this.#sealed(name));
    this.#acts.released(given, {
      resources: name.resources,
      leaseRef: name.leaseRef,
      why: 'the caller was gone before the answer',
    });
    return given;
  }

  async inspect(resource: string, historyLimit: number): ReturnType<Locks['inspect']> {
    const { identity, locks } = this.#now();
    const refusal = mayName(identity, 'inspect', resource);
    if (refusal !== undefined) return this.#refuse('inspect', refusal, { resources: [resource] });
    return this.#acts.looked('inspect', resource, await locks.inspect(resource, historyLimit));
  }

  async list(ask: ListAsk): ReturnType<Locks['list']> {
    const { identity, locks } = this.#now();
    const refusal = mayPrefix(identity, ask.prefix);
    return refusal === undefined ? locks.list(ask) : this.#refuse('list', refusal);
  }

  async history(ask: HistoryAsk): ReturnType<Locks['history']> {
    const { identity, locks } = this.#now();
    const { resource, owner } = ask;
    const prefixes =
      resource === '' ? inspectable(identity, owner) : (mayName(identity, 'inspect', resource) ?? []);
    const named = { resources: resource === '' ? [] : [resource], owner };
    if ('kind' in prefixes) return this.#refuse('history', prefixes, named);
    return this.#acts.looked('history', resource, await locks.history({ ...ask, prefixes }));
  }

  async checkToken(resource: string, token: Token): ReturnType<Locks['checkToken']> {
    const { identity, locks } = this.#now();
    const refusal = mayName(identity, 'inspect', resource);
    if (refusal !== undefined) return this.#refuse('check_token', refusal, { resources: [resource] });
    return this.#acts.looked('check_token', resource, await locks.checkToken(resource, token));
  }

  async forceRelease(ask: ForceAsk): ReturnType<Locks['forceRelease']> {
    const { identity, locks } = this.#now();
    const facts = { resources: [ask.resource], leaseRef: ask.leaseRef, why: ask.reason };
    const refusal = mayName(identity, 'force_release', ask.resource);
    const stopped = refusal && (await unlessOwn(locks, ask, this.principal, refusal));
    if (stopped !== undefined) return this.#refuse('force_release', stopped, facts);
    return forceRelease(locks, this.#acts, ask);
  }

  watch(ask: WatchAsk, watcher: Watcher): ReturnType<Locks['watch']> {
    const heard = heardBy(() => this.#now().identity, watcher);
    return this.#now().locks.watch(ask, heard);
  }

  counted(value: string, forMs: number, request = ''): void {
    this.#account?.keep(this.#access.quota, value, forMs, request);
  }

  uncounted(value: string): void {
    this.#account?.drop(value);
  }

  get quota(): Quota {
    return this.#now().quota;
  }

  ended({ lease }: KeptLease, graceMs: number): void {
    const why = graceMs > 0 ? `stream closed; kept for ${graceMs}ms, to be resumed` : 'stream closed';
    this.#acts.acted('release', 'released', { ...factsOf(lease), why });
  }

  expired(lease: Lease, why: string): void {
    this.#acts.acted('release', 'released', { ...factsOf(lease), why });
    void this.#now().locks.release({ lease: this.#sealed(leaseNameOf(lease)), reason: why });
  }

  async #take<Answer extends Taken>(
    action: string,
    ask: AcquireAsk,
    caller: Caller,
    act: (access: Access, quota: Quota) => Promise<Answer>,
  ): Promise<Answer | Refusal> {
    const access = this.#now();
    const { identity, quota } = access;
    const facts = { resources: ask.resources, owner: ask.owner };
    const claimed = claimOf(ask);
    const refusal =
      mayAll(identity, 'acquire', ask.resources) ??
      mayOwn(identity, ask.owner) ??
      ttlRefusal(quota, ask.ttlMs) ??
      this.#account?.enter(quota, claimed);
    if (refusal !== undefined) return this.#refuse(action, refusal, facts);
    try {
      const answer = await act(access, quota);
      if (answer.kind === 'refusal' && !caller.gone()) {
        this.#acts.refused(action, answer, facts);
      } else if (answer.kind === 'granted') this.#acts.acted(action, 'granted', factsOf(answer.lease));
      else if (answer.kind === 'lease') this.#acts.acted(action, 'granted', factsOf(answer));
      return answer;
    } finally {
      this.#account?.leave(claimed);
    }
  }

  #tooLong(quota: Quota, token: Token, ttlMs: number): Refusal | undefined {
    return ttlRefusal(quota, ttlMs) ?? holdRefusal(quota, token, ttlMs, this.clock);
  }

  #sealed(name: LeaseName): LeaseName {
    return sealName(name, this.#access.seal);
  }

  /** The same identity may have other rules by now; it never becomes another. */
  #now(): Access {
    const { identity: known } = this.#access;
    const now = identityOf(this.#call);
    if (now !== known && now.name === known.name && now.tenant === known.tenant) {
      this.#access = this.#visits.accessOf(now);
    }
    return this.#access;
  }

  /** The locks never hear of it, so nobody else counts it. */
  #refuse(action: string, refusal: Refusal, facts: Facts = {}): Refusal {
    this.#visits.probe.operation(action, 'refused', 0, refusal.reason);
    return this.#stop(action, refusal, facts);
  }

  #stop(action: string, refusal: Refusal, facts: Facts = {}): Refusal {
    return this.#acts.stopped(action, refusal, facts);
  }
}
