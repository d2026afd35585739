/** Makes one story of what several nodes tell, each for itself: every step of a lease once, and no vote that came to nothing. */
import type { News } from '../nodes/node.ts';
import type { EventType, LockEvent } from './locks.ts';

/** Leases and waits whose news are remembered; beyond that the oldest are forgotten, and might be told again. */
const REMEMBERED = 20_000;

interface Told {
  /** How often each node has told it: a lease is renewed again and again. */
  readonly times: Map<number, number>;
  announced: number;
}

const SHOWN: Readonly<Record<Exclude<News['type'], 'undone'>, EventType>> = {
  queued: 'queued',
  held: 'granted',
  renewed: 'renewed',
  released: 'released',
  expired: 'expired',
  forced: 'forced',
  lost: 'lost',
};

/** What one node alone can tell: it happens only to a lease that was granted. Anything else needs a majority. */
const CERTAIN: ReadonlySet<News['type']> = new Set(['released', 'forced', 'lost']);
const ENDS: ReadonlySet<News['type']> = new Set([...CERTAIN, 'expired']);

export class Tidings {
  readonly #majority: number;
  readonly #told = new Map<string, Told>();
  readonly #ended = new Map<string, true>();

  constructor(majority: number) {
    this.#majority = majority;
  }

  /** The event that this completes, or undefined. */
  hear(node: number, news: News): LockEvent | undefined {
    const lease = `${news.resource} ${news.token} ${news.leaseRef}`;
    if (news.type === 'undone') return this.#takeBack(lease, news);
    const type = SHOWN[news.type];
    // A node that missed the release lets the lease run out alone: that is no second end.
    if (news.type === 'expired' && this.#ended.has(lease)) return undefined;
    const told = this.#remember(`${type} ${lease}`);
    const { times } = told;
    times.set(node, news.type === 'renewed' ? (times.get(node) ?? 0) + 1 : 1);
    const certain = CERTAIN.has(news.type) && !this.#isPending(lease);
    // So often a majority has told it.
    const agreed = [...times.values()].sort((a, b) => b - a)[certain ? 0 : this.#majority - 1] ?? 0;
    if (agreed <= told.announced) return undefined;
    told.announced = agreed;
    if (ENDS.has(news.type)) remember(this.#ended, lease, true);
    return eventOf(type, news);
  }

  /** A vote that came to nothing was never a grant; a grant that was returned before its caller heard of it ends. */
  #takeBack(lease: string, news: News): LockEvent | undefined {
    const granted = this.#remember(`granted ${lease}`);
    const wasTold = granted.announced > 0 && !this.#ended.has(lease);
    granted.announced = 1;
    remember(this.#ended, lease, true);
    return wasTold ? eventOf('released', { ...news, reason: news.reason || 'taken back' }) : undefined;
  }

  /** Some nodes, too few yet, have told that it was granted: its end must not be told before that. */
  #isPending(lease: string): boolean {
    return this.#told.get(`granted ${lease}`)?.announced === 0;
  }

  #remember(key: string): Told {
    const known = this.#told.get(key);
    if (known !== undefined) return known;
    return remember(this.#told, key, { times: new Map<number, number>(), announced: 0 });
  }
}

function eventOf(type: EventType, news: News): LockEvent {
  return {
    type,
    timeMs: news.timeMicros / 1000,
    resource: news.resource,
    owner: news.owner,
    leaseRef: type === 'queued' ? '' : news.leaseRef,
    token: news.token,
    reason: news.reason,
  };
}

function remember<T>(map: Map<string, T>, key: string, value: T): T {
  map.set(key, value);
  if (map.size > REMEMBERED) map.delete(map.keys().next().value!);
  return value;
}
