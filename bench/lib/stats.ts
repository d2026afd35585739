/** Medians, quantiles and spreads, and the order in which two sides take turns on a noisy machine. */

export function quantile(values: readonly number[], at: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  if (sorted.length === 0) return Number.NaN;
  const place = (sorted.length - 1) * at;
  const below = Math.floor(place);
  const low = sorted[below]!;
  const high = sorted[Math.min(below + 1, sorted.length - 1)]!;
  return low + (high - low) * (place - below);
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

/** Half of the pairs lie within so many percent of each other. */
export function spreadPercent(values: readonly number[]): number {
  return (100 * (quantile(values, 0.75) - quantile(values, 0.25))) / median(values);
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** What one side did in one slice. */
export interface Slice {
  /** Operations, or pairs of them, that ended. */
  readonly done: number;
  readonly tookMs: number;
  /** Microseconds of CPU by process name. */
  readonly cpu: Readonly<Record<string, number>>;
  /** How long some of them took. */
  readonly latenciesMs: readonly number[];
}

export type Side = (ms: number) => Promise<Slice>;

/** Slices of both sides, neighbours in time at the same index. */
export interface Duel {
  readonly a: readonly Slice[];
  readonly b: readonly Slice[];
}

const SLICE_MS = 350;
const PAIRS = 14;
const WARM_UP_MS = 10_000;

/** A B, B A, A B, ...: noise that drifts favours neither side, and each ratio is one of neighbours. */
export async function duel(a: Side, b: Side, pairs = PAIRS, warmUpMs = WARM_UP_MS): Promise<Duel> {
  const slices: { a: Slice[]; b: Slice[] } = { a: [], b: [] };
  await a(warmUpMs);
  await b(warmUpMs);
  for (let pair = 0; pair < pairs; pair += 1) {
    const order = pair % 2 === 0 ? (['a', 'b'] as const) : (['b', 'a'] as const);
    for (const side of order) slices[side].push(await (side === 'a' ? a : b)(SLICE_MS));
  }
  return slices;
}

export function ratios({ a, b }: Duel, figure: (slice: Slice) => number): number[] {
  return a.map((slice, index) => figure(slice) / figure(b[index]!));
}

export const rate = ({ done, tookMs }: Slice): number => (done * 1000) / tookMs;

/** Microseconds of CPU for each operation, of the processes whose name begins with `prefix`. */
export function cpuPer(slices: readonly Slice[], prefix = ''): number {
  const spent = slices.flatMap(({ cpu }) =>
    Object.entries(cpu).flatMap(([name, micros]) => (name.startsWith(prefix) ? [micros] : [])),
  );
  return sum(spent) / sum(slices.map(({ done }) => done));
}

export function latencies(slices: readonly Slice[]): { p50: number; p99: number } {
  const all = slices.flatMap(({ latenciesMs }) => latenciesMs);
  return { p50: quantile(all, 0.5), p99: quantile(all, 0.99) };
}
