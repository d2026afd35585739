/** Makes one story of what several nodes tell, each for itself: every step of a lease once, and no vote that came to nothing. */
import type { News } from '../nodes/node.ts';
import type { EventType, LockEvent } from './locks.ts';

/** Leases and waits whose news are remembered; beyond that the oldest are forgotten, and might be told again. */
const REMEMBERED = 20_000;

interface Told {
  readonly nodes: Set<number>;
  announced: boolean;
}

const SHOWN: Readonly<Partial<Record<News['type'], EventType>>> = {
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

export class Tidings {
  readonly #majority: number;
  readonly #told = new Map<string, Told>();
  readonly #ended = new Map<string, true>();

  constructor(majority: number) {
    this.#majority = majority;
  }

  /** The event that this completes, or undefined. */
  hear(node: number, news: News): LockEvent | undefined {
    const type = SHOWN[news.type];
    if (type === undefined) return undefined;
    const lease = `${news.resource} ${news.token} ${news.leaseRef}`;
    // A node that missed the release lets the lease run out alone: that is no second end.
    if (news.type === 'expired' && this.#ended.has(lease)) return undefined;
    const told = this.#remember(`${type} ${lease}`);
    told.nodes.add(node);
    if (told.announced || (!CERTAIN.has(news.type) && told.nodes.size < this.#majority)) return undefined;
    if (news.type === 'renewed') told.nodes.clear();
    else told.announced = true;
    if (CERTAIN.has(news.type) || news.type === 'expired') remember(this.#ended, lease, true);
    return {
      type,
      timeMs: news.timeMicros / 1000,
      resource: news.resource,
      owner: news.owner,
      leaseRef: news.type === 'queued' ? '' : news.leaseRef,
      token: news.token,
      reason: news.reason,
    };
  }

  #remember(key: string): Told {
    const known = this.#told.get(key);
    if (known !== undefined) return known;
    return remember(this.#told, key, { nodes: new Set<number>(), announced: false });
  }
}

function remember<T>(map: Map<string, T>, key: string, value: T): T {
  map.set(key, value);
  if (map.size > REMEMBERED) map.delete(map.keys().next().value!);
  return value;
}
