/** The set of used seqs: the same as a plain set while it remembers all, and bounded where it cannot. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Seq, SeqSet, seqOf, wireSeq } from '../../../src/edge/seq-set.ts';

/** Around the place where numbers stop being exact, and around both ends. */
const near = (base: bigint): fc.Arbitrary<bigint> =>
  fc.bigInt({ min: 0n, max: 40n }).map((more) => base + more);
const seqs = fc.array(
  fc.oneof(
    near(1n),
    near(2n ** 53n - 20n),
    near(2n ** 64n - 41n),
    fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }),
  ),
  { maxLength: 200 },
);

test('knows what was added, in any order, and says what was there before', () => {
  fc.assert(
    fc.property(seqs, (list) => {
      const set = new SeqSet();
      const plain = new Set<bigint>();
      for (const one of list) {
        const isNew = !plain.has(one);
        expect(set.has(seqOf(String(one)))).toBe(!isNew);
        expect(set.add(seqOf(String(one)))).toBe(isNew);
        plain.add(one);
      }
      for (const one of plain) expect(set.has(seqOf(String(one)))).toBe(true);
      // No two ranges touch: there are as many as there are runs.
      const runs = [...plain].filter((one) => !plain.has(one - 1n)).length;
      expect(set.ranges).toBe(runs);
    }),
  );
});

describe('a bounded set', () => {
  test('forgets the lowest first, and never claims what it has not seen', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 100 }), (list) => {
        const set = new SeqSet(4);
        const plain = new Set<number>();
        for (const one of list) {
          const added = set.add(one);
          if (!plain.has(one)) expect(added).toBe(true);
          plain.add(one);
          expect(set.ranges).toBeLessThanOrEqual(4);
          for (let seq = 0; seq < 62; seq += 1) if (set.has(seq)) expect(plain.has(seq)).toBe(true);
        }
      }),
    );
    const set = new SeqSet(2);
    for (const seq of [10, 20, 30]) set.add(seq);
    expect([10, 20, 30].map((seq) => set.has(seq))).toEqual([false, true, true]);
  });

  test('needs one range for a client that counts, however far', () => {
    const set = new SeqSet(2);
    for (let seq = 1; seq <= 10_000; seq += 1) set.add(seq);
    for (let seq = 2n ** 53n - 2n; seq <= 2n ** 53n + 2n; seq += 1n) set.add(seqOf(String(seq)));
    expect(set.ranges).toBe(2);
    expect([set.has(1), set.has(10_000), set.has(10_001), set.has(2n ** 53n)]).toEqual([
      true,
      true,
      false,
      true,
    ]);
  });
});

test.each(['1', '9007199254740991', '9007199254740992', '9007199254740993', '18446744073709551615'])(
  'keeps %s exact',
  (text) => {
    const seq: Seq = seqOf(text);
    expect(String(wireSeq(seq))).toBe(text);
  },
);
