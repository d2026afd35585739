/** Every typed error: when it comes, and what it says. */
import type { Scenario, Step } from '../model.ts';

const a = { a: { owner: 'a' } };

/** An acquire that breaks a rule of one field. */
const wrong = (field: string, given: Step['with'], shows: Step['shows'] = 'types'): Step => ({
  by: 'a',
  do: 'acquire',
  with: { names: '~/gpu', ...given },
  fails: { error: 'InvalidFieldError', reason: 'INVALID_FIELD', code: 3, fields: { $has: [{ field }] } },
  shows,
});

const refused = (name: string, reason: string, code: number, error: string): Scenario => ({
  name,
  stage: 'calm',
  clients: { a: { owner: 'a', refused: { reason, code } } },
  steps: [
    {
      by: 'a',
      do: 'acquire',
      with: { names: '~/gpu' },
      fails: { error, reason, code, metadata: { by: 'the wire' } },
      shows: 'types',
    },
  ],
});

export const errors: readonly Scenario[] = [
  {
    name: 'a wrong field is named, by what the contract calls it',
    stage: 'calm',
    clients: a,
    steps: [
      wrong('ttl', { ttl: 1 }, ['types', 'details']),
      wrong('ttl', { ttl: 3_600_000 }),
      wrong('resources[1]', { names: ['~/fine', 'not a name'] }),
      wrong('resources[1]', { names: ['~/same', '~/same'] }),
      wrong('resources', { names: [] }),
      wrong('owner', { owner: 'x'.repeat(257) }),
      wrong('priority', { priority: 10 }),
      wrong('any', { any: 2 }),
      wrong('wait', { wait: -1 }),
      wrong('request_id', { requestId: 'x'.repeat(129) }),
      { by: 'outside', do: 'inspect', with: { name: '~/gpu' }, gives: { refused: 'UNKNOWN_RESOURCE' } },
    ],
  },
  {
    name: 'all wrong fields of a request are named at once',
    stage: 'calm',
    clients: a,
    steps: [
      {
        by: 'a',
        do: 'acquire',
        with: { names: ['~/gpu', 'not a name'], owner: 'x'.repeat(257), priority: 10 },
        fails: {
          error: 'InvalidFieldError',
          fields: { $has: [{ field: 'resources[1]' }, { field: 'owner' }, { field: 'priority' }] },
        },
        shows: 'types',
      },
    ],
  },
  {
    name: 'two that wait for each other are told, one of them, that they would wait forever',
    stage: 'calm',
    clients: { a: { owner: 'a' }, b: { owner: 'b' } },
    steps: [
      { by: 'a', do: 'acquire', as: 'one', with: { names: '~/x', owner: '~/a' } },
      { by: 'b', do: 'acquire', as: 'two', with: { names: '~/y', owner: '~/b' } },
      {
        by: 'a',
        do: 'acquire',
        as: 'three',
        with: { names: '~/y', owner: '~/a', wait: 50_000 },
        later: true,
      },
      { by: 'outside', do: 'inspect', with: { name: '~/y' }, until: { waiters: { $count: 1 } } },
      {
        by: 'b',
        do: 'acquire',
        with: { names: '~/x', owner: '~/b', wait: 50_000 },
        fails: {
          error: 'DeadlockError',
          code: 10,
          cycle: { $like: '~/a' },
          owners: { $has: ['~/a', '~/b'] },
          resources: { $has: ['~/x', '~/y'] },
        },
        shows: ['owner', 'details'],
      },
      { by: 'b', do: 'release', of: 'two' },
      { by: 'a', do: 'answer', of: 'three', gives: { resources: ['~/y'] } },
    ],
  },
  {
    name: 'who waits for its own lock is told that it would wait forever',
    stage: 'calm',
    clients: a,
    steps: [
      { by: 'a', do: 'acquire', as: 'one', with: { names: '~/x' } },
      {
        by: 'a',
        do: 'acquire',
        with: { names: '~/x', wait: 50_000 },
        fails: { error: 'DeadlockError', owners: ['a'], resources: ['~/x'] },
        shows: ['owner', 'types'],
      },
    ],
  },
  {
    name: 'a line that is full refuses the next',
    stage: 'calm',
    clients: a,
    steps: [
      { by: 'outside', do: 'acquire', as: 'held', with: { names: ['~/gpu'] } },
      ...[1, 2, 3, 4].flatMap((count): Step[] => [
        {
          by: 'a',
          do: 'acquire',
          as: `wait${count}`,
          with: { names: '~/gpu', owner: `w${count}`, wait: 50_000 },
          later: true,
        },
        { by: 'outside', do: 'inspect', with: { name: '~/gpu' }, until: { waiters: { $count: count } } },
      ]),
      {
        by: 'a',
        do: 'acquire',
        with: { names: '~/gpu', owner: 'w5', wait: 50_000 },
        fails: {
          error: 'QuotaError',
          reason: 'TOO_MANY_WAITERS',
          code: 8,
          metadata: { limit: '4', scope: 'resource' },
          retryAfter: { $above: 0 },
        },
        shows: ['details', 'types'],
      },
    ],
  },
  {
    name: 'a name that nobody has ever locked is unknown',
    stage: 'calm',
    clients: a,
    steps: [
      {
        by: 'a',
        do: 'inspect',
        with: { name: '~/never' },
        fails: {
          error: 'UnknownResourceError',
          reason: 'UNKNOWN_RESOURCE',
          code: 5,
          metadata: { resource: '~/never' },
        },
        shows: ['details', 'types'],
      },
      {
        by: 'a',
        do: 'checkToken',
        with: { name: '~/never', token: '7' },
        fails: { error: 'UnknownResourceError' },
        shows: 'types',
      },
    ],
  },
  {
    name: 'an address where nobody listens is told, after a while, and by its name',
    stage: 'calm',
    clients: { a: { owner: 'a', knows: ['nobody'] } },
    steps: [
      {
        by: 'a',
        do: 'acquire',
        with: { names: '~/gpu' },
        fails: { error: 'UnavailableError', code: 14, addresses: { $count: 1 } },
        takes: 15_000,
        shows: 'types',
      },
    ],
  },
  {
    name: 'a closed client refuses everything',
    stage: 'calm',
    clients: a,
    steps: [
      { by: 'a', do: 'close' },
      { by: 'a', do: 'acquire', with: { names: '~/gpu' }, fails: { error: 'ClosedError' }, shows: 'types' },
      { by: 'a', do: 'inspect', with: { name: '~/gpu' }, fails: { error: 'ClosedError' }, shows: 'types' },
      { by: 'a', do: 'close' },
    ],
  },
  {
    name: 'the lease of a name that somebody forced free is lost by force',
    stage: 'calm',
    clients: a,
    steps: [
      { by: 'a', do: 'acquire', as: 'one', with: { names: '~/gpu' } },
      { by: 'outside', do: 'force', with: { name: '~/gpu', reason: 'maintenance' } },
      {
        by: 'a',
        do: 'check',
        of: 'one',
        until: { error: 'LeaseLostError', why: 'forced', reason: 'LEASE_LOST', code: 9 },
        shows: ['lost', 'types'],
      },
      {
        by: 'a',
        do: 'progress',
        of: 'one',
        with: { text: 'on' },
        fails: { error: 'LeaseLostError', why: 'forced' },
      },
      { by: 'a', do: 'release', of: 'one', gives: { released: false } },
    ],
  },
  refused('who may not do it is denied', 'DENIED', 7, 'DeniedError'),
  refused('who is not known is denied', 'UNAUTHENTICATED', 16, 'DeniedError'),
  refused('a quota that is used up is named', 'QUOTA', 8, 'QuotaError'),
  refused('a defect of the service is an error without a class of its own', 'INTERNAL', 13, 'HoldfastError'),
  refused('a reason that is new is kept, and acted on by its code', 'FROM_TOMORROW', 9, 'HoldfastError'),
];
