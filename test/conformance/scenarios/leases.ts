/** What a lease carries: ttl, labels, the id that nobody prints, and request ids that find it again. */
import type { Scenario } from '../model.ts';

export const leases: readonly Scenario[] = [
  {
    name: 'the ttl of the client is taken where the lock names none',
    stage: 'calm',
    clients: { a: { ttl: 7000 } },
    steps: [
      {
        by: 'a',
        do: 'acquire',
        as: 'one',
        with: { names: '~/gpu' },
        gives: { remaining: { $above: 0, $most: 6928.1 } },
        shows: 'ttl',
      },
    ],
  },
  {
    name: 'a span may be written as a text',
    stage: 'calm',
    only: { languages: ['typescript'], because: 'Python has seconds, as numbers' },
    clients: { a: { ttl: '20s' } },
    steps: [
      {
        by: 'a',
        do: 'acquire',
        with: { names: '~/x' },
        gives: { remaining: { $above: 8000, $most: 19_798.1 } },
        shows: 'ttl',
      },
      {
        by: 'a',
        do: 'acquire',
        with: { names: '~/y', ttl: '0.1m' },
        gives: { remaining: { $most: 5938.1 } },
        shows: 'ttl',
      },
      {
        by: 'a',
        do: 'acquire',
        with: { names: '~/z', ttl: 'soon' },
        fails: { error: 'InvalidFieldError', fields: [{ field: 'ttl' }] },
        shows: 'types',
      },
    ],
  },
  {
    name: 'labels are shown with the lease, to its holder and to others',
    stage: 'calm',
    clients: { a: { owner: 'a' }, b: {} },
    steps: [
      {
        by: 'a',
        do: 'acquire',
        as: 'one',
        with: { names: '~/gpu', labels: { job: 'seven', team: 'vision' } },
        gives: { labels: { job: 'seven', team: 'vision' } },
        shows: 'labels',
      },
      {
        by: 'b',
        do: 'inspect',
        with: { name: '~/gpu' },
        gives: { holders: [{ labels: { job: 'seven', team: 'vision' } }] },
        shows: 'inspect',
      },
    ],
  },
  {
    name: 'a request that is repeated under its id is given its lease again, and no second one',
    stage: 'calm',
    clients: { a: { owner: 'a' } },
    steps: [
      { by: 'a', do: 'acquire', as: 'one', with: { names: '~/gpu', requestId: '~/id' } },
      {
        by: 'a',
        do: 'acquire',
        as: 'again',
        with: { names: '~/gpu', requestId: '~/id' },
        gives: { token: '$one.token', leaseRef: '$one.leaseRef', remaining: { $above: 0 } },
        shows: 'requestId',
      },
      { by: 'a', do: 'release', of: 'again', gives: { released: true } },
      {
        by: 'a',
        do: 'acquire',
        with: { names: '~/gpu', requestId: '~/id' },
        fails: { error: 'LeaseLostError', why: 'released', reason: 'LEASE_LOST' },
        shows: ['details', 'types'],
      },
    ],
  },
  {
    name: 'a request id is refused for another request',
    stage: 'calm',
    clients: { a: { owner: 'a' } },
    steps: [
      { by: 'a', do: 'acquire', as: 'one', with: { names: '~/gpu', requestId: '~/id' } },
      {
        by: 'a',
        do: 'acquire',
        with: { names: '~/other', requestId: '~/id' },
        fails: { error: 'InvalidFieldError', fields: [{ field: 'request_id' }] },
        shows: ['requestId', 'details', 'types'],
      },
    ],
  },
  {
    name: 'the id of a lease is not printed with it',
    stage: 'calm',
    clients: { a: {} },
    steps: [
      {
        by: 'a',
        do: 'acquire',
        as: 'one',
        with: { names: '~/gpu' },
        gives: { hasId: true, printsId: false },
        shows: 'grant',
      },
    ],
  },
];
