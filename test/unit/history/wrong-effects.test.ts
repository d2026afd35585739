/** Histories that no order explains, and registers that lost an update. */
import { describe, expect, test } from 'vitest';
import { check, tally } from '../../harness/history/check.ts';
import { granted, held, released, renewed, unknown, wrote } from './entries.ts';
import { judges } from './judges.ts';

const shared = { mode: 'shared' } as const;

describe('unexplained', () => {
  const A = granted('A', 1, 0, 10);
  judges([
    {
      name: 'renewed after the release was answered',
      rules: ['unexplained'],
      wrong: [A, released('A', 20, 30), renewed('A', 31, 40)],
      right: [A, released('A', 20, 30), renewed('A', 30, 40)],
    },
    {
      name: 'renewed after a release that may have come late',
      rules: ['unexplained'],
      wrong: [A, released('A', 20, 30), renewed('A', 50, 60)],
      right: [A, released('A', 20, 30, { outcome: 'unknown' }), renewed('A', 50, 60)],
    },
    {
      name: 'renewed after another lease was granted',
      rules: ['unexplained'],
      wrong: [A, granted('B', 2, 20, 30), renewed('A', 31, 40)],
      right: [A, granted('B', 2, 20, 30), renewed('A', 30, 40)],
    },
    {
      name: 'renewed although another was renewed, granted while both were asked for',
      rules: ['unexplained'],
      wrong: [granted('A', 1, 0, 10), granted('B', 2, 0, 10), renewed('B', 20, 30), renewed('A', 31, 40)],
      right: [granted('A', 1, 0, 10), granted('B', 2, 0, 25), renewed('A', 20, 30), renewed('B', 31, 40)],
    },
    {
      name: 'readers stand together, until a writer comes',
      rules: ['unexplained'],
      wrong: [granted('A', 1, 0, 10, shared), granted('B', 2, 20, 30), renewed('A', 40, 50)],
      right: [granted('A', 1, 0, 10, shared), granted('B', 2, 20, 30, shared), renewed('A', 40, 50)],
    },
    {
      name: 'a reader behind a writer who is renewed',
      rules: ['unexplained'],
      wrong: [A, granted('B', 2, 20, 30, shared), renewed('B', 31, 40), renewed('A', 50, 60)],
      right: [A, granted('B', 2, 20, 60, shared), renewed('A', 50, 60)],
    },
    {
      name: 'released twice',
      rules: ['unexplained'],
      wrong: [A, released('A', 20, 30), released('A', 25, 40)],
      right: [A, released('A', 20, 30), released('A', 25, 40, { outcome: 'gone' })],
    },
    {
      name: 'a repeat meets its lease after another was granted, while its first call may have been answered late',
      rules: ['unexplained'],
      wrong: [
        granted('A', 1, 0, 10, { requestId: 'q1' }),
        granted('B', 2, 20, 30),
        granted('A', 1, 31, 40, { requestId: 'q1', replayed: true }),
      ],
      right: [
        granted('A', 1, 0, 40, { requestId: 'q1' }),
        granted('B', 2, 20, 30),
        granted('A', 1, 5, 10, { requestId: 'q1', replayed: true }),
      ],
    },
    {
      name: 'a repeat alone tells that the lease stood, whenever it was made',
      rules: ['unexplained'],
      wrong: [
        unknown(0, { client: 'of-A', requestId: 'q1' }),
        granted('B', 2, 5, 10),
        granted('A', 1, 20, 30, { requestId: 'q1', replayed: true }),
      ],
      right: [
        unknown(0, { client: 'of-A', requestId: 'q1' }),
        granted('B', 2, 5, 20),
        granted('A', 1, 20, 30, { requestId: 'q1', replayed: true }),
      ],
    },
    {
      name: 'each resource of a lease is judged alone',
      rules: ['unexplained'],
      wrong: [
        granted('A', 1, 0, 10, { resources: ['q', 'r'] }),
        granted('B', 2, 20, 30),
        renewed('A', 40, 50),
      ],
      right: [
        granted('A', 1, 0, 10, { resources: ['q', 'r'] }),
        granted('B', 2, 20, 30, { resources: ['s'] }),
        renewed('A', 40, 50),
      ],
    },
    {
      name: 'what was refused, lost or gone is always right',
      rules: ['unexplained'],
      wrong: [A, renewed('A', 20, 30, { outcome: 'lost' }), released('A', 40, 50), renewed('A', 60, 70)],
      right: [
        A,
        renewed('A', 20, 30, { outcome: 'lost' }),
        renewed('A', 40, 50),
        released('A', 60, 70, { outcome: 'gone' }),
        released('A', 80, 90),
      ],
    },
  ]);

  test('one lease is told once, and others behind it are judged', () => {
    const wrong = [A, released('A', 20, 30), renewed('A', 40, 50), renewed('A', 60, 70)];
    const later = [granted('B', 2, 80, 90), granted('C', 3, 100, 110), renewed('B', 120, 130)];
    expect(check([...wrong, ...later]).map(({ atMs }) => atMs)).toEqual([50, 130]);
  });

  test('a lease whose grant nobody wrote down is not judged', () => {
    expect(check([released('A', 20, 30), released('A', 40, 50), renewed('A', 60, 70)])).toEqual([]);
  });
});

describe('fenced-lost', () => {
  judges([
    {
      name: 'two writes that saw the same value',
      rules: ['fenced-lost'],
      wrong: [wrote(1, '', 'a'), wrote(2, '', 'b')],
      right: [wrote(1, '', 'a'), wrote(2, 'a', 'b')],
    },
    {
      name: 'a refused one has lost nothing',
      rules: ['fenced-lost'],
      wrong: [wrote(1, '', 'a'), wrote(2, 'a', 'b'), wrote(3, 'a', 'c')],
      right: [wrote(1, '', 'a'), wrote(2, 'a', 'b', { outcome: 'stale' }), wrote(3, 'a', 'c')],
    },
    {
      name: 'a write without an answer counts where somebody saw it',
      rules: ['fenced-lost'],
      wrong: [wrote(1, '', 'a', { outcome: 'unknown' }), wrote(2, '', 'b'), wrote(3, 'a', 'c')],
      right: [wrote(1, '', 'a', { outcome: 'unknown' }), wrote(2, '', 'b'), wrote(3, 'b', 'c')],
    },
    {
      name: 'a lease whose own write comes late has lost it to itself',
      rules: ['fenced-lost'],
      wrong: [wrote(1, '', 'a', { outcome: 'unknown' }), wrote(2, '', 'b'), wrote(3, 'a', 'c')],
      right: [wrote(2, '', 'a', { outcome: 'unknown' }), wrote(2, '', 'b'), wrote(3, 'a', 'c')],
    },
    {
      name: 'an older token is admitted behind a newer one',
      rules: ['fenced-lost'],
      wrong: [wrote(5, '', 'a'), wrote(4, 'a', 'b')],
      right: [wrote(5, '', 'a'), wrote(5, 'a', 'b')],
    },
    {
      name: 'an older token is admitted, and not refused, although it saw what a newer one wrote',
      rules: ['fenced-lost'],
      wrong: [wrote(5, '', 'a'), wrote(4, 'a', 'b')],
      right: [wrote(5, '', 'a'), wrote(4, 'a', 'b', { outcome: 'stale' })],
    },
    {
      name: 'a refused write was seen',
      rules: ['fenced-lost'],
      wrong: [wrote(1, '', 'a', { outcome: 'stale' }), wrote(2, 'a', 'b')],
      right: [wrote(1, '', 'a', { outcome: 'stale' }), wrote(2, '', 'b')],
    },
    {
      name: 'another register is another one',
      rules: ['fenced-lost'],
      wrong: [wrote(1, '', 'a'), wrote(2, '', 'b')],
      right: [
        wrote(1, '', 'a'),
        wrote(2, '', 'b', { resource: 'q' }),
        wrote(3, '', 'c', { register: 'twin' }),
      ],
    },
    {
      name: 'a value that nobody wrote down proves nothing',
      rules: ['fenced-lost'],
      wrong: [wrote(1, '', 'a'), wrote(2, 'z', 'b'), wrote(3, 'z', 'c')],
      right: [wrote(1, '', 'a'), wrote(2, 'z', 'b'), wrote(3, 'b', 'c')],
    },
  ]);

  test('what the twin lost is counted and breaks nothing', () => {
    const twin = (token: number, saw: string, value: string) =>
      wrote(token, saw, value, { register: 'twin' });
    const history = [
      twin(1, '', 'a'),
      twin(2, '', 'b'),
      twin(3, 'b', 'c'),
      twin(4, '', 'd'),
      held('A', 1, 0, 9),
    ];
    expect(tally(history).twinLost).toBe(2);
  });
});
