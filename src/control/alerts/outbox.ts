/** What one channel has to tell: alerts of a kind go out together, so a storm of them is a few messages with a count. */
import type { Alert, Kind, Status } from './alert.ts';

/** Alerts that a message shows; the others are in its count. */
export const SHOWN_MAX = 20;
/** Conditions that a group knows one by one: a receiver may be away while ever new ones come and go. */
const KNOWN_MAX = 1000;

export interface Bundle {
  readonly kind: Kind;
  readonly status: Status;
  /** How many alerts it stands for. */
  readonly count: number;
  /** The first of them. */
  readonly alerts: readonly Alert[];
}

export interface Grouping {
  /** How long the first of a kind waits for company. */
  readonly waitMs: number;
  /** The least time between two messages of one kind and status. */
  readonly intervalMs: number;
}

/** Bounded: some are known one by one, and all are counted. */
class Group {
  readonly kind: Kind;
  readonly status: Status;
  readonly sinceMs: number;
  readonly dueMs: number;
  readonly #events: Alert[] = [];
  readonly #conditions = new Map<string, Alert>();
  #more = 0;

  constructor(kind: Kind, status: Status, sinceMs: number, dueMs: number) {
    this.kind = kind;
    this.status = status;
    this.sinceMs = sinceMs;
    this.dueMs = dueMs;
  }

  get count(): number {
    return this.#events.length + this.#conditions.size + this.#more;
  }

  add(alert: Alert): void {
    const conditions = this.#conditions;
    if (this.status === 'event') {
      if (this.#events.length < SHOWN_MAX) this.#events.push(alert);
      else this.#more += 1;
    } else if (conditions.size < KNOWN_MAX || conditions.has(alert.key)) conditions.set(alert.key, alert);
    else this.#more += 1;
  }

  has(key: string): boolean {
    return this.#conditions.has(key);
  }

  remove(key: string): void {
    this.#conditions.delete(key);
  }

  bundle(): Bundle {
    const { kind, status, count } = this;
    const alerts = [...this.#events];
    for (const alert of this.#conditions.values()) {
      if (alerts.length >= SHOWN_MAX) break;
      alerts.push(alert);
    }
    return { kind, status, count, alerts };
  }
}

const idOf = (kind: Kind, status: Status): string => `${kind} ${status}`;

export class Outbox {
  grouping: Grouping;
  readonly #groups = new Map<string, Group>();
  readonly #lastMs = new Map<string, number>();
  /** Kinds of which something began and ended before it was told: the end must follow in the same breath. */
  readonly #together = new Set<Kind>();

  constructor(grouping: Grouping) {
    this.grouping = grouping;
  }

  get size(): number {
    let sum = 0;
    for (const { count } of this.#groups.values()) sum += count;
    return sum;
  }

  add(status: Status, alert: Alert, nowMs: number): void {
    if (status === 'firing') {
      const ends = this.#groups.get(idOf(alert.kind, 'resolved'));
      if (ends?.has(alert.key)) {
        // Its end was not told yet: whoever reads still takes it for firing.
        ends.remove(alert.key);
        if (ends.count === 0) this.#groups.delete(idOf(alert.kind, 'resolved'));
        return;
      }
    }
    if (status === 'resolved' && this.#groups.get(idOf(alert.kind, 'firing'))?.has(alert.key)) {
      this.#together.add(alert.kind);
    }
    this.#group(alert.kind, status, nowMs).add(alert);
  }

  #group(kind: Kind, status: Status, nowMs: number): Group {
    const id = idOf(kind, status);
    const found = this.#groups.get(id);
    if (found !== undefined) return found;
    const { waitMs, intervalMs } = this.grouping;
    const lastMs = this.#lastMs.get(id) ?? Number.NEGATIVE_INFINITY;
    const made = new Group(kind, status, nowMs, Math.max(nowMs + waitMs, lastMs + intervalMs));
    this.#groups.set(id, made);
    return made;
  }

  /** When `take` will have something; undefined: nothing is here. */
  get dueMs(): number | undefined {
    const times = [...this.#groups.values()]
      .filter((group) => !this.#follows(group))
      .map(({ dueMs }) => dueMs);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  /** An end that must not be told before its beginning. */
  #follows({ kind, status }: Group): boolean {
    return status === 'resolved' && this.#together.has(kind) && this.#groups.has(idOf(kind, 'firing'));
  }

  /** What is due, the oldest first; `all`: due or not. */
  take(nowMs: number, all = false): readonly Bundle[] {
    const [first] = [...this.#groups.values()]
      .filter((group) => (all || group.dueMs <= nowMs) && !this.#follows(group))
      .sort((a, b) => a.sinceMs - b.sinceMs);
    if (first === undefined) return [];
    const ends = this.#groups.get(idOf(first.kind, 'resolved'));
    const together = first.status === 'firing' && this.#together.delete(first.kind);
    return [first, ...(together && ends !== undefined ? [ends] : [])].map((group) => {
      const id = idOf(group.kind, group.status);
      this.#groups.delete(id);
      this.#lastMs.set(id, nowMs);
      return group.bundle();
    });
  }
}
