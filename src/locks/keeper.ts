/** Keeps places alive: takes each anew well within its liveness, for as long as a majority of the nodes can be reached. */
import type { Answer } from '../nodes/node.ts';
import type { Quorum } from '../quorum/quorum.ts';
import type { Lookout } from './lookout.ts';
import type { Places } from './places.ts';
import type { Waiter } from './waiter.ts';

/** Within one liveness: two messages in a row may be lost. */
const REFRESHES = 3;
/** A node that owes too many answers takes no more questions, and votes must not wait behind these. */
const AT_ONCE = 256;

export class Keeper {
  readonly #quorum: Quorum;
  readonly #places: Places;
  readonly #lookout: Lookout;
  readonly #everyMs: number;
  readonly #onPlaced: (waiter: Waiter, node: number, answer: Answer) => void;
  #running = false;

  constructor(
    quorum: Quorum,
    places: Places,
    lookout: Lookout,
    livenessMs: number,
    onPlaced: (waiter: Waiter, node: number, answer: Answer) => void,
  ) {
    this.#quorum = quorum;
    this.#places = places;
    this.#lookout = lookout;
    this.#everyMs = livenessMs / REFRESHES;
    this.#onPlaced = onPlaced;
  }

  /** Somebody waits; goes on by itself until nobody does. */
  start(): void {
    if (this.#running) return;
    this.#running = true;
    this.#later(this.#everyMs);
  }

  #later(delayMs: number): void {
    this.#quorum.clock.after(delayMs, () => void this.#round());
  }

  async #round(): Promise<void> {
    const { clock } = this.#quorum;
    const nextMs = clock.monotonicMs() + this.#everyMs;
    const due = [...this.#places.all()];
    this.#running = due.length > 0;
    if (!this.#running) return;
    for (let start = 0; start < due.length; start += AT_ONCE) {
      await Promise.all(due.slice(start, start + AT_ONCE).map((waiter) => this.#keep(waiter)));
    }
    this.#later(Math.max(0, nextMs - clock.monotonicMs()));
  }

  /** One that is cut off must not stand in others' way. */
  async #keep(waiter: Waiter): Promise<void> {
    const cutOff = waiter.place.resources.some((resource) => this.#lookout.isCutOff(resource));
    if (!waiter.joined || waiter.state !== 'queued' || cutOff) return;
    const answers = await this.#quorum.votes.all({ kind: 'join', place: waiter.place });
    for (const [node, answer] of answers.entries()) this.#onPlaced(waiter, node, answer);
  }
}
