/** What the ballot makes of a waiting line, by enumeration over all vote vectors of 3 and, of fewer letters, 5 nodes. */
import { describe, expect, test } from 'vitest';
import type { LineView } from '../../../src/nodes/line.ts';
import {
  type Answers,
  judge,
  lineOf,
  majorityOf,
  type Reply,
  undoTargets,
  type Verdict,
  worthWaiting,
} from '../../../src/quorum/ballot.ts';
import { count, holderNamed, letters, words } from './vectors.ts';

function lineView(changes: Partial<LineView> = {}): LineView {
  return { position: 1, length: 1, ticket: 50, order: 40, free: [], tangled: false, ...changes };
}

/** The letters of vectors.ts, and: q waits behind somebody, f meets a full line, D a holder and a place in its line. */
const spoken: Readonly<Record<string, Reply | undefined>> = {
  ...letters,
  q: { kind: 'wait', line: lineView({ position: 2, length: 2 }) },
  f: { kind: 'crowded' },
  D: { kind: 'conflict', holders: [holderNamed('A')], line: lineView({ position: 3, length: 3 }) },
};

const ALL = '.-hdABCDsSaVWEFmkqf';
const CORE = '.hABsqf';
const REQUEST = 'VWEFm';

const answersOf = (word: string): Answers => [...word].map((letter) => spoken[letter]);
const judged: readonly (readonly [word: string, verdict: Verdict | undefined])[] = [
  ...words(ALL, 1),
  ...words(ALL, 3),
  ...words(CORE, 5),
].map((word) => [word, judge(answersOf(word))]);

const kindOf = (verdict: Verdict | undefined): string => verdict?.kind ?? 'granted';

/** The first vectors that break the promise, in the notation above. */
function breaking(promise: (word: string, kind: string, majority: number) => boolean): string[] {
  return judged
    .filter(([word, verdict]) => !promise(word, kindOf(verdict), majorityOf(word.length)))
    .slice(0, 10)
    .map(([word, verdict]) => `${word} is ${kindOf(verdict)}`);
}

/** Nothing that comes before the line decides: enough answered, nobody knows the request, no better token would do. */
function isLeftToTheLine(word: string, majority: number): boolean {
  const voted = count(word, 'hd');
  const answered = word.length - count(word, '.-');
  return (
    count(word, REQUEST) === 0 &&
    answered >= majority &&
    voted < majority &&
    voted + count(word, 'sSa') < majority
  );
}

describe('judge, where somebody waits', () => {
  test('never grants without a majority for, and always with one that no node objects to', () => {
    expect(
      breaking(
        (word, kind, majority) =>
          (kind === 'granted') === (count(word, 'hd') >= majority && count(word, REQUEST) === 0),
      ),
    ).toEqual([]);
  });

  test('says crowded exactly where a full line is met and nothing before the line decides', () => {
    expect(
      breaking(
        (word, kind, majority) =>
          (kind === 'crowded') === (isLeftToTheLine(word, majority) && count(word, 'f') > 0),
      ),
    ).toEqual([]);
  });

  test('says held exactly where one lease is backed, or holders and those ahead are a majority together', () => {
    expect(
      breaking((word, kind, majority) => {
        const backed = count(word, 'ACD') >= majority || count(word, 'BC') >= majority;
        const ahead = count(word, 'q') > 0 && count(word, 'qABCD') >= majority;
        const left = isLeftToTheLine(word, majority) && count(word, 'f') === 0;
        return (kind === 'held') === (left && (backed || ahead));
      }),
    ).toEqual([]);
  });

  test('says split exactly where nobody has a majority and no line is full', () => {
    expect(
      breaking((word, kind, majority) => {
        const others = ['held', 'crowded'].includes(kind) || !isLeftToTheLine(word, majority);
        return (kind === 'split') !== others;
      }),
    ).toEqual([]);
  });

  test('names the holders that were met, also where those ahead in line decide', () => {
    for (const [word, verdict] of judged) {
      if (verdict?.kind !== 'held' && verdict?.kind !== 'split') continue;
      const met = new Set(verdict.holders.map(({ leaseRef }) => leaseRef));
      expect([met.has('A'), met.has('B')], word).toEqual([count(word, 'ACD') > 0, count(word, 'BC') > 0]);
    }
  });

  test('counts somebody ahead as no vote for, against or to undo', () => {
    expect(judge(answersOf('hhq'))).toBeUndefined();
    expect(judge(answersOf('hqq'))).toMatchObject({ kind: 'held', holders: [] });
    expect(judge(answersOf('hsq'))).toMatchObject({ kind: 'stale' });
    expect(undoTargets(answersOf('hqf'))).toEqual([0]);
  });
});

describe('worthWaiting, where somebody waits', () => {
  test('is over once those ahead are a majority with the holders, or a line is full', () => {
    for (const word of ['qq.', 'qA.', 'Aq.', 'fq.', 'hf.']) {
      expect([word, worthWaiting(answersOf(word))]).toEqual([word, false]);
    }
    for (const word of ['q..', 'hq.', 'q-.', 'AB.']) {
      expect([word, worthWaiting(answersOf(word))]).toEqual([word, true]);
    }
  });

  test('a majority of nodes against never becomes a grant by the answers that are still out', () => {
    const broken = judged.filter(([word]) => {
      const against = word.length - count(word, 'hd.');
      const best = word.replaceAll('.', 'h');
      return against >= majorityOf(word.length) && judge(answersOf(best)) === undefined;
    });
    expect(broken).toEqual([]);
  });
});

describe('lineOf', () => {
  const queued = (changes: Partial<LineView>): Reply => ({ kind: 'queued', line: lineView(changes) });

  test('is undefined where no answer shows a line', () => {
    expect(lineOf(answersOf('.-hAsf'))).toBeUndefined();
    expect(lineOf([])).toBeUndefined();
  });

  test('tells the position as most see it, for any order of the answers', () => {
    for (const positions of words('159', 3)) {
      const seen = [...positions].map(Number);
      const line = lineOf(seen.map((position) => queued({ position })));
      expect(line?.position).toBe([...seen].sort()[1]);
    }
  });

  test('tells the longest line, the earliest place, and a tangle that any node suspects', () => {
    const line = lineOf([
      undefined,
      { kind: 'silent', why: 'timeout', detail: '' },
      queued({ length: 4, ticket: 9, order: 7 }),
      { kind: 'wait', line: lineView({ length: 8, ticket: 5, order: 3, tangled: true }) },
      { kind: 'left', matched: true, holders: [], line: lineView({ length: 2, ticket: 6, order: 4 }) },
    ]);
    expect(line).toMatchObject({ length: 8, ticket: 5, order: 3, tangled: true });
  });

  test('reads the line of a conflict only where it has one', () => {
    expect(lineOf(answersOf('AD'))).toMatchObject({ position: 3, length: 3 });
    expect(lineOf(answersOf('Aq'))).toMatchObject({ position: 2, length: 2 });
  });
});
