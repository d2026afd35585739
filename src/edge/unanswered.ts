/** The operations of a session that it still owes an answer, and how many of them press. */
import type { Claim } from './claim.ts';
import type { Seq } from './seq-set.ts';

export class Unanswered {
  readonly #open = new Map<Seq, Claim | undefined>();
  #claims = 0;
  #waiting = 0;

  get size(): number {
    return this.#open.size;
  }

  /** Acquires and resumes. */
  get claims(): number {
    return this.#claims;
  }

  /** All but those that may stand in line. */
  get pressing(): number {
    return this.#open.size - this.#waiting;
  }

  has(seq: Seq): boolean {
    return this.#open.has(seq);
  }

  claim(seq: Seq): Claim | undefined {
    return this.#open.get(seq);
  }

  add(seq: Seq, claim?: Claim): void {
    this.#open.set(seq, claim);
    if (claim !== undefined) this.#count(claim, 1);
  }

  /** False if it was answered already. */
  remove(seq: Seq): boolean {
    const claim = this.#open.get(seq);
    if (!this.#open.delete(seq)) return false;
    if (claim !== undefined) this.#count(claim, -1);
    return true;
  }

  /** Nobody waits for any of these answers any more. */
  leave(): void {
    if (this.#claims > 0) for (const claim of this.#open.values()) claim?.leave();
  }

  #count(claim: Claim, by: 1 | -1): void {
    this.#claims += by;
    if (claim.waits) this.#waiting += by;
  }
}
