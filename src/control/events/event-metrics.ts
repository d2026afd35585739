/** What the pipeline counts: events that were dropped, and how each sink does. */
import { type Family, Numbers } from '../families.ts';

export class EventMetrics {
  readonly #dropped = new Numbers(
    'counter',
    'holdfast_events_dropped_total',
    'Events that were dropped before any sink could be given them, for want of room.',
  );
  readonly #failures = new Numbers(
    'counter',
    'holdfast_sink_failures_total',
    'Deliveries to a sink that failed or took too long.',
    ['sink'],
  );
  readonly #sinkDropped = new Numbers(
    'counter',
    'holdfast_sink_dropped_total',
    'Events that a sink never took: its queue was full, or they were given up.',
    ['sink'],
  );
  readonly #pending = new Numbers('gauge', 'holdfast_sink_pending', 'Events that wait for a sink.', ['sink']);

  get families(): readonly Family[] {
    return [this.#dropped, this.#failures, this.#sinkDropped, this.#pending];
  }

  /** Its series exist from now on. */
  declare(sink: string): void {
    for (const family of [this.#failures, this.#sinkDropped, this.#pending]) family.of(sink);
  }

  dropped(count: number): void {
    this.#dropped.of().value += count;
  }

  failed(sink: string): void {
    this.#failures.of(sink).value += 1;
  }

  sinkDropped(sink: string, count: number): void {
    this.#sinkDropped.of(sink).value += count;
  }

  pending(sink: string, count: number): void {
    this.#pending.of(sink).value = count;
  }
}
