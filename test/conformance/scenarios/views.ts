/** What is to be seen of locks, and what others may do to them: inspect, list, tokens, force, status. */
import type { Scenario } from '../model.ts';

const two = { a: { owner: 'a' }, b: { owner: 'b' } };

export const views: readonly Scenario[] = [
  {
    name: 'inspect shows who holds a lock and who waits for it',
    stage: 'calm',
    clients: two,
    steps: [
      { by: 'a', do: 'acquire', as: 'one', with: { names: '~/gpu' } },
      { by: 'b', do: 'acquire', as: 'two', with: { names: '~/gpu', wait: 50_000, priority: 0 }, later: true },
      {
        by: 'a',
        do: 'inspect',
        with: { name: '~/gpu' },
        until: {
          resource: '~/gpu',
          state: 'held',
          lastToken: '$one.token',
          holders: [{ owner: 'a', token: '$one.token', leaseRef: '$one.leaseRef' }],
          waiters: [{ owner: 'b', position: 1, priority: 0 }],
        },
        shows: ['inspect', 'wait'],
      },
    ],
  },
  {
    name: 'inspect tells the past of a lock, with the reason of its release',
    stage: 'calm',
    clients: two,
    steps: [
      { by: 'a', do: 'acquire', as: 'one', with: { names: '~/gpu' } },
      { by: 'a', do: 'release', of: 'one', with: { reason: 'the epoch is done' }, gives: { released: true } },
      {
        by: 'b',
        do: 'inspect',
        with: { name: '~/gpu', history: 10 },
        gives: {
          state: 'free',
          holders: [],
          history: {
            $has: [
              { type: 'released', owner: 'a', reason: 'the epoch is done', token: '$one.token' },
              { type: 'granted', owner: 'a', token: '$one.token' },
            ],
          },
        },
        shows: ['history', 'reason', 'release'],
      },
      { by: 'b', do: 'inspect', with: { name: '~/gpu' }, gives: { history: [] } },
    ],
  },
  {
    name: 'list has the locks of a prefix, and of one owner',
    stage: 'calm',
    clients: two,
    steps: [
      { by: 'a', do: 'acquire', as: 'one', with: { names: '~/list/one', owner: '~/a' } },
      { by: 'b', do: 'acquire', as: 'two', with: { names: '~/list/two', owner: '~/b' } },
      { by: 'b', do: 'acquire', as: 'three', with: { names: '~/elsewhere', owner: '~/b' } },
      {
        by: 'a',
        do: 'list',
        with: { prefix: '~/list/' },
        gives: {
          locks: [
            { resource: '~/list/one', holders: [{ owner: '~/a' }], lastToken: '$one.token', queueLength: 0 },
            { resource: '~/list/two', holders: [{ owner: '~/b' }] },
          ],
        },
        shows: 'list',
      },
      {
        by: 'a',
        do: 'list',
        with: { prefix: '~/', owner: '~/b' },
        gives: { locks: [{ resource: '~/elsewhere' }, { resource: '~/list/two' }] },
      },
    ],
  },
  {
    name: 'list goes on from page to page',
    stage: 'calm',
    clients: two,
    steps: [
      ...Array.from({ length: 17 }, (_, page) => ({
        by: 'a',
        do: 'acquire',
        as: `page${page}`,
        with: {
          names: Array.from(
            { length: 64 },
            (_, at) => `~/many/${String(page).padStart(2, '0')}-${String(at).padStart(2, '0')}`,
          ),
        },
      })),
      {
        by: 'b',
        do: 'list',
        with: { prefix: '~/many/' },
        gives: { locks: { $count: 1088 } },
        shows: 'pages',
      },
    ],
  },
  {
    name: 'a token is in force while its lease is, and never after',
    stage: 'calm',
    clients: two,
    steps: [
      { by: 'a', do: 'acquire', as: 'one', with: { names: '~/gpu' } },
      {
        by: 'b',
        do: 'checkToken',
        with: { name: '~/gpu', token: '$one.token' },
        gives: { current: true, lastToken: '$one.token' },
        shows: 'tokens',
      },
      { by: 'a', do: 'release', of: 'one', gives: { released: true } },
      {
        by: 'b',
        do: 'checkToken',
        with: { name: '~/gpu', token: '$one.token' },
        gives: { current: false, lastToken: '$one.token' },
        shows: ['checkToken', 'release'],
      },
    ],
  },
  {
    name: 'a lock is freed by force, and its holder is told who did not mean to',
    stage: 'calm',
    clients: two,
    steps: [
      { by: 'a', do: 'acquire', as: 'one', with: { names: '~/gpu' } },
      {
        by: 'b',
        do: 'forceRelease',
        with: { name: '~/gpu', reason: 'the machine burns', leaseRef: '$one.leaseRef' },
        gives: { freed: [{ owner: 'a', leaseRef: '$one.leaseRef' }] },
        shows: 'force',
      },
      {
        by: 'a',
        do: 'told',
        of: 'one',
        with: { event: 'lost' },
        until: { last: { reason: 'forced' } },
        shows: 'lost',
      },
      { by: 'a', do: 'view', of: 'one', gives: { remaining: 0, told: true, lost: { reason: 'forced' } } },
      { by: 'b', do: 'acquire', with: { names: '~/gpu' }, gives: { token: { $above: '$one.token' } } },
    ],
  },
  {
    name: 'force without a reason is refused, and changes nothing',
    stage: 'calm',
    clients: two,
    steps: [
      { by: 'a', do: 'acquire', as: 'one', with: { names: '~/gpu' } },
      {
        by: 'b',
        do: 'forceRelease',
        with: { name: '~/gpu', reason: '' },
        fails: { error: 'InvalidFieldError', fields: [{ field: 'reason' }] },
        shows: 'types',
      },
      { by: 'outside', do: 'inspect', with: { name: '~/gpu' }, gives: { holders: [{ owner: 'a' }] } },
    ],
  },
  {
    name: 'others see how far the holder has come',
    stage: 'calm',
    clients: two,
    steps: [
      { by: 'a', do: 'acquire', as: 'one', with: { names: '~/gpu' } },
      { by: 'a', do: 'progress', of: 'one', with: { text: 'epoch 3 of 10' } },
      {
        by: 'b',
        do: 'inspect',
        with: { name: '~/gpu' },
        gives: { holders: [{ progress: 'epoch 3 of 10' }] },
        shows: 'progress',
      },
    ],
  },
  {
    name: 'status shows the nodes of the service',
    stage: 'calm',
    clients: two,
    steps: [
      {
        by: 'a',
        do: 'status',
        gives: { embedded: true, draining: false, nodes: [{ state: 'ready' }], version: { $like: '^\\d' } },
        shows: 'status',
      },
    ],
  },
  {
    name: 'the second release of a lease is not its end',
    stage: 'calm',
    clients: two,
    steps: [
      { by: 'a', do: 'acquire', as: 'one', with: { names: '~/gpu', requestId: '~/id' } },
      {
        by: 'a',
        do: 'acquire',
        as: 'same',
        with: { names: '~/gpu', requestId: '~/id' },
        gives: { token: '$one.token' },
      },
      { by: 'a', do: 'release', of: 'one', gives: { released: true } },
      { by: 'a', do: 'release', of: 'one', gives: { released: false } },
      { by: 'a', do: 'check', of: 'one', fails: { error: 'LeaseLostError' }, shows: 'types' },
    ],
  },
  {
    name: 'the release of a lease that somebody forced free says that it was gone',
    stage: 'calm',
    clients: two,
    steps: [
      { by: 'a', do: 'acquire', as: 'one', with: { names: '~/gpu' } },
      { by: 'outside', do: 'force', with: { name: '~/gpu', reason: 'maintenance' } },
      { by: 'a', do: 'told', of: 'one', with: { event: 'lost' }, until: { times: 1 }, shows: 'lost' },
      { by: 'a', do: 'release', of: 'one', gives: { released: false } },
    ],
  },
];
