/** Counters, gauges and histograms as plain numbers: an update costs a few map look-ups, and text is made at the scrape. */

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

/** Children by their label values, found through one map for each label. */
class Children<T> {
  readonly all: { readonly labels: Readonly<Record<string, string>>; readonly child: T }[] = [];
  readonly #names: readonly string[];
  readonly #make: () => T;
  readonly #root = new Map<string, unknown>();

  constructor(names: readonly string[], make: () => T) {
    this.#names = names;
    this.#make = make;
  }

  of(values: readonly string[]): T {
    let level = this.#root;
    const last = values.length - 1;
    for (let at = 0; at < last; at++) {
      let next = level.get(values[at]!) as Map<string, unknown> | undefined;
      if (next === undefined) {
        if (this.#full(values)) return this.#overflow();
        next = new Map();
        level.set(values[at]!, next);
      }
      level = next;
    }
    const key = last < 0 ? '' : values[last]!;
    const found = level.get(key) as T | undefined;
    if (found !== undefined) return found;
    if (this.#full(values)) return this.#overflow();
    const child = this.#make();
    level.set(key, child);
    this.all.push({
      labels: Object.fromEntries(this.#names.map((name, at) => [name, values[at] ?? ''])),
      child,
    });
    return child;
  }

  #full(values: readonly string[]): boolean {
    return this.all.length >= CHILDREN_MAX && values[0] !== OVERFLOW;
  }

  #overflow(): T {
    return this.of(this.#names.map(() => OVERFLOW));
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

  of(...values: string[]): { value: number } {
    return this.#children.of(values);
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

  of(...values: string[]): Spread {
    return this.#children.of(values);
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
