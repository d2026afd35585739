/** Closes a stream on which nothing is asked or kept for a while: as long as one is open the process lives. */
import type { Clock } from '../clock.ts';
import { type Agenda, Appointment } from './agenda.ts';
import type { Stream } from './stream.ts';

const IDLE_MS = 250;

export class Idle {
  readonly #clock: Clock;
  readonly #agenda: Agenda;
  /** Goes by itself: the stream keeps the process alive until then. */
  readonly #end: Appointment;
  #stream: Stream | undefined;

  constructor(clock: Clock, agenda: Agenda, onIdle: (stream: Stream) => void) {
    this.#clock = clock;
    this.#agenda = agenda;
    this.#end = new Appointment(() => {
      const stream = this.#stream;
      if (stream?.idle !== true) return;
      if (stream.usedMs + IDLE_MS > clock.nowMs()) this.#agenda.put(this.#end, stream.usedMs + IDLE_MS);
      else onIdle(stream);
    }, false);
  }

  /** Nothing is asked or kept on it right now. */
  onIdle(stream: Stream): void {
    this.#stream = stream;
    if (this.#end.dueMs === Number.POSITIVE_INFINITY)
      this.#agenda.put(this.#end, this.#clock.nowMs() + IDLE_MS);
  }
}
