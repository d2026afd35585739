/** A queue of a fixed size, made once: when it is full the oldest gives way to the newest. */

export class Ring<T extends object> {
  readonly #slots: (T | undefined)[];
  #first = 0;
  #size = 0;

  constructor(capacity: number) {
    this.#slots = new Array<T | undefined>(capacity).fill(undefined);
  }

  get size(): number {
    return this.#size;
  }

  /** The oldest; it stays. */
  get first(): T | undefined {
    return this.#slots[this.#first];
  }

  /** What had to give way; undefined while there is room. */
  push(value: T): T | undefined {
    const slots = this.#slots;
    const full = this.#size === slots.length;
    const at = this.#first + this.#size;
    const last = at < slots.length ? at : at - slots.length;
    const oldest = slots[last];
    slots[last] = value;
    if (full) this.#first = this.#first + 1 === slots.length ? 0 : this.#first + 1;
    else this.#size += 1;
    return oldest;
  }

  /** The oldest first; they stay. */
  all(): T[] {
    const { length } = this.#slots;
    return Array.from({ length: this.#size }, (_, at) => this.#slots[(this.#first + at) % length]!);
  }

  /** The oldest, at most so many, in their order; they leave the ring. */
  take(most: number): T[] {
    const count = Math.min(most, this.#size);
    const taken: T[] = [];
    for (let each = 0; each < count; each += 1) taken.push(this.shift()!);
    return taken;
  }

  /** The oldest leaves the ring. */
  shift(): T | undefined {
    if (this.#size === 0) return undefined;
    const slots = this.#slots;
    const oldest = slots[this.#first];
    // A slot that still names what has left would keep it in memory.
    slots[this.#first] = undefined;
    this.#first = this.#first + 1 === slots.length ? 0 : this.#first + 1;
    this.#size -= 1;
    return oldest;
  }
}
