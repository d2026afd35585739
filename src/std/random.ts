/** The one door to chance: secrets from the kernel, fractions for jitter, and a seeded source for tests. */
import { randomFillSync } from 'node:crypto';

export interface Random {
  /** `size` bytes that nobody can guess. */
  bytes(size: number): Buffer;
  /** A fraction in [0, 1), for jitter only. */
  fraction(): number;
}

const POOL_BYTES = 8192;

/** Asks the kernel for a pool at a time: one system call per lease would show in the profile. */
class PooledRandom implements Random {
  #pool = Buffer.alloc(POOL_BYTES);
  #used = POOL_BYTES;

  bytes(size: number): Buffer {
    if (size > POOL_BYTES) return randomFillSync(Buffer.alloc(size));
    if (this.#used + size > POOL_BYTES) {
      // A fresh buffer: slices of the old one may still be in somebody's hands.
      this.#pool = randomFillSync(Buffer.alloc(POOL_BYTES));
      this.#used = 0;
    }
    this.#used += size;
    return this.#pool.subarray(this.#used - size, this.#used);
  }

  fraction(): number {
    return Math.random();
  }
}

export const systemRandom: Random = new PooledRandom();

/** A repeatable source (mulberry32); never for secrets of a running service. */
export class SeededRandom implements Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  fraction(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  }

  bytes(size: number): Buffer {
    return Buffer.from(Array.from({ length: size }, () => Math.floor(this.fraction() * 256)));
  }
}
