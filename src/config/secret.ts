/** A value that does not print: logs, JSON and inspection show stars, and only `reveal` gives it away. */
import { inspect } from 'node:util';

const STARS = '***';

export class Secret {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  reveal(): string {
    return this.#text;
  }

  toString(): string {
    return STARS;
  }

  toJSON(): string {
    return STARS;
  }

  [inspect.custom](): string {
    return STARS;
  }
}
