/** Counters, gauges and histograms as plain numbers: an update costs a few map look-ups, and text is made at the scrape. */
import { assert } from '../std/assert.ts';

/**
 * prom-client hashes and validates labels at each update, which costs more than the lock operation's own
 * bookkeeping; a registry only asks a metric for its name and its `get()`, so these families answer that themselves.
 */
export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  get(): { name: string; help: string; type: Family['type']; aggregator: 'sum'; values: readonly Sample[] };
}

interface Sample {
  readonly value: number;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly metricName?: string;
}

/** A label whose values run away (a defect elsewhere) must not eat the memory of the service. */
const CHILDREN_MAX = 2000;
const OVERFLOW = 'overflow';

/** Children by the values of their labels, at most three: a map in a map for each further one. */
class Children<T> {
  readonly all: { readonly labels: Readonly<Record<string, string>>; readonly child: T }[] = [];
  readonly #names: readonly string[];
  readonly #make: () => T;
  readonly #root = new Map<string, unknown>();

  constructor(names: readonly string[], make: () => T) {
    assert(names.length <= 3, `${names.join()}: more labels than an update can name`);
    this.#names = names;
    this.#make = make;
  }

  /** Label by label, not as a list: an update must leave no garbage behind. */
  of(a = '', b = '', c = ''): T {
    const { length } = this.#names;
    let found = this.#root.get(a);
    if (length > 1) found = (found as Map<string, unknown> | undefined)?.get(b);
    if (length > 2) found = (found as Map<string, unknown> | undefined)?.get(c);
    return (found as T | undefined) ?? this.#added([a, b, c]);
  }

  #added(given: readonly string[]): T {
    const names = this.#names;
    if (this.all.length >= CHILDREN_MAX && given[0] !== OVERFLOW) {
      return this.of(...(names.map(() => OVERFLOW) as [string?, string?, string?]));
    }
    const values = given.slice(0, Math.max(1, names.length));
    const child = this.#make();
    let level = this.#root;
    for (const value of values.slice(0, -1)) {
      const next = (level.get(value) as Map<string, unknown> | undefined) ?? new Map<string, unknown>();
      level.set(value, next);
      level = next;
    }
    level.set(values.at(-1)!, child);
    this.all.push({ labels: Object.fromEntries(names.map((name, at) => [name, values[at]!])), child });
    return child;
  }
}

/** A counter or gauge; without label names it exists from the start. */
export class Numbers implements Family {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge';
  readonly #children: Children<{ value: number }>;

  constructor(type: 'counter' | 'gauge', name: string, help: string, labels: readonly string[] = []) {
    this.type = type;
    this.name = name;
    this.help = help;
    this.#children = new Children(labels, () => ({ value: 0 }));
    if (labels.length === 0) this.of();
  }

  of(a?: string, b?: string, c?: string): { value: number } {
    return this.#children.of(a, b, c);
  }

  get(): ReturnType<Family['get']> {
    const values = this.#children.all.map(({ labels, child }) => ({ labels, value: child.value }));
    return { name: this.name, help: this.help, type: this.type, aggregator: 'sum' as const, values };
  }
}

/** One distribution: counts by bucket, not yet added up. */
export class Spread {
  readonly bounds: readonly number[];
  readonly counts: Float64Array;
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    // NaN would poison the sum for ever; a clock that stepped back is no negative duration.
    const safe = Number.isFinite(value) ? Math.max(value, 0) : 0;
    const { bounds, counts } = this;
    let at = 0;
    while (at < bounds.length && safe > bounds[at]!) at++;
    counts[at]! += 1;
    this.sum += safe;
  }
}

export class Histograms implements Family {
  readonly name: string;
  readonly help: string;
  readonly type = 'histogram';
  readonly #children: Children<Spread>;

  constructor(name: string, help: string, bounds: readonly number[], labels: readonly string[] = []) {
    this.name = name;
    this.help = help;
    this.#children = new Children(labels, () => new Spread(bounds));
    if (labels.length === 0) this.of();
  }

  of(a?: string, b?: string, c?: string): Spread {
    return this.#children.of(a, b, c);
  }

  get(): ReturnType<Family['get']> {
    const values: Sample[] = [];
    for (const { labels, child } of this.#children.all) {
      let running = 0;
      for (const [at, count] of child.counts.entries()) {
        running += count;
        const le = child.bounds[at] ?? '+Inf';
        values.push({ metricName: `${this.name}_bucket`, labels: { ...labels, le }, value: running });
      }
      values.push({ metricName: `${this.name}_sum`, labels, value: child.sum });
      values.push({ metricName: `${this.name}_count`, labels, value: running });
    }
    return { name: this.name, help: this.help, type: this.type, aggregator: 'sum' as const, values };
  }
}
