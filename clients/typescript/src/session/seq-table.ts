/**
 * What stands under each `seq` of a stream: an operation until it is answered, then perhaps the lease it was granted.
 *
 * A table of its own instead of a Map: a Map that is filled and emptied all the time leaves its old tables behind, and
 * what these still point to survives young collections, which cost as much as all the rest of an operation.
 * Open addressing; numbers that were given out one after the other hardly ever collide.
 */

const SMALLEST = 64;

export class SeqTable<Value extends object> {
  size = 0;
  /** 0 is no seq. */
  #keys: number[] = new Array<number>(SMALLEST).fill(0);
  #values: (Value | undefined)[] = new Array<Value | undefined>(SMALLEST).fill(undefined);

  get(seq: number): Value | undefined {
    return this.#values[this.#find(seq)];
  }

  set(seq: number, value: Value): void {
    const at = this.#find(seq);
    if (this.#keys[at] === 0) {
      this.#keys[at] = seq;
      this.size += 1;
    }
    this.#values[at] = value;
    if (this.size * 2 > this.#keys.length) this.#resize(this.#keys.length * 2);
  }

  delete(seq: number): void {
    let gap = this.#find(seq);
    const keys = this.#keys;
    if (keys[gap] === 0) return;
    const mask = keys.length - 1;
    // Whatever was pushed on by this one moves up, so that no search ends too early.
    for (let at = (gap + 1) & mask; keys[at] !== 0; at = (at + 1) & mask) {
      const home = keys[at]! & mask;
      if (((at - home) & mask) < ((at - gap) & mask)) continue;
      keys[gap] = keys[at]!;
      this.#values[gap] = this.#values[at];
      gap = at;
    }
    keys[gap] = 0;
    this.#values[gap] = undefined;
    this.size -= 1;
    if (keys.length > SMALLEST && this.size * 8 < keys.length) this.#resize(keys.length / 2);
  }

  clear(): void {
    this.size = 0;
    this.#resize(SMALLEST);
  }

  /** In no order; a copy, so that it may change meanwhile. */
  values(): Value[] {
    return this.#values.filter((value) => value !== undefined);
  }

  #find(seq: number): number {
    const keys = this.#keys;
    const mask = keys.length - 1;
    let at = seq & mask;
    while (keys[at] !== 0 && keys[at] !== seq) at = (at + 1) & mask;
    return at;
  }

  #resize(capacity: number): void {
    const [keys, values] = this.size === 0 ? [[], []] : [this.#keys, this.#values];
    this.#keys = new Array<number>(capacity).fill(0);
    this.#values = new Array<Value | undefined>(capacity).fill(undefined);
    this.size = 0;
    keys.forEach((seq, at) => {
      if (seq !== 0) this.set(seq, values[at]!);
    });
  }
}
