/** Unary calls that wait for a connection. */
import type { HoldfastError } from '../errors.ts';
import { type Agenda, Appointment } from './agenda.ts';
import type { Link } from './link.ts';

interface Waiting {
  readonly resolve: (link: Link) => void;
  readonly reject: (error: HoldfastError) => void;
  readonly late: Appointment;
}

export class AwaitingLink {
  readonly #agenda: Agenda;
  readonly #waiting = new Set<Waiting>();

  constructor(agenda: Agenda) {
    this.#agenda = agenda;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** Rejects with what `why` says when none has come by then. */
  wait(untilMs: number, why: () => HoldfastError): Promise<Link> {
    return new Promise((resolve, reject) => {
      const late = new Appointment(() => {
        this.#waiting.delete(waiting);
        reject(why());
      }, true);
      const waiting = { resolve, reject, late };
      this.#waiting.add(waiting);
      this.#agenda.put(late, untilMs);
    });
  }

  onLink(link: Link): void {
    for (const { resolve } of this.#take()) resolve(link);
  }

  fail(error: HoldfastError): void {
    for (const { reject } of this.#take()) reject(error);
  }

  #take(): Waiting[] {
    const all = [...this.#waiting];
    this.#waiting.clear();
    for (const { late } of all) this.#agenda.drop(late);
    return all;
  }
}
