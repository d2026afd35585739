/** Histories in which leases overlap, tokens fall, or requests lock twice. */
import { describe, expect, test } from 'vitest';
import { check } from '../../harness/history/check.ts';
import { forced, granted, held, released, unknown } from './entries.ts';
import { judges } from './judges.ts';

const shared = { mode: 'shared' } as const;
const two = { resources: ['q', 'r'] };

describe('overlap', () => {
  judges([
    {
      name: 'two writers, while what only touches is no overlap',
      rules: ['overlap'],
      wrong: [held('A', 1, 0, 100), held('B', 2, 99, 200)],
      right: [held('A', 1, 0, 100), held('B', 2, 100, 200)],
    },
    {
      name: 'a writer inside a long one, behind a short one',
      rules: ['overlap'],
      wrong: [held('A', 1, 0, 100), held('A', 1, 0, 900), held('B', 2, 500, 600)],
      right: [held('A', 1, 0, 100), held('A', 1, 0, 500), held('B', 2, 500, 600)],
    },
    {
      name: 'a reader beside a writer, while readers share',
      rules: ['overlap'],
      wrong: [held('A', 1, 0, 100, shared), held('B', 2, 50, 200)],
      right: [held('A', 1, 0, 100, shared), held('B', 2, 50, 200, shared)],
    },
    {
      name: 'a writer, then a reader, with many readers before',
      rules: ['overlap'],
      wrong: [
        held('A', 1, 0, 20, shared),
        held('B', 2, 5, 40, shared),
        held('C', 3, 40, 90),
        held('D', 4, 50, 60, shared),
      ],
      right: [
        held('A', 1, 0, 20, shared),
        held('B', 2, 5, 40, shared),
        held('C', 3, 40, 50),
        held('D', 4, 50, 60, shared),
      ],
    },
    {
      name: 'one of several resources, while others are others',
      rules: ['overlap'],
      wrong: [held('A', 1, 0, 100, two), held('B', 2, 50, 200)],
      right: [held('A', 1, 0, 100, { resources: ['q', 's'] }), held('B', 2, 50, 200)],
    },
    {
      name: 'another lease, while the same one at two clients is one',
      rules: ['overlap'],
      wrong: [held('A', 1, 0, 100), held('B', 2, 50, 60, { client: 'of-A', owner: 'of-A' })],
      right: [held('A', 1, 0, 100), held('A', 1, 50, 60, { client: 'other' })],
    },
    {
      name: 'before a force, while from then on the token protects',
      rules: ['overlap'],
      wrong: [held('A', 1, 0, 100), forced(60, ['A'], { answeredMs: 70 }), held('B', 2, 50, 200)],
      right: [held('A', 1, 0, 100), forced(60, ['A'], { answeredMs: 70 }), held('B', 2, 60, 200)],
    },
    {
      name: 'beside a force of another lease',
      rules: ['overlap'],
      wrong: [held('A', 1, 0, 100), forced(40, ['Z'], { answeredMs: 45 }), held('B', 2, 50, 200)],
      right: [held('A', 1, 0, 100), forced(40, []), held('B', 2, 50, 200)],
    },
    {
      name: 'a force that met nobody, while one without an answer may have met anybody',
      rules: ['overlap'],
      wrong: [held('A', 1, 0, 100), forced(40, [], { answeredMs: 45 }), held('B', 2, 50, 200)],
      right: [held('A', 1, 0, 100), forced(40, []), held('B', 2, 50, 200)],
    },
    {
      name: 'a force takes all of a lease, and no other one',
      rules: ['overlap'],
      wrong: [
        held('A', 1, 0, 100),
        held('A', 1, 0, 100, { resources: ['q'] }),
        forced(40, ['B'], { answeredMs: 45 }),
        held('C', 2, 50, 60, { resources: ['q'] }),
      ],
      right: [
        held('A', 1, 0, 100, two),
        forced(40, ['A'], { answeredMs: 45 }),
        held('C', 2, 50, 60, { resources: ['q'] }),
      ],
    },
  ]);
});

describe('token', () => {
  judges([
    {
      name: 'a smaller one after a larger, while calls that overlap may be answered in any order',
      rules: ['token', 'unexplained'],
      wrong: [granted('A', 5, 0, 10), granted('B', 4, 11, 20)],
      right: [granted('A', 5, 0, 10), granted('B', 4, 10, 20)],
    },
    {
      name: 'smaller than one that was answered long before',
      rules: ['token', 'unexplained'],
      wrong: [
        granted('A', 9, 0, 10),
        granted('B', 10, 11, 20),
        granted('C', 3, 15, 40),
        granted('D', 9, 30, 50, { resources: ['q'] }),
      ],
      right: [
        granted('A', 9, 0, 10),
        granted('B', 11, 11, 20),
        granted('C', 10, 15, 40),
        granted('D', 9, 30, 50, { resources: ['q'] }),
      ],
    },
    {
      name: 'smaller than one of two that crossed',
      rules: ['token', 'unexplained'],
      wrong: [granted('A', 9, 0, 10), granted('B', 3, 5, 20), granted('C', 5, 30, 40)],
      right: [granted('A', 9, 0, 10), granted('B', 3, 5, 20), granted('C', 10, 30, 40)],
    },
    {
      name: 'shared by two leases of a resource, while two resources have nothing in common',
      rules: ['token', 'unexplained'],
      wrong: [granted('A', 5, 0, 10), granted('B', 5, 0, 20)],
      right: [granted('A', 5, 0, 10), granted('B', 5, 0, 20, { resources: ['q'] })],
    },
    {
      name: 'of a reader, who has his own and a growing one',
      rules: ['token', 'unexplained'],
      wrong: [granted('A', 5, 0, 10, shared), granted('B', 5, 20, 30, shared)],
      right: [granted('A', 5, 0, 10, shared), granted('B', 6, 20, 30, shared)],
    },
    {
      name: 'another one in a repeat',
      rules: ['token'],
      wrong: [
        granted('A', 5, 0, 10, { requestId: 'q1' }),
        granted('A', 6, 20, 30, { requestId: 'q1', replayed: true }),
      ],
      right: [
        granted('A', 5, 0, 10, { requestId: 'q1' }),
        granted('A', 5, 20, 30, { requestId: 'q1', replayed: true }),
      ],
    },
    {
      name: 'another one with the holder',
      rules: ['token'],
      wrong: [granted('A', 5, 0, 10), held('A', 6, 10, 50)],
      right: [granted('A', 5, 0, 10), held('A', 5, 10, 50)],
    },
    {
      name: 'of a repeat, counts from the first call of its request, be it without an answer',
      rules: ['token', 'unexplained'],
      wrong: [
        unknown(0, { client: 'of-A', requestId: 'q2' }),
        granted('B', 5, 1, 10, shared),
        granted('A', 4, 20, 30, { ...shared, requestId: 'q1', replayed: true }),
      ],
      right: [
        unknown(0, { client: 'of-A', requestId: 'q1' }),
        granted('B', 5, 1, 10, shared),
        granted('A', 4, 20, 30, { ...shared, requestId: 'q1', replayed: true }),
      ],
    },
  ]);
});

describe('twice', () => {
  const again = { requestId: 'q1', client: 'c1' };
  judges([
    {
      name: 'one request has two leases, while another owner may use the same id',
      rules: ['twice'],
      wrong: [granted('A', 1, 0, 10, again), granted('B', 2, 20, 30, again)],
      right: [granted('A', 1, 0, 10, again), granted('B', 2, 20, 30, { ...again, owner: 'c2' })],
    },
    {
      name: 'without a request id every call is a request of its own',
      rules: ['twice'],
      wrong: [
        granted('A', 1, 0, 10, { requestId: 'q1' }),
        granted('A', 1, 20, 30, { requestId: 'q2', replayed: true }),
      ],
      right: [granted('A', 1, 0, 10, { client: 'c1' }), granted('B', 2, 20, 30, { client: 'c1' })],
    },
    {
      name: 'one lease for two owners',
      rules: ['twice'],
      wrong: [granted('A', 1, 0, 10, { client: 'c1' }), granted('A', 1, 20, 30, { client: 'c2' })],
      right: [
        granted('A', 1, 0, 10, again),
        granted('A', 1, 20, 30, { ...again, client: 'c3', owner: 'c1', replayed: true }),
      ],
    },
    {
      name: 'locked again after the release, while a repeat that was under way may have come before it',
      rules: ['twice', 'unexplained'],
      wrong: [
        granted('A', 1, 0, 10, again),
        released('A', 20, 30),
        granted('A', 1, 31, 40, { ...again, replayed: true }),
      ],
      right: [
        granted('A', 1, 0, 10, again),
        released('A', 20, 30),
        granted('A', 1, 30, 40, { ...again, replayed: true }),
      ],
    },
    {
      name: 'a release whose end is unknown proves nothing',
      rules: ['twice', 'unexplained'],
      wrong: [
        granted('A', 1, 0, 10, again),
        released('A', 20, 30),
        granted('A', 1, 31, 40, { ...again, replayed: true }),
      ],
      right: [
        granted('A', 1, 0, 10, again),
        released('A', 20, 30, { outcome: 'unknown' }),
        granted('A', 1, 31, 40, { ...again, replayed: true }),
      ],
    },
    {
      name: 'what the nodes may have forgotten proves nothing',
      rules: ['twice'],
      wrong: [granted('A', 1, 0, 10, again), granted('B', 2, 599_000, 600_000, again)],
      right: [granted('A', 1, 0, 10, again), granted('B', 2, 599_000, 600_001, again)],
    },
  ]);
});

test('one violation for each that came too early, however many there are', () => {
  const all = Array.from({ length: 50 }, (_, index) => held(`L${index}`, index + 1, index, 1000));
  expect(check(all).map(({ rule, atMs }) => `${rule} ${atMs}`)).toEqual(
    Array.from({ length: 49 }, (_, index) => `overlap ${index + 1}`),
  );
});

test('the first and the second one are found behind a third that ended last', () => {
  const all = [
    held('A', 1, 0, 900, shared),
    held('B', 2, 1, 800, shared),
    held('A', 1, 2, 950),
    held('C', 3, 850, 990),
  ];
  expect(
    check(all).map(({ entries }) => entries.map((entry) => 'leaseRef' in entry && entry.leaseRef)),
  ).toEqual([
    ['B', 'A'],
    ['A', 'C'],
  ]);
});

test('of several leases that overlap each is told with the one that goes on longest', () => {
  const pairsOf = (all: ReturnType<typeof held>[]): string[] =>
    check(all).map(
      ({ entries, atMs }) => `${atMs} ${entries.map((entry) => (entry as (typeof all)[0]).leaseRef)}`,
    );
  expect(pairsOf([held('A', 1, 0, 900), held('B', 2, 1, 950), held('B', 2, 100, 200)])).toEqual([
    '1 A,B',
    '100 A,B',
  ]);
  expect(
    pairsOf([held('A', 1, 0, 900), held('B', 2, 1, 100), held('C', 3, 2, 500), held('A', 1, 200, 300)]),
  ).toEqual(['1 A,B', '2 A,C', '200 C,A']);
});
