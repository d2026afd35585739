/** Locks that do as the test says: they grant everything, and each method may be replaced. */
import { formatLeaseId, type Lease, type LeaseName, leaseNameOf } from '../../../src/domain/lease.ts';
import type {
  AcquireAsk,
  Asker,
  Busy,
  Caller,
  Granted,
  HolderView,
  Kept,
  KeptNews,
  Locks,
  Loss,
  Queued,
  ReleaseAsk,
  StreamEnd,
  WatchAsk,
  Watcher,
} from '../../../src/locks/locks.ts';
import { asking } from '../../harness/asking.ts';

export const settings = { minTtlMs: 100, maxTtlMs: 60_000, defaultTtlMs: 30_000 };

export const holder: HolderView = {
  resource: 'gpu/0',
  owner: 'w2',
  leaseRef: 'abcdefghijklmnop',
  token: 5n,
  mode: 'exclusive',
  acquireTimeMs: 1_800_000_000_000,
  expireTimeMs: 1_800_000_030_000,
  labels: {},
  progress: '',
  traceparent: '',
};

/** A lease that a stream keeps, as the locks see it. */
export class FakeKept implements Granted, Kept {
  readonly kind = 'granted';
  readonly lease: Lease;
  readonly news: KeptNews;
  /** How the stream ended it, each time it said so: `closed 0`. */
  readonly ends: string[] = [];

  constructor(lease: Lease, news: KeptNews) {
    this.lease = lease;
    this.news = news;
  }

  get kept(): Kept {
    return this;
  }

  get name(): LeaseName {
    return leaseNameOf(this.lease);
  }

  end(how: StreamEnd, graceMs: number): void {
    this.ends.push(`${how} ${graceMs}`);
  }
}

export const busy: Busy = {
  kind: 'busy',
  holders: [],
  queueLength: 2,
  position: 1,
  waitElapsed: true,
  retryAfterMs: 30,
};

export const loss: Loss = { reason: 'expired', leaseRef: 'abcdefghijklmnop', token: 1n, detail: 'too late' };

export const asker: Asker = { owner: 'w9', priority: 7, waitedMs: 6500 };

export const queued = (position: number): Queued => ({ position, queueLength: 4, holders: [holder] });

/** Grants everything; each method may be replaced. */
export class FakeLocks implements Locks {
  readonly acquires: { ask: AcquireAsk; caller: Caller }[] = [];
  readonly releases: ReleaseAsk[] = [];
  readonly givenBack: LeaseName[] = [];
  /** Those who watch now. */
  readonly watchers = new Map<Watcher, WatchAsk>();
  drains = 0;
  /** Of what streams have asked of the nodes. */
  settling: Promise<void> = Promise.resolve();

  settled(): Promise<void> {
    return this.settling;
  }

  #token = 0n;

  history: Locks['history'] = async () => ({ kind: 'past', events: [], gaps: [], next: '' });

  grant(ask: AcquireAsk): Lease {
    this.#token += 1n;
    const id = { secret: 'A'.repeat(22), token: this.#token, ttlMs: ask.ttlMs, resources: ask.resources };
    return {
      kind: 'lease',
      leaseId: formatLeaseId(id),
      leaseRef: 'abcdefghijklmnop',
      resources: ask.resources,
      token: this.#token,
      owner: ask.owner,
      mode: ask.mode,
      ttlMs: ask.ttlMs,
      acquireTimeMs: 1_800_000_000_000,
      expireTimeMs: 1_800_000_000_000 + ask.ttlMs,
      labels: ask.labels,
      replayed: false,
    };
  }

  onAcquire: Locks['acquire'] = async (ask) => this.grant(ask);

  acquire: Locks['acquire'] = (ask, caller) => {
    this.acquires.push({ ask, caller });
    return this.onAcquire(ask, caller);
  };

  readonly holds: { ask: AcquireAsk; caller: Caller; news: KeptNews }[] = [];
  readonly resumes: LeaseName[] = [];
  /** All that streams were ever granted, in order. */
  readonly kept: FakeKept[] = [];

  keep(lease: Lease, news: KeptNews): FakeKept {
    const kept = new FakeKept(lease, news);
    this.kept.push(kept);
    return kept;
  }

  get keptCount(): number {
    return this.kept.filter(({ ends }) => ends.length === 0).length;
  }

  onHold: Locks['hold'] = async (ask, _caller, news) => this.keep(this.grant(ask), news);

  hold: Locks['hold'] = (ask, caller, news) => {
    this.holds.push({ ask, caller, news });
    return this.onHold(ask, caller, news);
  };

  onResume: Locks['resume'] = async (lease, news) => this.keep(this.#again(lease, lease.ttlMs), news);

  resume: Locks['resume'] = (lease, news) => {
    this.resumes.push(lease);
    return this.onResume(lease, news);
  };

  /** The lease with that name. */
  #again(name: LeaseName, ttlMs: number): Lease {
    const lease = this.grant({ ...askOf('gpu/0'), resources: name.resources, ttlMs });
    return { ...lease, leaseId: formatLeaseId(name), token: name.token };
  }

  heartbeat: Locks['heartbeat'] = async ({ lease, ttlMs }) => ({
    kind: 'renewed',
    lease: this.#again(lease, ttlMs ?? lease.ttlMs),
    asker: undefined,
  });

  release: Locks['release'] = async (ask) => {
    this.releases.push(ask);
    return { kind: 'released', released: true };
  };

  giveBack: Locks['giveBack'] = async (lease) => {
    this.givenBack.push(lease);
    return true;
  };

  inspect: Locks['inspect'] = async (resource) => ({
    kind: 'inspection',
    resource,
    state: 'held',
    holders: [holder],
    waiters: [],
    lastToken: 5n,
    source: 'live',
    nodes: [],
    history: [],
  });

  list: Locks['list'] = async () => ({ kind: 'page', locks: [], next: '' });
  checkToken: Locks['checkToken'] = async (_resource, token) => ({
    kind: 'check',
    current: token === 5n,
    lastToken: 5n,
  });
  forceRelease: Locks['forceRelease'] = async () => ({ kind: 'forced', freed: [holder] });

  onWatch = async (): Promise<void> => {};

  watch: Locks['watch'] = async (ask, watcher) => {
    this.watchers.set(watcher, ask);
    await this.onWatch();
    return () => {
      this.watchers.delete(watcher);
    };
  };

  onDrain: Locks['drain'] = () => {};

  drain: Locks['drain'] = () => {
    this.drains += 1;
    this.onDrain();
  };
}

const askOf = (resource: string): AcquireAsk => asking({ resources: [resource], ttlMs: 30_000 });
