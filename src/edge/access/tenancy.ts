/** The locks as one tenant sees them: its names alone, without the prefix under which the nodes store them. */
import { type LeaseName, sealName } from '../../domain/lease.ts';
import type { Refusal } from '../../domain/refusals.ts';
import type { Token } from '../../domain/token.ts';
import type {
  AcquireAsk,
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
import { isTenants, TenantNames } from './tenant-names.ts';
import { Whole } from './whole.ts';

/** For whoever is of no tenant: names of tenants do not exist. What nobody could name needs no second look. */
export class TenantsHidden extends Whole implements Locks {
  acquire(ask: AcquireAsk, caller: Caller): ReturnType<Locks['acquire']> {
    return this.inner.acquire(ask, caller);
  }

  hold(ask: AcquireAsk, caller: Caller, news: KeptNews): ReturnType<Locks['hold']> {
    return this.inner.hold(ask, caller, news);
  }

  resume(lease: LeaseName, news: KeptNews): ReturnType<Locks['resume']> {
    return this.inner.resume(lease, news);
  }

  heartbeat(ask: HeartbeatAsk): ReturnType<Locks['heartbeat']> {
    return this.inner.heartbeat(ask);
  }

  release(ask: ReleaseAsk): ReturnType<Locks['release']> {
    return this.inner.release(ask);
  }

  giveBack(lease: LeaseName): Promise<boolean> {
    return this.inner.giveBack(lease);
  }

  inspect(resource: string, historyLimit: number): ReturnType<Locks['inspect']> {
    return this.inner.inspect(resource, historyLimit);
  }

  /** Tenants' names come last in every list: where they begin, it ends. */
  async list(ask: ListAsk): ReturnType<Locks['list']> {
    const page = await this.inner.list(ask);
    if (page.kind === 'refusal') return page;
    const locks = page.locks.filter(({ resource }) => !isTenants(resource));
    const over = locks.length < page.locks.length || isTenants(page.next);
    return over ? { ...page, locks, next: '' } : page;
  }

  async history(ask: HistoryAsk): ReturnType<Locks['history']> {
    const page = await this.inner.history(ask);
    if (page.kind === 'refusal') return page;
    return { ...page, events: page.events.filter(({ resource }) => !isTenants(resource)) };
  }

  checkToken(resource: string, token: Token): ReturnType<Locks['checkToken']> {
    return this.inner.checkToken(resource, token);
  }

  forceRelease(ask: ForceAsk): ReturnType<Locks['forceRelease']> {
    return this.inner.forceRelease(ask);
  }

  watch(ask: WatchAsk, watcher: Watcher): ReturnType<Locks['watch']> {
    return this.inner.watch(ask, {
      event: (event) => {
        if (!isTenants(event.resource)) watcher.event(event);
      },
      missed: (count) => watcher.missed(count),
    });
  }
}

/** A caller that wants to hear where it stands; any other needs no translation. */
class TenantCaller implements Caller {
  readonly #names: TenantNames;
  readonly #caller: Caller;

  constructor(names: TenantNames, caller: Caller) {
    this.#names = names;
    this.#caller = caller;
  }

  get principal(): string {
    return this.#caller.principal;
  }

  get seal(): string {
    return this.#caller.seal ?? '';
  }

  gone(): boolean {
    return this.#caller.gone();
  }

  whenGone(act: () => void): () => void {
    return this.#caller.whenGone(act);
  }

  queued(queued: Parameters<NonNullable<Caller['queued']>>[0]): void {
    this.#caller.queued?.(this.#names.queued(queued));
  }
}

export class TenantLocks extends Whole implements Locks {
  readonly #names: TenantNames;

  constructor(inner: Locks, tenant: string) {
    super(inner);
    this.#names = new TenantNames(tenant);
  }

  async acquire(ask: AcquireAsk, caller: Caller): ReturnType<Locks['acquire']> {
    const answer = await this.inner.acquire(this.#asked(ask), this.#caller(caller));
    if (answer.kind === 'lease') return this.#names.lease(answer);
    if (answer.kind === 'refusal') return this.#names.refusal(answer);
    return { ...answer, holders: this.#names.holders(answer.holders) };
  }

  async hold(ask: AcquireAsk, caller: Caller, news: KeptNews): ReturnType<Locks['hold']> {
    const answer = await this.inner.hold(this.#asked(ask), this.#caller(caller), this.#news(news));
    if (answer.kind === 'granted') return this.#granted(answer);
    if (answer.kind === 'refusal') return this.#names.refusal(answer);
    return { ...answer, holders: this.#names.holders(answer.holders) };
  }

  async resume(lease: LeaseName, news: KeptNews): ReturnType<Locks['resume']> {
    const answer = await this.inner.resume(this.#lease(lease), this.#news(news));
    return answer.kind === 'granted' ? this.#granted(answer) : this.#names.refusal(answer);
  }

  async heartbeat(ask: HeartbeatAsk): ReturnType<Locks['heartbeat']> {
    const answer = await this.inner.heartbeat({ ...ask, lease: this.#lease(ask.lease) });
    if (answer.kind === 'refusal') return this.#names.refusal(answer);
    const asker = answer.asker === undefined ? undefined : this.#names.asker(answer.asker);
    return { ...answer, lease: this.#names.lease(answer.lease), asker };
  }

  async release(ask: ReleaseAsk): ReturnType<Locks['release']> {
    return this.#orRefusal(await this.inner.release({ ...ask, lease: this.#lease(ask.lease) }));
  }

  giveBack(lease: LeaseName): Promise<boolean> {
    return this.inner.giveBack(this.#lease(lease));
  }

  async inspect(resource: string, historyLimit: number): ReturnType<Locks['inspect']> {
    const answer = await this.inner.inspect(this.#names.stored(resource), historyLimit);
    return answer.kind === 'refusal' ? this.#names.refusal(answer) : this.#names.inspection(answer);
  }

  async list(ask: ListAsk): ReturnType<Locks['list']> {
    const names = this.#names;
    const answer = await this.inner.list({
      ...ask,
      prefix: names.stored(ask.prefix),
      owner: ask.owner === '' ? '' : names.stored(ask.owner),
      after: ask.after === '' ? '' : names.stored(ask.after),
    });
    if (answer.kind === 'refusal') return names.refusal(answer);
    const own = answer.locks.filter(({ resource }) => names.has(resource));
    return { ...answer, locks: own.map((lock) => names.summary(lock)), next: names.told(answer.next) };
  }

  async history(ask: HistoryAsk): ReturnType<Locks['history']> {
    const names = this.#names;
    const answer = await this.inner.history({
      ...ask,
      resource: ask.resource === '' ? '' : names.stored(ask.resource),
      owner: ask.owner === '' ? '' : names.stored(ask.owner),
      prefixes: ask.prefixes.length === 0 ? [names.prefix] : names.allStored(ask.prefixes),
    });
    return answer.kind === 'refusal' ? names.refusal(answer) : names.past(answer);
  }

  async checkToken(resource: string, token: Token): ReturnType<Locks['checkToken']> {
    return this.#orRefusal(await this.inner.checkToken(this.#names.stored(resource), token));
  }

  async forceRelease(ask: ForceAsk): ReturnType<Locks['forceRelease']> {
    const answer = await this.inner.forceRelease({ ...ask, resource: this.#names.stored(ask.resource) });
    if (answer.kind === 'refusal') return this.#names.refusal(answer);
    return { ...answer, freed: this.#names.holders(answer.freed) };
  }

  watch(ask: WatchAsk, watcher: Watcher): ReturnType<Locks['watch']> {
    const names = this.#names;
    // With neither it asks for all, and all is what begins with the tenant.
    const byPrefix = ask.prefix !== '' || ask.resources.length === 0;
    const stored = {
      resources: names.allStored(ask.resources),
      prefix: byPrefix ? names.stored(ask.prefix) : '',
    };
    return this.inner.watch(stored, {
      event: (event) => {
        if (names.has(event.resource)) watcher.event(names.event(event));
      },
      missed: (count) => watcher.missed(count),
    });
  }

  #asked(ask: AcquireAsk): AcquireAsk {
    return {
      ...ask,
      resources: this.#names.allStored(ask.resources),
      owner: this.#names.stored(ask.owner),
    };
  }

  #caller(caller: Caller): Caller {
    return caller.queued === undefined ? caller : new TenantCaller(this.#names, caller);
  }

  #lease(lease: LeaseName): LeaseName {
    return sealName(lease, '', this.#names.allStored(lease.resources));
  }

  #granted({ lease, kept, ...granted }: Granted): Granted {
    const names = this.#names;
    return {
      ...granted,
      lease: names.lease(lease),
      kept: {
        get name() {
          const { name } = kept;
          return { ...name, resources: name.resources.map((stored) => names.told(stored)) };
        },
        end: (how, graceMs) => kept.end(how, graceMs),
      },
    };
  }

  #news(news: KeptNews): KeptNews {
    const names = this.#names;
    return {
      renewed: (lease) => news.renewed(names.lease(lease)),
      lost: (loss) => news.lost(names.loss(loss)),
      yieldRequested: (asker) => news.yieldRequested(names.asker(asker)),
    };
  }

  #orRefusal<Answer extends { readonly kind: string }>(answer: Answer | Refusal): Answer | Refusal {
    return 'reason' in answer && answer.kind === 'refusal' ? this.#names.refusal(answer as Refusal) : answer;
  }
}
