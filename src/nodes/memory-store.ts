/** What a memory node remembers: records, request markers, the name index, and what belongs to the node itself. */
import type { Token } from '../domain/token.ts';
import type { NewMeta, Quarantine } from './admin.ts';
import type { ClosedWhy, NodeEvent } from './node.ts';

export interface Fence {
  readonly token: Token;
  readonly state: 'open' | ClosedWhy;
  /** The secret of the lease that opened it; '' once it is closed, for nobody may open it again. */
  readonly opener: string;
}

export interface Holder {
  readonly resource: string;
  readonly value: string;
  readonly leaseRef: string;
  readonly token: Token;
  readonly owner: string;
  readonly card: string;
  /** The key of the request marker that was given, '' when there was none. */
  readonly markerKey: string;
  /** Kept beside the key, so that a heartbeat can bring the marker to a node that missed it. */
  readonly markerDigest: string;
  expiryMicros: number;
  binding: number;
  progress: string;
}

/** A resource that somebody held or closed once. It always has a fence: only together with its fence is it dropped. */
export interface ResourceRecord {
  readonly resource: string;
  fence: Fence;
  holder: Holder | undefined;
  /** Oldest first. */
  readonly history: NodeEvent[];
}

export interface MarkerEntry {
  readonly value: string;
  readonly digest: string;
  readonly ended?: { readonly why: 'released' | 'forced' | 'expired'; readonly untilMicros: number };
}

/** A clock that is set back by a little must find again what counted as past before. */
const MARKER_SPARE_MICROS = 60_000_000;

/** Everything that a restart may lose. */
export class Store {
  readonly #records = new Map<string, ResourceRecord>();
  readonly #names = new NameIndex();
  readonly #live = new Map<string, MarkerEntry>();
  /** Apart from the live ones and in the order of their ending, so that dropping the past ones is cheap. */
  readonly #ended = new Map<string, MarkerEntry>();

  meta: NewMeta | undefined;
  quarantine: Quarantine | undefined;
  /** Floor and suspicion are the node's own: they outlive the meta that an adoption takes away. */
  floor: Token = 0n;
  suspectUntil = 0;

  record(resource: string): ResourceRecord | undefined {
    return this.#records.get(resource);
  }

  /** The record of `resource` with this fence, new when the resource is not known yet. */
  fenced(resource: string, fence: Fence): ResourceRecord {
    const known = this.#records.get(resource);
    if (known !== undefined) {
      known.fence = fence;
      return known;
    }
    const fresh: ResourceRecord = { resource, fence, holder: undefined, history: [] };
    this.#records.set(resource, fresh);
    this.#names.add(resource);
    return fresh;
  }

  drop(resource: string): void {
    this.#records.delete(resource);
    this.#names.remove(resource);
  }

  /** Up to `limit` known names after `after` that begin with `prefix`, in byte order, and whether more follow. */
  page(after: string, limit: number, prefix = ''): { names: readonly string[]; more: boolean } {
    return this.#names.page(after, limit, prefix);
  }

  /** The marker under `key`; one that ended and whose time is over counts as unknown. */
  marker(key: string, nowMicros: number): MarkerEntry | undefined {
    const entry = this.anyMarker(key);
    return entry?.ended !== undefined && entry.ended.untilMicros <= nowMicros ? undefined : entry;
  }

  /** The marker under `key`, even one whose time is over. */
  anyMarker(key: string): MarkerEntry | undefined {
    return this.#live.get(key) ?? this.#ended.get(key);
  }

  putMarker(key: string, entry: MarkerEntry): void {
    this.deleteMarker(key);
    (entry.ended === undefined ? this.#live : this.#ended).set(key, entry);
  }

  deleteMarker(key: string): void {
    this.#live.delete(key);
    this.#ended.delete(key);
  }

  /** Frees markers whose time is over; they counted as unknown already, so nobody sees a difference. */
  dropPastMarkers(nowMicros: number): void {
    for (const [key, { ended }] of this.#ended) {
      if (ended !== undefined && ended.untilMicros + MARKER_SPARE_MICROS > nowMicros) return;
      this.#ended.delete(key);
    }
  }
}

/** Where the next page of names begins; a page shorter than its limit is the last. */
export function nextPage(names: readonly string[], limit: number): string {
  return names.length < limit ? '' : (names.at(-1) ?? '');
}

/**
 * Names in byte order. Resource names are ASCII (domain/names.ts), where the order of strings is the order of bytes.
 * New names wait unsorted until somebody pages: locks come and go far more often than they are listed.
 */
class NameIndex {
  #sorted: string[] = [];
  #fresh: string[] = [];

  add(name: string): void {
    this.#fresh.push(name);
  }

  remove(name: string): void {
    this.#settle();
    const at = this.#firstFrom((other) => other >= name);
    if (this.#sorted[at] === name) this.#sorted.splice(at, 1);
  }

  page(after: string, limit: number, prefix: string): { names: readonly string[]; more: boolean } {
    this.#settle();
    const start = this.#firstFrom((name) => name > after && name >= prefix);
    const names: string[] = [];
    for (let at = start; at < this.#sorted.length; at++) {
      const name = this.#sorted[at]!;
      if (!name.startsWith(prefix)) break;
      if (names.length === limit) return { names, more: true };
      names.push(name);
    }
    return { names, more: false };
  }

  #settle(): void {
    if (this.#fresh.length === 0) return;
    this.#sorted = this.#sorted.concat(this.#fresh).sort(byBytes);
    this.#fresh = [];
  }

  /** The first index at which `reached` holds; it must hold for all later names too. */
  #firstFrom(reached: (name: string) => boolean): number {
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (reached(this.#sorted[middle]!)) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

function byBytes(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
