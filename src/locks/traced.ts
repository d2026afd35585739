/** What the locks keep for traces, of calls that are sampled and of no others: in which spans leases were granted. */
import type { CallTraces, Probe } from '../domain/probe.ts';
import type { NodeHolder } from '../nodes/node.ts';
import { grantsOf } from './card.ts';

/** Leases that nobody releases here would stay for ever: the oldest go. */
const GRANTS_MAX = 10_000;

/** By lease value, so that a release can be linked to the grant. */
export class TracedGrants {
  readonly #byValue = new Map<string, string>();

  note(value: string, traceparent: string): void {
    this.#byValue.set(value, traceparent);
    if (this.#byValue.size <= GRANTS_MAX) return;
    const [oldest] = this.#byValue.keys();
    this.#byValue.delete(oldest as string);
  }

  take(value: string): string | undefined {
    if (this.#byValue.size === 0) return undefined;
    const traceparent = this.#byValue.get(value);
    if (traceparent !== undefined) this.#byValue.delete(value);
    return traceparent;
  }
}

/** An Acquire that is sampled, and the grants that were in its way. */
export class TracedAsk {
  readonly traceparent: string;
  readonly #traces: CallTraces;
  readonly #grants = new Set<string>();

  private constructor(traces: CallTraces, traceparent: string) {
    this.#traces = traces;
    this.traceparent = traceparent;
  }

  /** Undefined for a call that is not sampled. */
  static of({ traces }: Probe): TracedAsk | undefined {
    const traceparent = traces?.current();
    return traces === undefined || traceparent === undefined ? undefined : new TracedAsk(traces, traceparent);
  }

  get knowsHolders(): boolean {
    return this.#grants.size > 0;
  }

  meet(holders: readonly NodeHolder[]): void {
    for (const grant of grantsOf(holders)) this.#grants.add(grant);
  }

  meetGrant(grant: string): void {
    this.#grants.add(grant);
  }

  /** Links its span with theirs. */
  link(): void {
    if (this.#grants.size > 0) this.#traces.waitedFor(this.#grants);
    this.#grants.clear();
  }
}
