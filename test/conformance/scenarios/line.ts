/** Waiting: places in line, giving up, priorities, and being asked to make way. */
import type { Scenario } from '../model.ts';

const three = { a: { owner: 'a' }, b: { owner: 'b' }, c: { owner: 'c' } };
const taken = { by: 'a', do: 'acquire', as: 'first', with: { names: '~/gpu' } } as const;
const waiting = (owners: readonly string[]) =>
  ({
    by: 'outside',
    do: 'inspect',
    with: { name: '~/gpu' },
    until: { waiters: owners.map((owner) => ({ owner })) },
  }) as const;
const wait = (by: string, more: Record<string, string | number> = {}) =>
  ({
    by,
    do: 'acquire',
    as: `${by}1`,
    with: { names: '~/gpu', wait: 50_000, ...more },
    later: true,
  }) as const;

export const line: readonly Scenario[] = [
  {
    name: 'who waits is granted the lock when its holder releases',
    stage: 'calm',
    clients: three,
    steps: [
      taken,
      wait('b'),
      { ...waiting(['b']), shows: 'wait' },
      { by: 'a', do: 'release', of: 'first', gives: { released: true } },
      { by: 'b', do: 'answer', of: 'b1', gives: { token: { $above: '$first.token' } }, shows: 'release' },
    ],
  },
  {
    name: 'waiters are served in the order in which they came',
    stage: 'calm',
    clients: three,
    steps: [
      taken,
      wait('b'),
      waiting(['b']),
      wait('c'),
      { ...waiting(['b', 'c']), shows: 'order' },
      { by: 'a', do: 'release', of: 'first' },
      { by: 'b', do: 'answer', of: 'b1', as: 'second' },
      waiting(['c']),
      { by: 'b', do: 'release', of: 'b1' },
      { by: 'c', do: 'answer', of: 'c1', gives: { token: { $above: '$second.token' } } },
    ],
  },
  {
    name: 'a wait that is over is refused, and says so',
    stage: 'calm',
    clients: three,
    steps: [
      taken,
      {
        by: 'b',
        do: 'acquire',
        with: { names: '~/gpu', wait: 300 },
        fails: { error: 'BusyError', waitElapsed: true, position: 1, holders: [{ owner: 'a' }] },
        shows: ['wait', 'holders'],
      },
      { ...waiting([]), with: { name: '~/gpu' } },
    ],
  },
  {
    name: 'who waits is told its place, how many wait, and who holds',
    stage: 'calm',
    clients: three,
    steps: [
      taken,
      wait('b'),
      waiting(['b']),
      wait('c'),
      {
        by: 'c',
        do: 'told',
        of: 'c1',
        with: { event: 'queued' },
        until: { last: { position: 2, queueLength: 2, holders: [{ owner: 'a', token: '$first.token' }] } },
        shows: 'queued',
      },
      { by: 'a', do: 'release', of: 'first' },
      { by: 'b', do: 'answer', of: 'b1', as: 'second' },
      {
        by: 'c',
        do: 'told',
        of: 'c1',
        with: { event: 'queued' },
        until: { last: { position: 1, holders: [{ owner: 'b' }] } },
      },
      { by: 'b', do: 'release', of: 'b1' },
      { by: 'c', do: 'answer', of: 'c1', gives: { lost: null } },
    ],
  },
  {
    name: 'a lock that is free is granted without a word about a place in line',
    stage: 'calm',
    clients: three,
    steps: [
      { by: 'a', do: 'acquire', as: 'first', with: { names: '~/gpu', wait: 20_000 }, shows: 'grant' },
      { by: 'a', do: 'told', of: 'first', with: { event: 'queued' }, gives: { times: 0 } },
    ],
  },
  {
    name: 'who gives its wait up leaves the line, and holds nothing',
    stage: 'calm',
    clients: { a: { owner: 'a' }, b: { owner: 'b', alone: true } },
    steps: [
      taken,
      { ...wait('b'), do: 'acquireHere' },
      waiting(['b']),
      { by: 'b', do: 'giveUp', of: 'b1' },
      { by: 'b', do: 'answer', of: 'b1', fails: { error: 'Error', gaveUp: true } },
      { ...waiting([]), shows: 'cancel' },
      { by: 'a', do: 'release', of: 'first' },
      { by: 'outside', do: 'inspect', with: { name: '~/gpu' }, gives: { state: 'FREE' } },
    ],
  },
  {
    name: 'a wait ends when its client is closed, and leaves the line',
    stage: 'calm',
    clients: three,
    steps: [
      taken,
      wait('b'),
      waiting(['b']),
      { by: 'b', do: 'close' },
      { by: 'b', do: 'answer', of: 'b1', fails: { error: 'ClosedError' }, shows: 'types' },
      waiting([]),
    ],
  },
  {
    name: 'a killed waiter loses its place',
    stage: 'calm',
    clients: { a: { owner: 'a' }, b: { owner: 'b', alone: true }, c: { owner: 'c' } },
    steps: [
      taken,
      wait('b'),
      waiting(['b']),
      wait('c'),
      waiting(['b', 'c']),
      { by: 'b', do: 'signal', with: { signal: 'SIGKILL' } },
      { ...waiting(['c']), shows: 'release' },
      { by: 'a', do: 'release', of: 'first' },
      { by: 'c', do: 'answer', of: 'c1', gives: { owner: 'c' } },
    ],
  },
  {
    name: 'a waiter of higher priority is served first',
    stage: 'calm',
    clients: three,
    steps: [
      taken,
      wait('b'),
      waiting(['b']),
      wait('c', { priority: 9 }),
      { ...waiting(['c', 'b']), shows: 'priority' },
      { by: 'a', do: 'release', of: 'first' },
      { by: 'c', do: 'answer', of: 'c1', gives: { owner: 'c' } },
      waiting(['b']),
    ],
  },
  {
    name: 'a holder is told that somebody of higher priority asks for the lock',
    stage: 'calm',
    clients: three,
    steps: [
      { ...taken, with: { names: '~/gpu', ttl: 3000 } },
      wait('b', { priority: 5 }),
      waiting(['b']),
      {
        by: 'a',
        do: 'told',
        of: 'first',
        with: { event: 'yield' },
        until: { last: { owner: 'b', priority: 5 } },
        takes: 1000,
        shows: ['yield', 'priority'],
      },
      { by: 'a', do: 'check', of: 'first' },
      { by: 'a', do: 'release', of: 'first' },
      { by: 'b', do: 'answer', of: 'b1', gives: { owner: 'b' } },
    ],
  },
  {
    name: 'hold waits without a limit',
    stage: 'calm',
    clients: three,
    steps: [
      taken,
      { by: 'b', do: 'enter', as: 'second', with: { via: 'hold', names: '~/gpu' }, later: true },
      { ...waiting(['b']), shows: 'wait' },
      { by: 'a', do: 'release', of: 'first' },
      { by: 'b', do: 'answer', of: 'second', gives: { token: { $above: '$first.token' } }, shows: 'release' },
      { by: 'b', do: 'leave', of: 'second' },
      { by: 'outside', do: 'inspect', with: { name: '~/gpu' }, gives: { state: 'FREE' }, shows: 'release' },
    ],
  },
  {
    name: 'hold gives up when a limit is named',
    stage: 'calm',
    clients: three,
    steps: [
      taken,
      {
        by: 'b',
        do: 'enter',
        as: 'second',
        with: { via: 'hold', names: '~/gpu', wait: 200 },
        fails: { error: 'BusyError', waitElapsed: true, position: 1 },
        shows: 'wait',
      },
    ],
  },
];
