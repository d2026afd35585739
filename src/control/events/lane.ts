/** One sink's own way out: its queue, one delivery at a time, patience with bounds, and what the sink must miss. */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Happening, Probe } from '../../domain/probe.ts';
import { type Clock, pause, type Timer } from '../../std/clock.ts';
import type { ControlEvent, EventSink, Priority } from './event.ts';
import type { EventMetrics } from './event-metrics.ts';
import { EventQueue } from './queue.ts';
import { Missed, type Stretch } from './stretch.ts';

export interface Bounds {
  /** Routine events leave when so many are there... */
  readonly batchEvents: number;
  /** ...or when the first of them is so old. */
  readonly batchAgeMs: number;
  /** A delivery that takes longer is given up: what it would have delivered is missed. */
  readonly deliverMs: number;
  /** A batch that a sink refuses comes so often in all. */
  readonly tries: number;
  /** Before the second try; four times as long before each further one. */
  readonly retryMs: number;
  readonly retryMsMax: number;
}

export const BOUNDS: Bounds = {
  batchEvents: 256,
  batchAgeMs: 500,
  deliverMs: 10_000,
  tries: 5,
  retryMs: 100,
  retryMsMax: 5000,
};

export interface LaneOptions {
  readonly clock: Clock;
  /** Events that may wait for this sink. */
  readonly capacity: number;
  readonly bounds: Bounds;
  readonly metrics: EventMetrics;
  readonly notice: Probe['notice'];
}

/** Which sink is at work, whatever it waits for: what it announces itself would come back to it for ever. */
const atWork = new AsyncLocalStorage<EventSink>();

export class Captured implements ControlEvent {
  readonly seq: number;
  readonly priority: Priority;
  readonly happening: Happening;
  readonly #by: EventSink | undefined = atWork.getStore();

  constructor(seq: number, priority: Priority, happening: Happening) {
    this.seq = seq;
    this.priority = priority;
    this.happening = happening;
  }

  isBy(sink: EventSink): boolean {
    return this.#by === sink;
  }
}

/** Of a closing, so much is for what still waits; the rest is for the sink's own close. */
const FLUSH_SHARE = 0.75;

type Ended = { readonly how: 'delivered' } | { readonly how: 'failed' | 'hung'; readonly why: string };

/** One try. A promise that never settles keeps this alive and nothing that hangs on it. */
class Attempt {
  #settle: ((ended: Ended) => void) | undefined;

  constructor(settle: (ended: Ended) => void) {
    this.#settle = settle;
  }

  settle(ended: Ended): void {
    const settle = this.#settle;
    this.#settle = undefined;
    settle?.(ended);
  }
}

/** On its own, so that what the promise remembers is the attempt alone. */
function watch(work: () => unknown, attempt: Attempt): void {
  try {
    Promise.resolve(work()).then(
      () => attempt.settle({ how: 'delivered' }),
      (error: unknown) => attempt.settle({ how: 'failed', why: textOf(error) }),
    );
  } catch (error) {
    attempt.settle({ how: 'failed', why: textOf(error) });
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export class Lane {
  readonly #sink: EventSink;
  readonly #options: LaneOptions;
  readonly #queue: EventQueue<Captured>;
  readonly #missed = new Missed();
  readonly #waiting: { readonly target: number; readonly resolve: () => void }[] = [];
  #taken = 0;
  #done = 0;
  #current: readonly Captured[] = [];
  #attempt: Attempt | undefined;
  #timer: Timer | undefined;
  /** Ends the pause before the next try or batch. */
  #resume: (() => void) | undefined;
  #state: 'open' | 'closing' | 'closed' = 'open';
  /** How many the sink missed since it began to fail; undefined while it does not. */
  #failing: { missed: number } | undefined;

  constructor(sink: EventSink, options: LaneOptions) {
    this.#sink = sink;
    this.#options = options;
    this.#queue = new EventQueue(options.capacity);
    options.metrics.declare(sink.name);
  }

  /** Takes what its sink wants into its queue; the sink hears later. `missed`: what was dropped before these. */
  offer(events: readonly Captured[], missed: Readonly<Record<Priority, Stretch | undefined>>): void {
    const { urgentOnly = false } = this.#sink;
    if (missed.now !== undefined) this.#missed.add(missed.now);
    if (missed.routine !== undefined && !urgentOnly) this.#missed.add(missed.routine);
    for (const event of events) {
      if (event.isBy(this.#sink) || (urgentOnly && event.priority === 'routine')) continue;
      this.#taken += 1;
      const gone = this.#state === 'closed' ? event : this.#queue.push(event);
      if (gone !== undefined) this.#lose([gone]);
    }
    this.#count();
    this.#next();
  }

  /** What was offered so far has reached the sink, or was given up. */
  drained(): Promise<void> {
    if (this.#done >= this.#taken) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.push({ target: this.#taken, resolve });
    });
  }

  /** Never rejects, and is over by the limit. */
  async close(limitMs: number): Promise<void> {
    const { clock } = this.#options;
    const startedMs = clock.monotonicMs();
    this.#state = 'closing';
    this.#resume?.();
    await Promise.race([this.drained(), pause(clock, limitMs * FLUSH_SHARE)]);
    this.#state = 'closed';
    this.#timer?.cancel();
    this.#resume = undefined;
    this.#attempt = undefined;
    this.#lose([...this.#current, ...this.#queue.take(Number.POSITIVE_INFINITY)]);
    this.#current = [];
    this.#count();
    this.#tellMissed();
    const leftMs = Math.max(0, limitMs - (clock.monotonicMs() - startedMs));
    const ended = await new Promise<Ended>((resolve) => {
      watch(() => this.#sink.close?.(), new Attempt(resolve));
      clock.after(leftMs, () => resolve({ how: 'hung', why: 'it does not close' }));
    });
    if (ended.how !== 'delivered') this.#failed(ended.why);
  }

  #next(): void {
    if (this.#attempt !== undefined || this.#timer !== undefined || this.#state === 'closed') return;
    this.#tellMissed();
    const batch = this.#queue.take(this.#options.bounds.batchEvents);
    if (batch.length > 0) this.#deliver(batch, 1);
  }

  #deliver(batch: readonly Captured[], nth: number): void {
    const { clock, bounds } = this.#options;
    const attempt = new Attempt((ended) => {
      // Given up with everything else when the lane was closed.
      if (this.#attempt !== attempt) return;
      this.#attempt = undefined;
      this.#timer?.cancel();
      this.#timer = undefined;
      this.#ended(ended, batch, nth);
    });
    this.#current = batch;
    this.#attempt = attempt;
    this.#timer = clock.after(bounds.deliverMs, () =>
      attempt.settle({ how: 'hung', why: `no answer within ${bounds.deliverMs} ms` }),
    );
    watch(() => atWork.run(this.#sink, () => this.#sink.deliver(batch)), attempt);
  }

  #ended(ended: Ended, batch: readonly Captured[], nth: number): void {
    const { bounds } = this.#options;
    if (ended.how === 'delivered') this.#works();
    else {
      this.#failed(ended.why);
      // One that hangs may still deliver: to say it again would say it twice.
      if (ended.how === 'failed' && nth < bounds.tries) {
        const slower = this.#state === 'open' ? 4 ** (nth - 1) : 1;
        this.#later(Math.min(bounds.retryMs * slower, bounds.retryMsMax), () =>
          this.#deliver(batch, nth + 1),
        );
        return;
      }
      this.#lose(batch);
    }
    this.#current = [];
    if (ended.how === 'delivered') this.#settled(batch.length);
    this.#count();
    // In another turn: a sink that is quick must not keep the event loop to itself.
    this.#later(0, () => this.#next());
  }

  #later(delayMs: number, act: () => void): void {
    this.#resume = () => {
      this.#timer?.cancel();
      this.#timer = undefined;
      this.#resume = undefined;
      act();
    };
    this.#timer = this.#options.clock.after(delayMs, this.#resume);
  }

  #lose(events: readonly Captured[]): void {
    if (events.length === 0) return;
    for (const { happening } of events) this.#missed.addOne(happening.timeMs);
    this.#options.metrics.sinkDropped(this.#sink.name, events.length);
    if (this.#failing !== undefined) this.#failing.missed += events.length;
    this.#settled(events.length);
  }

  #settled(count: number): void {
    this.#done += count;
    while ((this.#waiting[0]?.target ?? Number.POSITIVE_INFINITY) <= this.#done)
      this.#waiting.shift()!.resolve();
  }

  #tellMissed(): void {
    const stretch = this.#missed.take();
    if (stretch === undefined) return;
    try {
      atWork.run(this.#sink, () => this.#sink.missed?.(stretch.count, stretch.fromMs, stretch.untilMs));
    } catch (error) {
      this.#failed(textOf(error));
    }
  }

  #count(): void {
    this.#options.metrics.pending(this.#sink.name, this.#queue.size + this.#current.length);
  }

  /** Told once, not for each try. */
  #failed(why: string): void {
    const { metrics, notice } = this.#options;
    const { name } = this.#sink;
    metrics.failed(name);
    if (this.#failing !== undefined) return;
    this.#failing = { missed: 0 };
    notice('warn', `events do not reach ${name}`, { sink: name, why });
  }

  #works(): void {
    if (this.#failing === undefined) return;
    const { name } = this.#sink;
    this.#options.notice('info', `events reach ${name} again`, { sink: name, missed: this.#failing.missed });
    this.#failing = undefined;
  }
}
