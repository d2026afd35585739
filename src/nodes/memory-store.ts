/** What a memory node remembers: records, waiters, request markers, the name index, and what belongs to the node itself. */
import type { Mode } from '../domain/lease.ts';
import { NO_TOKEN, type Token } from '../domain/token.ts';
import type { NewMeta, Quarantine } from './admin.ts';
import type { Place } from './line.ts';
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
  readonly mode: Mode;
  /** The key of the request marker that was given, '' when there was none. */
  readonly markerKey: string;
  /** Kept beside the key, so that a heartbeat can bring the marker to a node that missed it. */
  readonly markerDigest: string;
  expiryMicros: number;
  binding: number;
  progress: string;
}

/** A resource that somebody held, closed or waited for once; it has no fence if all they ever did was wait. */
export interface ResourceRecord {
  readonly resource: string;
  fence: Fence | undefined;
  /** The token of the last change of the fence that was not a reader's, 0 before. */
  writer: Token;
  /** Tokens of readers that were closed below the fence, and when. */
  shut: readonly { readonly token: Token; readonly timeMicros: number }[];
  /** The exclusive one. */
  holder: Holder | undefined;
  /** The shared ones, by the bytes of their values. */
  readers: readonly Holder[];
  readonly line: WaitingLine;
  /** Oldest first. */
  readonly history: NodeEvent[];
}

/** Who waits: the place that counts, and until when it does. */
export interface Waiter {
  readonly place: Place;
  readonly deadlineMicros: number;
}

export interface MarkerEntry {
  readonly value: string;
  readonly digest: string;
  readonly ended?: { readonly why: 'released' | 'forced' | 'expired'; readonly untilMicros: number };
}

/** A clock that is set back by a little must find again what counted as past before. */
const SPARE_MICROS = 60_000_000;

/** Everything that a restart may lose. */
export class Store {
  readonly #records = new Map<string, ResourceRecord>();
  readonly #names = new NameIndex();
  readonly #live = new Map<string, MarkerEntry>();
  /** Apart from the live ones and in the order of their ending, so that dropping the past ones is cheap. */
  readonly #ended = new Map<string, MarkerEntry>();
  readonly #waiters = new Map<string, Waiter>();
  /** Ids of waiters by owner: every wait asks whether the owner of what it waits for waits too. */
  readonly #waitersOf = new Map<string, Set<string>>();

  meta: NewMeta | undefined;
  quarantine: Quarantine | undefined;
  /** Floor and suspicion are the node's own: they outlive the meta that an adoption takes away. */
  floor: Token = 0n;
  suspectUntil = 0;
  /** Somebody wants the news until then. */
  watchUntilMicros = 0;

  record(resource: string): ResourceRecord | undefined {
    return this.#records.get(resource);
  }

  /** The record of `resource`, an empty one when the resource is not known yet. */
  recordFor(resource: string): ResourceRecord {
    const known = this.#records.get(resource);
    if (known !== undefined) return known;
    const fresh: ResourceRecord = {
      resource,
      fence: undefined,
      writer: NO_TOKEN,
      shut: [],
      holder: undefined,
      readers: [],
      line: new WaitingLine(),
      history: [],
    };
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

  waiter(id: string): Waiter | undefined {
    return this.#waiters.get(id);
  }

  waitersOf(owner: string): Waiter[] {
    return [...(this.#waitersOf.get(owner) ?? [])].map((id) => this.#waiters.get(id)!);
  }

  putWaiter(waiter: Waiter): void {
    const { id, owner } = waiter.place;
    this.forgetWaiter(id);
    this.#waiters.set(id, waiter);
    const ids = this.#waitersOf.get(owner);
    if (ids === undefined) this.#waitersOf.set(owner, new Set([id]));
    else ids.add(id);
  }

  /** The waiter goes; entries that it leaves behind in a line are those of a dead one from now on. */
  forgetWaiter(id: string): void {
    const owner = this.#waiters.get(id)?.place.owner;
    if (owner === undefined) return;
    this.#waiters.delete(id);
    const ids = this.#waitersOf.get(owner);
    ids?.delete(id);
    if (ids?.size === 0) this.#waitersOf.delete(owner);
  }

  /** Frees waiters that were dead for so long that no clock set back by a little finds them alive again. */
  dropPastWaiters(nowMicros: number): void {
    for (const [id, { deadlineMicros }] of this.#waiters) {
      if (deadlineMicros + SPARE_MICROS < nowMicros) this.forgetWaiter(id);
    }
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
      if (ended !== undefined && ended.untilMicros + SPARE_MICROS > nowMicros) return;
      this.#ended.delete(key);
    }
  }
}

/** Entries by (order, id), the lowest first. Ids are ASCII, where the order of strings is the order of bytes. */
export class WaitingLine {
  #entries: readonly LineEntry[] = [];
  #crossed = false;

  get entries(): readonly LineEntry[] {
    return this.#entries;
  }

  get first(): LineEntry | undefined {
    return this.#entries[0];
  }

  get length(): number {
    return this.#entries.length;
  }

  /** Whether a waiter of several resources has joined since the line was last empty. */
  get crossed(): boolean {
    return this.#crossed;
  }

  /** Counted from 1; 0 for who has no entry. */
  positionOf(id: string): number {
    return 1 + this.#entries.findIndex((entry) => entry.id === id);
  }

  put(entry: LineEntry, crosses: boolean): void {
    const others = this.#entries.filter(({ id }) => id !== entry.id);
    const ahead = others.findIndex((other) => isAhead(entry, other));
    this.#entries = others.toSpliced(ahead < 0 ? others.length : ahead, 0, entry);
    this.#crossed ||= crosses;
  }

  remove(id: string): void {
    this.#entries = this.#entries.filter((entry) => entry.id !== id);
    if (this.#entries.length === 0) this.#crossed = false;
  }
}

export interface LineEntry {
  readonly id: string;
  readonly order: number;
}

export function isAhead(one: LineEntry, other: LineEntry): boolean {
  return one.order < other.order || (one.order === other.order && one.id < other.id);
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

export function byBytes(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
