/** The second connection of a replica to a node: hears what the node publishes, as redis-ear.ts does. */
import type { Ears } from '../../../src/nodes/line.ts';
import type { Timer } from '../../../src/std/clock.ts';
import { Caller, type CallerOptions } from './caller.ts';
import type { Published } from './wire.ts';

export class Ear {
  readonly #options: CallerOptions;
  readonly #ears: Ears;
  readonly #caller: Caller;
  #following: Timer | undefined;
  /** The news come in now. */
  #hears = false;

  constructor(options: CallerOptions, ears: Ears) {
    this.#options = options;
    this.#ears = ears;
    this.#caller = new Caller(options, {
      onConnected: () => this.#listen(),
      onBroken: () => {
        if (this.#hears) ears.missed();
        this.#hears = false;
      },
      onPublished: (published) => this.#hear(published),
    });
  }

  follow(forMs: number): void {
    const first = this.#following === undefined;
    this.#following?.cancel();
    this.#following = this.#options.process.after(forMs, () => {
      this.#following = undefined;
      this.#hears = false;
      this.#listen();
    });
    if (first) this.#listen();
  }

  close(): void {
    this.#following?.cancel();
    this.#following = undefined;
    this.#hears = false;
    this.#caller.close();
  }

  reset(): void {
    this.#caller.reset();
  }

  #listen(): void {
    if (!this.#caller.connected) return;
    const news = this.#following !== undefined;
    this.#caller.ask({ kind: 'listen', replica: this.#ears.replica, news }, (told) => {
      if (told.kind === 'listen') this.#hears = this.#following !== undefined;
    });
  }

  #hear(published: Published): void {
    if (published.kind === 'wake') this.#ears.wake(published.wake);
    else if (published.kind === 'forced') this.#ears.forced(published.leaseRef);
    else if (this.#following !== undefined) this.#ears.news(published.news);
  }
}
