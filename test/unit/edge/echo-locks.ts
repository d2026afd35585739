/** Locks that answer with the very names that they were asked by, in every field where a name may stand. */
import { formatLeaseId, type Lease, type LeaseName, leaseNameOf } from '../../../src/domain/lease.ts';
import { refuse } from '../../../src/domain/refusals.ts';
import type {
  AcquireAsk,
  Caller,
  HistoryAsk,
  HolderView,
  KeptNews,
  ListAsk,
  LockEvent,
  Locks,
  WatchAsk,
  Watcher,
} from '../../../src/locks/locks.ts';

const TOKEN = 1_800_000_000_000_000n;

const holderOf = (resource: string, owner: string): HolderView => ({
  resource,
  owner,
  leaseRef: 'abcdefghijklmnop',
  token: TOKEN,
  mode: 'exclusive',
  acquireTimeMs: 1,
  expireTimeMs: 2,
  labels: {},
  progress: '',
  traceparent: '',
});

const eventOf = (resource: string, owner: string): LockEvent => ({
  type: 'granted',
  timeMs: 1,
  resource,
  owner,
  leaseRef: 'abcdefghijklmnop',
  token: TOKEN,
  reason: '',
});

export class EchoLocks implements Locks {
  /** Every name that it was asked by. */
  readonly asked: string[] = [];
  /** What every call is answered with where that is not a grant. */
  mode: 'granted' | 'busy' | 'refused' = 'granted';
  readonly keptCount = 0;

  drain(): void {}

  async settled(): Promise<void> {}

  async acquire(ask: AcquireAsk, caller: Caller) {
    this.asked.push(...ask.resources, ask.owner);
    const holders = ask.resources.map((name) => holderOf(name, ask.owner));
    caller.queued?.({ position: 1, queueLength: 1, holders });
    if (this.mode === 'refused') return this.#deadlock(ask.resources, ask.owner);
    if (this.mode === 'busy') {
      return {
        kind: 'busy',
        holders,
        queueLength: 1,
        position: 1,
        waitElapsed: true,
        retryAfterMs: 1,
      } as const;
    }
    return this.#lease(ask.resources, ask.owner, ask.ttlMs);
  }

  async hold(ask: AcquireAsk, caller: Caller, news: KeptNews) {
    const answer = await this.acquire(ask, caller);
    return answer.kind === 'lease' ? this.#keep(answer, news) : answer;
  }

  async resume(lease: LeaseName, news: KeptNews) {
    this.asked.push(...lease.resources);
    if (this.mode === 'refused') return this.#deadlock(lease.resources, lease.resources[0]!);
    return this.#keep(this.#lease(lease.resources, lease.resources[0]!, lease.ttlMs), news);
  }

  async heartbeat({ lease }: { lease: LeaseName }) {
    this.asked.push(...lease.resources);
    if (this.mode === 'refused') return this.#deadlock(lease.resources, lease.resources[0]!);
    const asker = { owner: lease.resources[0]!, priority: 1, waitedMs: 1 };
    return { kind: 'renewed', lease: this.#lease(lease.resources, lease.resources[0]!, 1), asker } as const;
  }

  async release({ lease }: { lease: LeaseName }) {
    this.asked.push(...lease.resources);
    if (this.mode === 'refused') return this.#deadlock(lease.resources, lease.resources[0]!);
    return { kind: 'released', released: true } as const;
  }

  async giveBack(lease: LeaseName): Promise<boolean> {
    this.asked.push(...lease.resources);
    return true;
  }

  async inspect(resource: string) {
    this.asked.push(resource);
    if (this.mode === 'refused') return this.#unknown(resource);
    return {
      kind: 'inspection',
      resource,
      state: 'held',
      holders: [holderOf(resource, resource)],
      waiters: [{ owner: resource, position: 1, priority: 0, sinceMs: 1, mode: 'exclusive' }],
      lastToken: TOKEN,
      source: 'live',
      nodes: [
        {
          node: 'n1',
          vote: 'held',
          fence: TOKEN,
          fenceClosed: false,
          leaseRef: '',
          remainingMs: 1,
          detail: `broken: ${resource}`,
        },
      ],
      history: [eventOf(resource, resource)],
    } as const;
  }

  async list({ prefix, owner, after }: ListAsk) {
    this.asked.push(prefix);
    for (const name of [owner, after]) if (name !== '') this.asked.push(name);
    if (this.mode === 'refused') return this.#unknown(prefix);
    const resource = `${prefix}x`;
    const holders = [holderOf(resource, owner)];
    const lock = { resource, state: 'held', holders, queueLength: 0, lastToken: TOKEN } as const;
    return { kind: 'page', locks: [lock], next: `${prefix}next` } as const;
  }

  async history({ resource, owner, prefixes }: HistoryAsk) {
    for (const name of [resource, owner]) if (name !== '') this.asked.push(name);
    this.asked.push(...prefixes);
    const events = [eventOf(resource || `${prefixes[0] ?? ''}y`, owner || resource)];
    return { kind: 'past', events, gaps: [], next: 'opaque' } as const;
  }

  async checkToken(resource: string) {
    this.asked.push(resource);
    if (this.mode === 'refused') return this.#unknown(resource);
    return { kind: 'check', current: true, lastToken: TOKEN } as const;
  }

  async forceRelease({ resource }: { resource: string }) {
    this.asked.push(resource);
    if (this.mode === 'refused') return this.#unknown(resource);
    return { kind: 'forced', freed: [holderOf(resource, resource)] } as const;
  }

  async watch({ resources, prefix }: WatchAsk, watcher: Watcher): Promise<() => void> {
    this.asked.push(...resources);
    const byPrefix = prefix !== '' || resources.length === 0;
    if (byPrefix) this.asked.push(prefix);
    for (const resource of resources) watcher.event(eventOf(resource, resource));
    if (byPrefix) watcher.event(eventOf(`${prefix}z`, `${prefix}z`));
    watcher.missed(3);
    return () => {};
  }

  #lease(resources: readonly string[], owner: string, ttlMs: number): Lease {
    return {
      kind: 'lease',
      leaseId: formatLeaseId({ secret: 'A'.repeat(22), token: TOKEN, ttlMs, resources }),
      leaseRef: 'abcdefghijklmnop',
      resources,
      token: TOKEN,
      owner,
      mode: 'exclusive',
      ttlMs,
      acquireTimeMs: 1,
      expireTimeMs: 2,
      labels: {},
      replayed: false,
    };
  }

  #keep(lease: Lease, news: KeptNews) {
    const [name = ''] = lease.resources;
    news.renewed(lease);
    news.yieldRequested({ owner: name, priority: 1, waitedMs: 1 });
    news.lost({ reason: 'expired', leaseRef: '', token: TOKEN, detail: `lost ${name}` });
    return { kind: 'granted', lease, kept: { name: leaseNameOf(lease), end: () => {} } } as const;
  }

  #unknown(resource: string) {
    return refuse('UNKNOWN_RESOURCE', `no node has ever seen ${resource}`, { metadata: { resource } });
  }

  #deadlock(resources: readonly string[], owner: string) {
    const owners = JSON.stringify([owner, owner]);
    const metadata = { cycle: `${owner} -> ${resources[0]}`, owners, resources: JSON.stringify(resources) };
    return refuse('DEADLOCK', `this wait would never end: ${owner} -> ${resources[0]}`, { metadata });
  }
}
