/** The ballot's judgement, proved by enumeration over all vote vectors of 1, 3, 5 and 7 nodes. */
import { describe, expect, test } from 'vitest';
import {
  type Answers,
  answeredCount,
  distinct,
  judge,
  majorityOf,
  median,
  undoTargets,
  type Verdict,
  worthWaiting,
} from '../../../src/quorum/ballot.ts';
import { answersOf, BEHIND_MICROS, count, HIGH, holderNamed, LOW, words } from './vectors.ts';

const ALL = '.-hdABCsSaVWEFmk';
const MOST = '.-hABCsSaVEmk';
const CORE = '.hAsVE';

/** Every vector that is enumerated, with its verdict. */
const judged: readonly (readonly [word: string, verdict: Verdict | undefined])[] = [
  ...[1, 3].flatMap((nodes) => [...words(ALL, nodes)]),
  ...words(MOST, 5),
  ...words(CORE, 7),
].map((word) => [word, judge(answersOf(word))]);

const kindOf = (verdict: Verdict | undefined): string => verdict?.kind ?? 'granted';

/** The first vectors that break the promise; a failure shows them in the notation of vectors.ts. */
function breaking(promise: (word: string, verdict: Verdict | undefined, majority: number) => boolean) {
  const broken: string[] = [];
  for (const [word, verdict] of judged) {
    if (promise(word, verdict, majorityOf(word.length))) continue;
    broken.push(`${word} is ${kindOf(verdict)}`);
    if (broken.length === 10) break;
  }
  return broken;
}

const REQUEST = 'VWEFm';
const answered = (word: string): number => word.length - count(word, '.-');

describe('judge', () => {
  test('grants exactly when a majority voted for and no node knows the request id', () => {
    expect(
      breaking(
        (word, verdict, majority) =>
          (verdict === undefined) === (count(word, 'hd') >= majority && count(word, REQUEST) === 0),
      ),
    ).toEqual([]);
  });

  test('says held exactly when one lease stands in the way at a majority, and names whoever was met', () => {
    expect(
      breaking((word, verdict, majority) => {
        const backed = count(word, 'AC') >= majority || count(word, 'BC') >= majority;
        if ((verdict?.kind === 'held') !== (backed && count(word, REQUEST) === 0)) return false;
        if (verdict?.kind !== 'held' && verdict?.kind !== 'split') return true;
        const met = new Set(verdict.holders.map(({ leaseRef }) => leaseRef));
        return (
          met.size === verdict.holders.length &&
          met.has('A') === count(word, 'AC') > 0 &&
          met.has('B') === count(word, 'BC') > 0
        );
      }),
    ).toEqual([]);
  });

  test('says no-quorum exactly when fewer than a majority answered and no node knows the request id', () => {
    expect(
      breaking((word, verdict, majority) => {
        const few = answered(word) < majority && count(word, REQUEST) === 0;
        if (verdict?.kind !== 'no-quorum') return !few;
        return few && verdict.answered === answered(word);
      }),
    ).toEqual([]);
  });

  test('asks for a better token exactly when a majority objects to nothing else', () => {
    expect(
      breaking((word, verdict, majority) => {
        const better =
          count(word, REQUEST) === 0 &&
          count(word, 'hd') < majority &&
          count(word, 'hdsSa') >= majority &&
          count(word, 'sSa') > 0;
        if (verdict?.kind === 'stale') {
          const highest = word.includes('S') ? HIGH : LOW;
          return better && count(word, 'sS') > 0 && verdict.fence === highest;
        }
        if (verdict?.kind === 'ahead') {
          return better && count(word, 'sS') === 0 && verdict.nowMicros === BEHIND_MICROS;
        }
        return !better;
      }),
    ).toEqual([]);
  });

  test('lets what is known of the request id overrule every vote', () => {
    expect(
      breaking((word, verdict, majority) => {
        const kind = kindOf(verdict);
        if (word.includes('m')) return kind === 'mismatch';
        const replayed = ['V', 'W'].find((value) => count(word, value) >= majority);
        if (replayed !== undefined) {
          return (
            verdict?.kind === 'replayed' &&
            verdict.value === replayed &&
            verdict.holders.length === count(word, replayed)
          );
        }
        if (count(word, 'EF') > 0) {
          return verdict?.kind === 'ended' && verdict.why === (word.includes('F') ? 'forced' : 'released');
        }
        return count(word, 'VW') > 0 === (kind === 'unsure');
      }),
    ).toEqual([]);
  });
});

/** Redlock decides when a majority is for or a majority is not; the ballot is judged from then on. */
function decided(word: string, majority: number): boolean {
  return count(word, 'hd') >= majority || word.length - count(word, 'hd.') >= majority;
}

/**
 * What a verdict that does not ask to wait may still become. Only the request id can overrule it (and of that the
 * caller loses nothing: no such verdict grants), and an `ahead` may turn out to be stale as well: both try again.
 */
const MAY_BECOME: Record<string, readonly string[]> = {
  mismatch: ['mismatch'],
  replayed: ['replayed', 'mismatch'],
  ended: ['ended', 'mismatch'],
  held: ['held', 'unsure', 'ended', 'mismatch'],
  stale: ['stale', 'unsure', 'ended', 'mismatch'],
  ahead: ['ahead', 'stale', 'unsure', 'ended', 'mismatch'],
};

const verdicts = new Map(judged.map(([word, verdict]) => [word, kindOf(verdict)]));
const alphabetOf = (word: string): string =>
  (word.length <= 3 ? ALL : word.length === 5 ? MOST : CORE).slice(1);

/** The verdicts that a vector may still come to, with one whole vector for each. */
const outcomes = new Map<string, ReadonlyMap<string, string>>();
function outcomesOf(word: string): ReadonlyMap<string, string> {
  const known = outcomes.get(word);
  if (known !== undefined) return known;
  const at = word.indexOf('.');
  if (at < 0) return new Map([[verdicts.get(word)!, word]]);
  const all = new Map<string, string>();
  for (const letter of alphabetOf(word)) {
    const next = outcomesOf(word.slice(0, at) + letter + word.slice(at + 1));
    for (const [kind, whole] of next) all.set(kind, whole);
  }
  outcomes.set(word, all);
  return all;
}

describe('worthWaiting', () => {
  test('once redlock has decided, a verdict that need not wait is not contradicted by the answers still out', () => {
    const broken: string[] = [];
    for (const [word, verdict] of judged) {
      if (!word.includes('.') || !decided(word, majorityOf(word.length))) continue;
      // A majority for is not waited on: see the next test but one.
      if (verdict === undefined || worthWaiting(answersOf(word))) continue;
      for (const [kind, whole] of outcomesOf(word)) {
        if (MAY_BECOME[verdict.kind]?.includes(kind) === true) continue;
        broken.push(`${word} is ${verdict.kind}, ${whole} would be ${kind}`);
      }
      if (broken.length > 10) break;
    }
    expect(broken).toEqual([]);
  });

  test('a majority against never turns into a grant, whatever is still out', () => {
    const broken: string[] = [];
    for (const [word] of judged) {
      const majority = majorityOf(word.length);
      if (!word.includes('.') || word.length - count(word, 'hd.') < majority) continue;
      const best = judge(answersOf(word.replaceAll('.', 'h')));
      if (best === undefined) broken.push(word);
    }
    expect(broken).toEqual([]);
  });

  test('a majority for can only be overruled by the request id', () => {
    const broken: string[] = [];
    for (const [word, verdict] of judged) {
      if (verdict !== undefined || !word.includes('.')) continue;
      for (const [kind, whole] of outcomesOf(word)) {
        if (!['granted', 'unsure', 'ended', 'mismatch'].includes(kind))
          broken.push(`${word}: ${whole} ${kind}`);
      }
    }
    expect(broken.slice(0, 10)).toEqual([]);
  });

  test('waits for nothing when every answer is in', () => {
    expect(breaking((word) => word.includes('.') || !worthWaiting(answersOf(word)))).toEqual([]);
  });

  test('waits while the missing answers could still make a majority or a quorum', () => {
    for (const word of ['.-h', 'AB.', 'hA.', 'V-.', 'EV.', 'hh.', '..A--', 'AAB..', 'EVV..', 'EEV..']) {
      expect(worthWaiting(answersOf(word)), word).toBe(true);
    }
    for (const word of ['AA.', 'sa.', 'EE.', 'm..', 'VV.', 'EEEV.', 'EEEVV']) {
      expect(worthWaiting(answersOf(word)), word).toBe(false);
    }
  });
});

describe('undoTargets', () => {
  test('covers exactly the nodes that voted for, were silent, or have not answered', () => {
    expect(
      breaking((word) => {
        const expected = [...word].flatMap((letter, index) => ('hd-.'.includes(letter) ? [index] : []));
        return String(undoTargets(answersOf(word))) === String(expected);
      }),
    ).toEqual([]);
  });
});

describe('the small parts', () => {
  test('a majority is more than half, and two majorities always meet', () => {
    for (let nodes = 1; nodes <= 101; nodes += 2) {
      expect(majorityOf(nodes) * 2).toBeGreaterThan(nodes);
      expect((majorityOf(nodes) - 1) * 2).toBeLessThan(nodes);
    }
  });

  test('silence and missing answers are not counted as answers', () => {
    expect(breaking((word) => answeredCount(answersOf(word)) === answered(word))).toEqual([]);
  });

  test('distinct keeps one entry a resource and lease, the one with the longest time', () => {
    const long = holderNamed('A', { remainingMs: 9 });
    const short = holderNamed('A', { remainingMs: 3 });
    const elsewhere = holderNamed('A', { resource: 'other', remainingMs: 1 });
    for (const holders of [
      [long, short, elsewhere],
      [short, elsewhere, long],
    ]) {
      expect(new Set(distinct(holders))).toEqual(new Set([long, elsewhere]));
    }
  });

  test('the median is a reading that half of the nodes do not exceed, never a mean', () => {
    expect(median([])).toBe(0);
    expect(median([5])).toBe(5);
    expect(median([9, 1])).toBe(1);
    expect(median([9, 1, 5])).toBe(5);
    expect(median([100, 1, 9, 5])).toBe(5);
    // One clock that is off by years moves nothing.
    expect(median([1, 2, 3, 4, Number.MAX_SAFE_INTEGER])).toBe(3);
  });

  test('an empty list of nodes is a mistake that no vote survives', () => {
    const nobody: Answers = [];
    expect(judge(nobody)).toEqual({ kind: 'no-quorum', answered: 0 });
  });
});
