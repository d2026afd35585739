/** The seqs that a session has used: exact as long as they come in no more than so many runs. */

import { numberOf, type Wide } from './fields.ts';

/** A uint64: a number while that is exact, and only beyond it a bigint, so that equal ones are the same value. */
export type Seq = number | bigint;

/** Each is 16 bytes and a little; clients that count need one, or a few. */
export const RANGES_KEPT = 65_536;

export function seqOf(wide: Wide): Seq {
  const seq = numberOf(wide);
  return seq <= Number.MAX_SAFE_INTEGER ? seq : BigInt(wide.toString());
}

/** For the encoder, which knows no bigint. */
export function wireSeq(seq: Seq): number | string {
  return typeof seq === 'number' ? seq : seq.toString();
}

function after(seq: Seq): Seq {
  if (typeof seq === 'bigint') return seq + 1n;
  return seq < Number.MAX_SAFE_INTEGER ? seq + 1 : BigInt(seq) + 1n;
}

/** Runs that neither touch nor overlap, lowest first. */
export class SeqSet {
  readonly #first: Seq[] = [];
  readonly #last: Seq[] = [];
  readonly #most: number;

  constructor(most = RANGES_KEPT) {
    this.#most = most;
  }

  get ranges(): number {
    return this.#first.length;
  }

  has(seq: Seq): boolean {
    const at = this.#from(seq);
    return at < this.#first.length && this.#first[at]! <= seq;
  }

  /** False if it was there. */
  add(seq: Seq): boolean {
    const top = this.#last.length - 1;
    // Nearly every client counts upwards by one.
    if (top >= 0 && after(this.#last[top]!) === seq) {
      this.#last[top] = seq;
      return true;
    }
    const at = this.#from(seq);
    if (at < this.#first.length && this.#first[at]! <= seq) return false;
    this.#insert(at, seq);
    return true;
  }

  /** The first run that ends at `seq` or later. */
  #from(seq: Seq): number {
    let low = 0;
    let high = this.#last.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#last[middle]! < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #insert(at: number, seq: Seq): void {
    const joinsBelow = at > 0 && after(this.#last[at - 1]!) === seq;
    const joinsAbove = at < this.#first.length && after(seq) === this.#first[at];
    if (joinsBelow && joinsAbove) {
      this.#last.splice(at - 1, 1);
      this.#first.splice(at, 1);
    } else if (joinsBelow) this.#last[at - 1] = seq;
    else if (joinsAbove) this.#first[at] = seq;
    else {
      this.#first.splice(at, 0, seq);
      this.#last.splice(at, 0, seq);
      if (this.#first.length > this.#most) this.#forgetLowest();
    }
  }

  #forgetLowest(): void {
    this.#first.shift();
    this.#last.shift();
  }
}
