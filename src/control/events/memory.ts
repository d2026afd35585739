/** The back end that needs nothing: the last events, in memory, for as long as the process lives. */
import { Ring } from '../../std/ring.ts';
import type { ControlEvent, EventSink } from './event.ts';
import { Missed, type Stretch } from './stretch.ts';

export class MemorySink implements EventSink {
  readonly name = 'memory';
  readonly urgentOnly: boolean;
  readonly #events: Ring<ControlEvent>;
  readonly #missed = new Missed();

  constructor(capacity: number, { urgentOnly = false } = {}) {
    this.#events = new Ring(capacity);
    this.urgentOnly = urgentOnly;
  }

  async deliver(batch: readonly ControlEvent[]): Promise<void> {
    for (const event of batch) this.#events.push(event);
  }

  missed(count: number, fromMs: number, untilMs: number): void {
    this.#missed.add({ count, fromMs, untilMs });
  }

  /** The oldest first. */
  all(): readonly ControlEvent[] {
    return this.#events.all();
  }

  /** What never came here, since this was asked last. */
  takeMissed(): Stretch | undefined {
    return this.#missed.take();
  }
}
