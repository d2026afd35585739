/** Throws for the generator: every choice of a plan is one of these, so that a seed is all there is to it. */
import { SeededRandom } from '../../src/std/random.ts';

export class Dice {
  readonly #random: SeededRandom;

  constructor(seed: number) {
    this.#random = new SeededRandom(Math.imul(seed ^ 0x5bd1e995, 0x9e3779b1) >>> 0);
  }

  chance(share: number): boolean {
    return this.#random.fraction() < share;
  }

  /** Whole, both ends included. */
  whole(least: number, most: number): number {
    return least + Math.floor(this.#random.fraction() * (most - least + 1));
  }

  /** Whole, as often between 10 and 100 as between 100 and 1000: what is short must not be rare. */
  spread(least: number, most: number): number {
    return Math.round(least * (most / least) ** this.#random.fraction());
  }

  /** A share of this order, never 0. */
  share(least: number, most: number): number {
    return Math.round(1000 * least * (most / least) ** this.#random.fraction()) / 1000;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.whole(0, list.length - 1)]!;
  }

  /** Two whole numbers, the smaller first. */
  span(least: number, most: number): [number, number] {
    const one = this.spread(least, most);
    const other = this.spread(least, most);
    return [Math.min(one, other), Math.max(one, other)];
  }

  seed(): number {
    return this.whole(0, 2 ** 32 - 1);
  }
}
