/** Capture first, run outside: what happens is put into a ring at once, and sinks are called later, each on its own. */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Happening, Probe } from '../../domain/probe.ts';
import { assert } from '../../std/assert.ts';
import type { Clock, Timer } from '../../std/clock.ts';
import type { EventSink, Pipeline, Priority } from './event.ts';
import type { EventMetrics } from './event-metrics.ts';
import { BOUNDS, type Bounds, Captured, Lane } from './lane.ts';
import { EventQueue } from './queue.ts';
import { Missed } from './stretch.ts';

export interface PipelineOptions {
  readonly clock: Clock;
  /** Events that may wait here, and again for each sink. */
  readonly capacity: number;
  readonly metrics: EventMetrics;
  readonly notice: Probe['notice'];
  readonly bounds?: Partial<Bounds>;
}

/** Somebody is told, or loses what it believes in: nobody may hear of that half a second late. */
const URGENT = new Set<Happening['type']>(['forced', 'lost', 'quorum_lost', 'quorum_regained']);

export class EventPipeline implements Pipeline {
  readonly probe: Pick<Probe, 'happened'> = { happened: (happening) => this.#capture(happening) };
  readonly #options: PipelineOptions;
  readonly #bounds: Bounds;
  readonly #ring: EventQueue<Captured>;
  readonly #dropped: Readonly<Record<Priority, Missed>> = { now: new Missed(), routine: new Missed() };
  /** By the name of their sink. */
  readonly #lanes = new Map<string, Lane>();
  /**
   * Whether any sink wants routine events. Where none does they must not even be kept: what a ring keeps for a moment
   * outlives collections of garbage, and costs far more than it cost to make.
   */
  #routine = false;
  /** Sinks run in nobody's name: not in the trace of the call that happened to fill a batch. */
  readonly #outside = AsyncLocalStorage.snapshot();
  #seq = 0;
  /** Of the drain that is to come, and whether it comes at once. */
  #timer: Timer | undefined;
  #soon = false;
  #state: 'open' | 'closing' | 'closed' = 'open';

  constructor(options: PipelineOptions) {
    this.#options = options;
    this.#bounds = { ...BOUNDS, ...options.bounds };
    this.#ring = new EventQueue(options.capacity);
  }

  add(sink: EventSink): void {
    assert(!this.#lanes.has(sink.name), `two event sinks are called ${sink.name}`);
    const { clock, capacity, metrics, notice } = this.#options;
    this.#lanes.set(sink.name, new Lane(sink, { clock, capacity, bounds: this.#bounds, metrics, notice }));
    if (!sink.urgentOnly) this.#routine = true;
  }

  async flush(): Promise<void> {
    this.#drain();
    await Promise.all([...this.#lanes.values()].map((lane) => lane.drained()));
  }

  async close(limitMs: number): Promise<void> {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    this.#drain();
    await Promise.all([...this.#lanes.values()].map((lane) => lane.close(limitMs)));
    this.#state = 'closed';
    this.#timer?.cancel();
    this.#options.metrics.dropped(this.#ring.take(Number.POSITIVE_INFINITY).length);
  }

  #capture(happening: Happening): void {
    const priority: Priority = URGENT.has(happening.type) ? 'now' : 'routine';
    if (priority === 'routine' && !this.#routine) return;
    if (this.#state === 'closed') {
      this.#options.metrics.dropped(1);
      return;
    }
    this.#seq += 1;
    const gone = this.#ring.push(new Captured(this.#seq, priority, happening));
    if (gone !== undefined) {
      this.#dropped[gone.priority].addOne(gone.happening.timeMs);
      this.#options.metrics.dropped(1);
    }
    if (this.#soon) return;
    if (
      priority === 'now' ||
      this.#state === 'closing' ||
      this.#ring.size >= Math.min(this.#bounds.batchEvents, this.#options.capacity)
    ) {
      this.#soon = true;
      this.#timer?.cancel();
      this.#schedule(0);
    } else if (this.#timer === undefined) this.#schedule(this.#bounds.batchAgeMs);
  }

  #schedule(delayMs: number): void {
    this.#timer = this.#options.clock.after(delayMs, () => this.#outside(() => this.#drain()));
  }

  /** All that is there now; what sinks announce meanwhile is for the next time. */
  #drain(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#soon = false;
    const missed = { now: this.#dropped.now.take(), routine: this.#dropped.routine.take() };
    const events = this.#ring.take(this.#ring.size);
    for (const lane of this.#lanes.values()) lane.offer(events, missed);
  }
}
