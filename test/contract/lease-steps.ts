/** Random leases and tokens, few enough that steps about them meet. */
import fc from 'fast-check';
import { tokenLeadMicros, tokenSlackMicros } from '../../src/domain/limits.ts';

/** In no particular order; by bytes it is B, a, a/b, b. */
export const names = ['a', 'a/b', 'b', 'B'] as const;

/** Where a token lies: from the node's time, or from a token that was proposed before. */
export interface TokenStep {
  readonly from: 'now' | 'known' | 'aged';
  readonly index: number;
  readonly delta: number;
}

/** Which attempt an operation is about: a new one, or one that was proposed before. */
export interface LeaseStep {
  readonly again: boolean;
  readonly index: number;
  readonly secret: number;
  readonly token: TokenStep;
  readonly names: readonly string[];
  /** Whether an attempt proposed before comes with its own resources, or with `names`. */
  readonly ownNames: boolean;
  /** The mode, too, is an earlier attempt's own together with its resources. */
  readonly shared: boolean;
}

export const name = fc.constantFrom(...names);
const someNames = fc.oneof(
  { weight: 3, arbitrary: name.map((one) => [one]) },
  { weight: 2, arbitrary: fc.shuffledSubarray([...names], { minLength: 2, maxLength: 3 }) },
);
export const index = fc.nat(40);
export const secret = fc.nat(2);

export const token: fc.Arbitrary<TokenStep> = fc.oneof(
  {
    weight: 6,
    arbitrary: around('now', [0, 0, 0, -1, 1, tokenLeadMicros - 1, tokenLeadMicros, tokenLeadMicros + 1]),
  },
  {
    weight: 4,
    arbitrary: around('known', [0, 0, 0, -1, 1, ...[-1, 0, 1].map((off) => tokenSlackMicros + off)]),
  },
  { weight: 1, arbitrary: around('aged', [-1, 0, 1]) },
);

function around(from: TokenStep['from'], deltas: readonly number[]): fc.Arbitrary<TokenStep> {
  return fc.record({ from: fc.constant(from), index, delta: fc.constantFrom(...deltas) });
}

/** `often`: out of 10, how often the attempt was proposed before. */
export function lease(often: number): fc.Arbitrary<LeaseStep> {
  return fc.record({
    again: fc.nat(9).map((n) => n < often),
    index,
    secret,
    token,
    names: someNames,
    ownNames: fc.nat(5).map((n) => n > 0),
    shared: fc.nat(2).map((n) => n === 0),
  });
}
