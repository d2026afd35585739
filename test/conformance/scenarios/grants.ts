/** What a lock gives: leases, tokens, several names, readers, and repeats. */
import type { Scenario } from '../model.ts';

const two = { a: { owner: 'a' }, b: { owner: 'b' } };

export const grants: readonly Scenario[] = [
  {
    name: 'a free lock is granted at once, to the owner that asked, for the ttl it asked for',
    stage: 'calm',
    clients: { a: {} },
    steps: [
      {
        by: 'a',
        do: 'acquire',
        as: 'one',
        with: { names: '~/gpu', owner: 'me', ttl: 20_000 },
        gives: { resources: ['~/gpu'], owner: 'me', mode: 'exclusive', token: { $above: 0 }, lost: null },
        shows: ['grant', 'owner'],
      },
      {
        by: 'a',
        do: 'view',
        of: 'one',
        gives: { remaining: { $above: 0, $most: 19_800 }, told: false, hasId: true },
      },
      {
        by: 'outside',
        do: 'inspect',
        with: { name: '~/gpu' },
        gives: {
          holders: [{ owner: 'me', token: '$one.token', leaseRef: '$one.leaseRef', mode: 'exclusive' }],
        },
        shows: ['tokens', 'exclusion'],
      },
      { by: 'a', do: 'check', of: 'one' },
    ],
  },
  {
    name: 'each grant of a name has a larger token than the one before',
    stage: 'calm',
    clients: two,
    steps: [
      { by: 'a', do: 'acquire', as: 'one', with: { names: '~/gpu' } },
      { by: 'a', do: 'release', of: 'one', gives: { released: true } },
      {
        by: 'b',
        do: 'acquire',
        as: 'two',
        with: { names: '~/gpu' },
        gives: { token: { $above: '$one.token' } },
        shows: 'tokens',
      },
      { by: 'b', do: 'release', of: 'two', gives: { released: true } },
      { by: 'a', do: 'acquire', with: { names: '~/gpu' }, gives: { token: { $above: '$two.token' } } },
    ],
  },
  {
    name: 'a lock that is taken is refused at once, and the error says by whom',
    stage: 'calm',
    clients: two,
    steps: [
      { by: 'a', do: 'acquire', as: 'one', with: { names: '~/gpu', labels: { job: 'seven' } } },
      {
        by: 'b',
        do: 'acquire',
        with: { names: '~/gpu' },
        fails: {
          error: 'BusyError',
          waitElapsed: false,
          queueLength: 0,
          position: 0,
          retryAfter: { $above: 0 },
          holders: [{ resource: '~/gpu', owner: 'a', token: '$one.token', leaseRef: '$one.leaseRef' }],
        },
        shows: ['exclusion', 'holders', 'types'],
      },
      { by: 'a', do: 'check', of: 'one' },
    ],
  },
  {
    name: 'two locks of one client do not let the second one in',
    stage: 'calm',
    clients: { a: {} },
    steps: [
      { by: 'a', do: 'acquire', as: 'one', with: { names: '~/gpu', owner: 'same' } },
      {
        by: 'a',
        do: 'acquire',
        with: { names: '~/gpu', owner: 'same' },
        fails: { error: 'BusyError' },
        shows: 'types',
      },
    ],
  },
  {
    name: 'a default owner differs from call to call and names its machine and process',
    stage: 'calm',
    clients: { a: {} },
    steps: [
      {
        by: 'a',
        do: 'acquire',
        as: 'one',
        with: { names: '~/x' },
        gives: { owner: { $like: '^.+/\\d+/.+$' } },
        shows: 'names',
      },
      {
        by: 'a',
        do: 'acquire',
        as: 'two',
        with: { names: '~/y' },
        gives: { owner: { $not: '$one.owner' } },
      },
      {
        by: 'outside',
        do: 'inspect',
        with: { name: '~/y' },
        gives: { holders: [{ owner: '$two.owner' }] },
      },
    ],
  },
  {
    name: 'several names are locked together, under one token',
    stage: 'calm',
    clients: { a: { owner: 'a' } },
    steps: [
      {
        by: 'a',
        do: 'acquire',
        as: 'both',
        with: { names: ['~/one', '~/two'] },
        gives: { resources: ['~/one', '~/two'] },
        shows: 'several',
      },
      {
        by: 'outside',
        do: 'inspect',
        with: { name: '~/two' },
        gives: { holders: [{ token: '$both.token' }] },
      },
      { by: 'a', do: 'release', of: 'both', gives: { released: true } },
      { by: 'outside', do: 'inspect', with: { name: '~/one' }, gives: { state: 'FREE' }, shows: 'release' },
      { by: 'outside', do: 'inspect', with: { name: '~/two' }, gives: { state: 'FREE' } },
    ],
  },
  {
    name: 'of several names none is locked while one of them is taken',
    stage: 'calm',
    clients: two,
    steps: [
      { by: 'a', do: 'acquire', as: 'one', with: { names: '~/taken' } },
      {
        by: 'b',
        do: 'acquire',
        with: { names: ['~/free', '~/taken'] },
        fails: { error: 'BusyError', holders: [{ resource: '~/taken', owner: 'a' }] },
        shows: 'several',
      },
      { by: 'outside', do: 'inspect', with: { name: '~/free' }, gives: { holders: [] } },
    ],
  },
  {
    name: 'any of a pool is granted, as many as were asked for, and then the rest',
    stage: 'calm',
    clients: two,
    steps: [
      {
        by: 'a',
        do: 'acquire',
        as: 'pair',
        with: { names: ['~/0', '~/1', '~/2'], any: 2 },
        gives: { resources: { $count: 2 } },
        shows: 'any',
      },
      {
        by: 'b',
        do: 'acquire',
        as: 'last',
        with: { names: ['~/0', '~/1', '~/2'], any: 1 },
        gives: { resources: { $count: 1 } },
      },
      {
        by: 'b',
        do: 'acquire',
        with: { names: ['~/0', '~/1', '~/2'], any: 1 },
        fails: { error: 'BusyError', holders: { $count: 3 } },
        shows: 'types',
      },
    ],
  },
  {
    name: 'readers share a lock and keep writers out',
    stage: 'calm',
    clients: two,
    steps: [
      {
        by: 'a',
        do: 'acquire',
        as: 'one',
        with: { names: '~/doc', mode: 'shared' },
        gives: { mode: 'shared' },
        shows: 'mode',
      },
      {
        by: 'b',
        do: 'acquire',
        as: 'two',
        with: { names: '~/doc', mode: 'shared' },
        gives: { token: { $above: '$one.token' } },
      },
      {
        by: 'b',
        do: 'acquire',
        with: { names: '~/doc', mode: 'exclusive' },
        fails: { error: 'BusyError', holders: { $count: 2 } },
        shows: 'exclusion',
      },
    ],
  },
  {
    name: 'a writer keeps readers out',
    stage: 'calm',
    clients: two,
    steps: [
      { by: 'a', do: 'acquire', with: { names: '~/doc' }, as: 'one' },
      {
        by: 'b',
        do: 'acquire',
        with: { names: '~/doc', mode: 'shared' },
        fails: { error: 'BusyError', holders: [{ owner: 'a', mode: 'exclusive' }] },
        shows: ['exclusion', 'holders'],
      },
    ],
  },
];
