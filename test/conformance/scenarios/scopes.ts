/** Scopes, bodies and ends: what is left when a block, a client or a process is done. */
import type { Scenario, Step } from '../model.ts';

const two = { a: { owner: 'a' }, b: { owner: 'b' } };
const free: Step = {
  by: 'outside',
  do: 'inspect',
  with: { name: '~/gpu' },
  gives: { state: 'FREE', holders: [] },
};
const held: Step = {
  by: 'outside',
  do: 'inspect',
  with: { name: '~/gpu' },
  gives: { holders: [{ owner: 'a' }] },
};
const enter = (via: string): Step => ({ by: 'a', do: 'enter', as: 'one', with: { via, names: '~/gpu' } });
const python = ['python', 'asyncio'] as const;

/** The same end of a body, by each word that has a body. */
const bodies = (['lock', 'hold', 'withLock'] as const).flatMap((via): Scenario[] => [
  {
    name: `the end of a ${via} releases`,
    stage: 'calm',
    clients: two,
    steps: [
      enter(via),
      held,
      { by: 'a', do: 'leave', of: 'one', gives: { gave: 'what the body gives' } },
      { ...free, shows: 'release' },
    ],
  },
  {
    name: `an error in the body of a ${via} releases, and comes out as it is`,
    stage: 'calm',
    clients: two,
    steps: [
      enter(via),
      {
        by: 'a',
        do: 'leave',
        of: 'one',
        with: { error: 'the body broke' },
        fails: { error: 'Error', message: 'the body broke' },
      },
      { ...free, shows: 'release' },
    ],
  },
  {
    name: `a ${via} whose lease was lost meanwhile ends in an error, though its body ends well`,
    stage: 'calm',
    clients: two,
    steps: [
      enter(via),
      { by: 'outside', do: 'force', with: { name: '~/gpu', reason: 'maintenance' } },
      { by: 'a', do: 'told', of: 'one', with: { event: 'lost' }, until: { times: 1 }, shows: 'lost' },
      { by: 'a', do: 'leave', of: 'one', fails: { error: 'LeaseLostError', why: 'forced' }, shows: 'types' },
    ],
  },
]);

export const scopes: readonly Scenario[] = [
  ...bodies,
  {
    name: 'the body of a lock that is taken does not begin',
    stage: 'calm',
    clients: two,
    steps: [
      { by: 'b', do: 'acquire', as: 'taken', with: { names: '~/gpu' } },
      {
        ...enter('withLock'),
        fails: { error: 'BusyError', holders: [{ owner: 'b' }] },
        shows: ['exclusion', 'types'],
      },
      { ...enter('lock'), fails: { error: 'BusyError' }, shows: 'types' },
    ],
  },
  {
    name: 'a body that released its lease itself ends well',
    stage: 'calm',
    clients: two,
    steps: [
      enter('lock'),
      { by: 'a', do: 'release', of: 'one', gives: { released: true } },
      { ...free, shows: 'release' },
      { by: 'a', do: 'leave', of: 'one', gives: { gave: 'what the body gives' } },
    ],
  },
  {
    name: 'a guarded function runs under the lock that its arguments name',
    stage: 'calm',
    only: { languages: python, because: 'TypeScript has no decorator for functions' },
    clients: two,
    steps: [
      {
        by: 'a',
        do: 'enter',
        as: 'one',
        with: { via: 'guard', template: '~/gpu/{gpu_id}', values: { gpu_id: 3 } },
      },
      {
        by: 'outside',
        do: 'inspect',
        with: { name: '~/gpu/3' },
        gives: { holders: [{ owner: 'a' }] },
        shows: 'exclusion',
      },
      { by: 'a', do: 'leave', of: 'one', gives: { gave: 'what the body gives' } },
      { by: 'outside', do: 'inspect', with: { name: '~/gpu/3' }, gives: { state: 'FREE' }, shows: 'release' },
    ],
  },
  {
    name: 'the loss of a lease cancels the task in its scope, which ends in that error',
    stage: 'calm',
    only: { languages: ['asyncio'], because: 'only a task can be cancelled from outside' },
    clients: two,
    steps: [
      enter('lock'),
      { by: 'outside', do: 'force', with: { name: '~/gpu', reason: 'maintenance' } },
      {
        by: 'a',
        do: 'told',
        of: 'one',
        with: { event: 'ended' },
        until: { last: { error: 'LeaseLostError', why: 'forced' } },
        shows: ['lost', 'types'],
      },
    ],
  },
  {
    name: 'close releases all that is held',
    stage: 'calm',
    clients: two,
    steps: [
      { by: 'a', do: 'acquire', as: 'one', with: { names: '~/gpu' } },
      { by: 'a', do: 'acquire', as: 'two', with: { names: '~/other' } },
      { by: 'a', do: 'close' },
      { by: 'outside', do: 'inspect', with: { name: '~/gpu' }, until: { state: 'FREE' }, shows: 'release' },
      { by: 'outside', do: 'inspect', with: { name: '~/other' }, until: { state: 'FREE' } },
      { by: 'a', do: 'check', of: 'one', fails: { error: 'LeaseLostError' }, shows: 'types' },
    ],
  },
  {
    name: 'a process with a closed client ends by itself',
    stage: 'calm',
    clients: { a: { owner: 'a', alone: true } },
    steps: [
      { by: 'a', do: 'acquire', as: 'one', with: { names: '~/gpu' } },
      { by: 'a', do: 'close' },
      { by: 'a', do: 'stopReading' },
      { by: 'a', do: 'gone', gives: { code: 0 }, shows: 'daemon' },
    ],
  },
  {
    name: 'a process with an open client and a lock ends by itself, and the lock is free after the grace',
    stage: 'calm',
    only: {
      languages: python,
      because: 'an open client keeps a process of Node alive, as an open server does',
    },
    clients: { a: { owner: 'a', alone: true }, b: { owner: 'b' } },
    steps: [
      { by: 'a', do: 'acquire', as: 'one', with: { names: '~/gpu' } },
      { by: 'a', do: 'stopReading' },
      { by: 'a', do: 'gone', gives: { code: 0 }, shows: 'daemon' },
      { by: 'b', do: 'acquire', with: { names: '~/gpu', wait: 30_000 }, shows: 'release' },
    ],
  },
  {
    name: 'a forked child owns no lease of its parent, and takes locks of its own',
    stage: 'calm',
    only: { languages: ['python'], because: 'neither Node nor a running event loop forks' },
    clients: { a: { owner: 'a', alone: true } },
    steps: [
      { by: 'a', do: 'acquire', as: 'one', with: { names: '~/gpu' } },
      {
        by: 'a',
        do: 'fork',
        of: 'one',
        with: { name: '~/child' },
        gives: { check: 'LeaseLostError', released: false, token: { $above: 0 }, mine: true },
        shows: 'fork',
      },
      { by: 'a', do: 'check', of: 'one' },
      held,
      { by: 'a', do: 'release', of: 'one', gives: { released: true } },
    ],
  },
  {
    name: 'the credentials and the keepalive of a client are its own to choose',
    stage: 'calm',
    clients: { a: { owner: 'a', credentials: 'insecure', keepalive: { time: 20_000, timeout: 10_000 } } },
    steps: [{ by: 'a', do: 'acquire', with: { names: '~/gpu' }, gives: { owner: 'a' }, shows: 'grant' }],
  },
];
