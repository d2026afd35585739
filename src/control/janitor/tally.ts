/** Adds up one look at all locks: figures by class, and who holds, is silent or waits for too long. Pure. */
import type { HolderView, WaiterView } from '../../locks/locks.ts';
import { limitsFor, type Observation, type ObservedKind, type Thresholds } from '../alerts/observation.ts';
import { type ClassFigures, noFigures } from './gauges.ts';

/** No progress that is seen to change counts from then; one that is not known to have changed, from when it was seen. */
interface Progress {
  readonly text: string;
  readonly sinceMs: number;
}

/** What outlives one pass: since when each lease has shown the same progress. */
export type Memory = ReadonlyMap<string, Progress>;

/** Beyond this the newest are not remembered: each then counts from its grant. */
const REMEMBERED_MAX = 200_000;
/** More of them help nobody, and a receiver has to hold them all. */
const OBSERVATIONS_MAX = 10_000;

export interface TallyOptions {
  readonly classOf: (resource: string) => string;
  readonly thresholds: Thresholds;
  readonly nowMs: number;
  /** Of the pass before. */
  readonly before: Memory;
}

export class Tally {
  readonly figures = new Map<string, ClassFigures>();
  readonly observations: Observation[] = [];
  readonly memory = new Map<string, Progress>();
  readonly #options: TallyOptions;

  constructor(options: TallyOptions) {
    this.#options = options;
  }

  held(resource: string, holders: readonly HolderView[]): void {
    const { nowMs } = this.#options;
    const figures = this.#figuresOf(resource);
    if (holders.length > 0) figures.held += 1;
    for (const holder of holders) {
      const forMs = nowMs - holder.acquireTimeMs;
      figures.longestHoldMs = Math.max(figures.longestHoldMs, forMs);
      const { owner, leaseRef } = holder;
      const who = { resource, owner, leaseRef };
      this.#observe('held_too_long', who, holder.acquireTimeMs, '');
      this.#observe('silent_holder', who, this.#silentSince(holder), holder.progress);
    }
  }

  waiting(resource: string, queueLength: number, waiters: readonly WaiterView[]): void {
    const figures = this.#figuresOf(resource);
    figures.waiting += queueLength;
    for (const { owner, sinceMs, position } of waiters) {
      figures.oldestWaitMs = Math.max(figures.oldestWaitMs, this.#options.nowMs - sinceMs);
      this.#observe(
        'starving_waiter',
        { resource, owner, leaseRef: '' },
        sinceMs,
        `position ${position} of ${queueLength}`,
      );
    }
  }

  #figuresOf(resource: string): ClassFigures {
    const name = this.#options.classOf(resource);
    const known = this.figures.get(name) ?? noFigures();
    this.figures.set(name, known);
    return known;
  }

  /**
   * Who never reported progress is silent from its grant. Of a text that was there when this replica first looked
   * nobody knows its age: it counts from that look.
   */
  #silentSince({ leaseRef, progress, acquireTimeMs }: HolderView): number {
    const known = this.#options.before.get(leaseRef) ?? this.memory.get(leaseRef);
    const fresh = progress === '' ? acquireTimeMs : this.#options.nowMs;
    const now = known?.text === progress ? known : { text: progress, sinceMs: fresh };
    if (this.memory.size < REMEMBERED_MAX) this.memory.set(leaseRef, now);
    return now.sinceMs;
  }

  #observe(
    kind: ObservedKind,
    who: Pick<Observation, 'resource' | 'owner' | 'leaseRef'>,
    sinceMs: number,
    detail: string,
  ): void {
    const { thresholds, nowMs, classOf } = this.#options;
    const name = classOf(who.resource);
    const { heldTooLongMs, maxSilenceMs, starvingMs } = limitsFor(thresholds, name);
    const limitMs = {
      held_too_long: heldTooLongMs,
      silent_holder: maxSilenceMs,
      starving_waiter: starvingMs,
    };
    const forMs = nowMs - sinceMs;
    if (limitMs[kind] === 0 || forMs < limitMs[kind]) return;
    this.#figuresOf(who.resource)[kind] += 1;
    if (this.observations.length >= OBSERVATIONS_MAX) return;
    this.observations.push({ kind, ...who, class: name, sinceMs, forMs, detail });
  }
}
