/** The fencing token: a whole number that only ever grows per resource, in microseconds of a hybrid logical clock. */

/** Text on the nodes, `uint64` on the wire; a double would round above 2^53. */
export type Token = bigint;

export const NO_TOKEN: Token = 0n;
export const TOKEN_MAX: Token = (1n << 64n) - 1n;

export function maxToken(a: Token, b: Token): Token {
  return a > b ? a : b;
}
