/** What was asked and not sent yet, in its order; what could not be sent in time fails. */
import type { Clock } from '../clock.ts';
import type { HoldfastError } from '../errors.ts';
import { type Agenda, Appointment } from './agenda.ts';
import type { Op } from './op.ts';
import type { Stream } from './stream.ts';

export class Unsent {
  readonly #clock: Clock;
  readonly #agenda: Agenda;
  /** Why nothing could be sent. */
  readonly #why: () => HoldfastError;
  readonly #expiry: Appointment;
  #ops: Op[] = [];

  constructor(clock: Clock, agenda: Agenda, why: () => HoldfastError) {
    this.#clock = clock;
    this.#agenda = agenda;
    this.#why = why;
    this.#expiry = new Appointment(() => this.expire(), true);
  }

  get length(): number {
    return this.#ops.length;
  }

  add(op: Op): void {
    this.#ops.push(op);
  }

  addFirst(ops: readonly Op[]): void {
    if (ops.length > 0) this.#ops = [...ops, ...this.#ops];
  }

  /** Out with those that `leaves` says. */
  take(leaves: (op: Op) => boolean): Op[] {
    const taken = this.#ops.filter(leaves);
    this.#ops = this.#ops.filter((op) => !leaves(op));
    return taken;
  }

  /** As much as it takes now. */
  sendTo(stream: Stream): void {
    if (this.#expiry.dueMs !== Number.POSITIVE_INFINITY) this.#agenda.drop(this.#expiry);
    const ops = this.#ops;
    const nowMs = this.#clock.nowMs();
    let at = 0;
    while (at < ops.length && stream.open) at = stream.send(ops, at, nowMs);
    this.#ops = at === ops.length ? [] : ops.slice(at);
  }

  /** There is no stream: from now on time counts. */
  expire(): void {
    const nowMs = this.#clock.nowMs();
    const late = this.take(({ untilMs, dropped }) => untilMs <= nowMs || dropped);
    for (const op of late) if (!op.dropped) op.onFailed(this.#why());
    let nextMs = Number.POSITIVE_INFINITY;
    for (const { untilMs } of this.#ops) nextMs = Math.min(nextMs, untilMs);
    if (nextMs < Number.POSITIVE_INFINITY) this.#agenda.put(this.#expiry, nextMs);
    else this.#agenda.drop(this.#expiry);
  }
}
