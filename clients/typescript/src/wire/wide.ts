/** 64-bit numbers between the wire, where they are two halves, and callers, who get a bigint. */
import type { Wide } from '../gen/messages.ts';

const HALF = 2 ** 32;

/** Exact for every value. */
export function wideToBigint({ low, high, unsigned }: Wide): bigint {
  // Tokens count microseconds: below 2^53 for two centuries, where one conversion is enough.
  if (high >= 0 && high < 0x20_0000) return BigInt(high * HALF + (low >>> 0));
  return (BigInt(unsigned ? high >>> 0 : high) << 32n) | BigInt(low >>> 0);
}

/** Exact below 2^53: for counts that we have given out ourselves, and for seconds. */
export function wideToNumber({ low, high }: Wide): number {
  return high * HALF + (low >>> 0);
}

export function bigintToWide(value: bigint): Wide {
  return {
    low: Number(BigInt.asIntN(32, value)),
    high: Number(BigInt.asIntN(32, value >> 32n)),
    unsigned: true,
  };
}
