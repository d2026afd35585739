/** Views: held, free and unknown by enumeration, the last granted token, one history, and joined pages. */
import { describe, expect, test } from 'vitest';
import { mergePages } from '../../../src/locks/inspect.ts';
import { historyOf, type Look, lastTokenOf, standingOf } from '../../../src/locks/views.ts';
import type { Answer, NodeEvent, NodeEventType, NodeView } from '../../../src/nodes/node.ts';
import { majorityOf } from '../../../src/quorum/ballot.ts';
import { count, holderNamed, words } from '../quorum/vectors.ts';

const tokens: Record<string, bigint> = { A: 10n, B: 20n, C: 30n };

const eventOf = (name: string, type: NodeEventType, timeMicros = 0, reason = ''): NodeEvent => ({
  type,
  timeMicros,
  token: tokens[name]!,
  leaseRef: name,
  owner: `owner of ${name}`,
  reason,
});

function viewOf(holder: string, history: readonly NodeEvent[] = [], remainingMs = 1000): NodeView {
  const held = holder === '' ? {} : { holder: holderNamed(holder, { token: tokens[holder]!, remainingMs }) };
  return { resource: 'r', ...held, fence: { token: 99n, state: 'open' }, history };
}

/** `-` silent, `0` never seen, `.` known and free, a letter: held by that lease. */
function looksOf(word: string): Look[] {
  return [...word].map((letter) => {
    if (letter === '-') return undefined;
    if (letter === '0') return null;
    return viewOf(letter === '.' ? '' : letter);
  });
}

describe('standingOf', () => {
  const vectors = [1, 3, 5].flatMap((nodes) => [...words('-0.ABC', nodes)]);

  function breaking(promise: (word: string, majority: number) => boolean): string[] {
    return vectors.filter((word) => !promise(word, majorityOf(word.length))).slice(0, 10);
  }
  const standing = (word: string) => standingOf(looksOf(word), majorityOf(word.length));
  const named = (word: string) => standing(word).holders.map(({ leaseRef }) => leaseRef);

  test('is held exactly when a majority of all nodes hold one lease, and names it alone', () => {
    expect(
      breaking((word, majority) => {
        const holder = ['A', 'B', 'C'].find((letter) => count(word, letter) >= majority);
        if (holder === undefined) return standing(word).state !== 'held';
        return standing(word).state === 'held' && String(named(word)) === holder;
      }),
    ).toEqual([]);
  });

  test('is free exactly when no lease could have a majority even with every silent node', () => {
    expect(
      breaking((word, majority) => {
        const possible = ['A', 'B', 'C'].some((letter) => count(word, letter) + count(word, '-') >= majority);
        return (standing(word).state === 'free') === !possible && (possible || named(word).length === 0);
      }),
    ).toEqual([]);
  });

  test('while unknown it names every candidate once', () => {
    expect(
      breaking((word) => {
        if (standing(word).state !== 'unknown') return true;
        const seen = ['A', 'B', 'C'].filter((letter) => word.includes(letter));
        return String(named(word).sort()) === String(seen);
      }),
    ).toEqual([]);
  });

  test('is told the same whatever order the nodes are listed in', () => {
    expect(
      breaking((word) => {
        const turned = word.slice(1) + word[0];
        const [one, other] = [standing(word), standing(turned)];
        return one.state === other.state && named(word).sort().join() === named(turned).sort().join();
      }),
    ).toEqual([]);
  });

  test('a silent node that speaks up never turns free into held', () => {
    expect(
      breaking((word) => {
        if (standing(word).state !== 'free') return true;
        return [...'0.ABC'].every((letter) => standing(word.replace('-', letter)).state === 'free');
      }),
    ).toEqual([]);
  });

  test('lasts as long as a majority keeps it, not as long as the slowest clock does', () => {
    const looks = [9000, 3000, 5000].map((ms) => viewOf('A', [], ms));
    expect(standingOf(looks, 2).holders[0]?.remainingMs).toBe(5000);
  });
});

/** Events of lease A and, behind a slash, of B, by their first letters: what one node recorded. */
const TYPES: Record<string, NodeEventType> = {
  h: 'held',
  n: 'renewed',
  u: 'undone',
  r: 'released',
  e: 'expired',
  f: 'forced',
};

function recorded(notation: string): Look {
  if (notation === '-') return undefined;
  const history = notation
    .split('/')
    .flatMap((part, lease) => [...part].map((letter) => eventOf('AB'[lease]!, TYPES[letter]!)));
  return viewOf('', history);
}

describe('lastTokenOf', () => {
  test.each([
    ['h h h', 10n, 'a majority recorded it held'],
    ['h h -', 10n, 'a majority recorded it held'],
    ['h . .', 0n, 'one node alone is an attempt that met another'],
    ['h - -', 0n, 'one node alone proves nothing'],
    ['hu hu .', 0n, 'an attempt that was taken back was never granted'],
    ['h h hu', 0n, 'an attempt that was taken back anywhere was never granted'],
    ['hn . .', 10n, 'only a granted lease is renewed'],
    ['hr . .', 10n, 'only a granted lease is released'],
    ['hrnu - -', 10n, 'what was renewed was granted, though its remains were undone'],
    ['h/h h/h h', 20n, 'the higher of two grants'],
    ['h/h h h', 10n, 'the higher one reached a minority only'],
    ['he he .', 10n, 'a grant that ran out is a grant'],
    ['. . .', 0n, 'a fence without any grant is no token'],
  ])('%s is %s: %s', (notation, token) => {
    expect(
      lastTokenOf(
        notation.split(' ').map((one) => recorded(one === '.' ? '' : one)),
        2,
      ),
    ).toBe(token);
  });

  test('is the token of whoever holds it now, though no node remembers how it began', () => {
    expect(lastTokenOf(looksOf('BB.'), 2)).toBe(20n);
    expect(lastTokenOf(looksOf('B..'), 2)).toBe(0n);
  });

  test('is by enumeration the highest granted one and never the fence', () => {
    const notes = ['-', '', 'h', 'hu', 'hr', 'h/h', 'h/hu', 'h/hr', '/h', '/hu'];
    const broken: string[] = [];
    for (const word of words('0123456789', 3)) {
      const nodes = [...word].map((digit) => notes[Number(digit)]!);
      const granted = (lease: number): boolean => {
        const parts = nodes.map((note) => (note === '-' ? '' : (note.split('/')[lease] ?? '')));
        if (parts.some((part) => part.includes('r'))) return true;
        return (
          parts.filter((part) => part.includes('h')).length >= 2 && !parts.some((part) => part.includes('u'))
        );
      };
      const expected = granted(1) ? 20n : granted(0) ? 10n : 0n;
      if (lastTokenOf(nodes.map(recorded), 2) !== expected) broken.push(nodes.join(' '));
    }
    expect(broken.slice(0, 10)).toEqual([]);
  });
});

describe('historyOf', () => {
  const at = (name: string, types: readonly (readonly [NodeEventType, number, string?])[]): Look =>
    viewOf(
      '',
      types.map(([type, time, reason]) => eventOf(name, type, time, reason)),
    );
  const told = (looks: readonly Look[], most = 100) =>
    historyOf('r', looks, 2, most).map(
      ({ type, timeMs, reason }) => `${type} ${timeMs}${reason === '' ? '' : ` ${reason}`}`,
    );

  test('tells each step of a lease once, newest first, the grant by the first node that gave it', () => {
    const looks = [
      at('A', [
        ['held', 1000],
        ['renewed', 9000],
        ['released', 12_000, 'done'],
      ]),
      at('A', [
        ['held', 3000],
        ['renewed', 7000],
        ['released', 14_000],
      ]),
      undefined,
    ];
    expect(told(looks)).toEqual(['released 12 done', 'renewed 9', 'granted 1']);
    expect(told(looks, 1)).toEqual(['released 12 done']);
    expect(told(looks, 0)).toEqual([]);
  });

  test('does not tell of attempts that were never granted', () => {
    expect(told([at('A', [['held', 1000]]), null, undefined])).toEqual([]);
    expect(
      told([
        at('A', [
          ['held', 1000],
          ['undone', 2000],
        ]),
        at('A', [['held', 1000]]),
        null,
      ]),
    ).toEqual([]);
  });

  test('tells the end of a lease that ran out only when a majority let it go, and only when nothing else ended it', () => {
    const out = (also: readonly (readonly [NodeEventType, number])[]) =>
      at('A', [['held', 1000], ['expired', 5000], ...also]);
    const held = at('A', [['held', 1000]]);
    expect(told([out([]), held, held])).toEqual(['granted 1']);
    expect(told([out([]), out([]), held])).toEqual(['expired 5', 'granted 1']);
    expect(
      told([
        out([]),
        out([]),
        at('A', [
          ['held', 1000],
          ['released', 4000],
        ]),
      ]),
    ).toEqual(['released 4', 'granted 1']);
    expect(
      told([
        out([]),
        out([]),
        at('A', [
          ['held', 1000],
          ['forced', 4000, 'stuck'],
        ]),
      ]),
    ).toEqual(['forced 4 stuck', 'granted 1']);
  });

  test('tells the end of a lease before its grant where both have the same time', () => {
    const look = viewOf('', [eventOf('A', 'held', 5), eventOf('A', 'released', 5)]);
    expect(historyOf('r', [look, look, look], 2, 9).map(({ type }) => type)).toEqual(['released', 'granted']);
  });

  test('orders leases that ended in the same moment by token', () => {
    const both = viewOf('', [eventOf('A', 'held', 5), eventOf('B', 'held', 5)]);
    expect(historyOf('r', [both, both, both], 2, 9).map(({ token }) => token)).toEqual([20n, 10n]);
  });
});

describe('mergePages', () => {
  const listed = (names: string, more = false): Answer => ({
    kind: 'listed',
    views: [...names].map((resource) => ({ ...viewOf('A'), resource })),
    more,
  });
  const silent: Answer = { kind: 'silent', why: 'timeout', detail: '' };
  const shown = (answers: readonly Answer[]) => {
    const { names, more } = mergePages(answers);
    const marks = names.map(
      ([name, looks]) =>
        name + looks.map((look) => (look === undefined ? '-' : look === null ? '0' : '+')).join(''),
    );
    return `${marks.join(' ')}${more ? ' more' : ''}`;
  };

  test('lists every name that any node knows, in byte order, with the look of each node', () => {
    expect(shown([listed('bd'), listed('ab'), silent])).toBe('a0+- b++- d+0-');
    expect(shown([listed(''), listed(''), listed('')])).toBe('');
  });

  test('stops at the shortest unfinished page: beyond it a node may know more than it has told', () => {
    expect(shown([listed('ab', true), listed('abcd'), listed('d')])).toBe('a++0 b++0 more');
    expect(shown([listed('ad', true), listed('bc', true), silent])).toBe('a+0- b0+- c0+- more');
  });

  test('loses no name and repeats none over all pages: all splits of six names over three nodes', () => {
    const PAGE = 2;
    for (const word of words('01234567', 6).filter((_, index) => index % 97 === 0)) {
      const names = [...word].map((bits, index) => ({ name: 'abcdef'[index]!, bits: Number(bits) }));
      const known = [0, 1, 2].map((node) =>
        names.filter(({ bits }) => (bits >> node) & 1).map(({ name }) => name),
      );
      const walked: string[] = [];
      for (let after = '', more = true; more; ) {
        const page = mergePages(
          known.map((own) => {
            const rest = own.filter((name) => name > after);
            return listed(rest.slice(0, PAGE).join(''), rest.length > PAGE);
          }),
        );
        walked.push(...page.names.map(([name]) => name));
        after = walked.at(-1) ?? '';
        more = page.more;
      }
      expect(walked.join(''), word).toBe(
        names
          .filter(({ bits }) => bits > 0)
          .map(({ name }) => name)
          .join(''),
      );
    }
  });
});
