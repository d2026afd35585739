/** How long a lease counts: renewals, the holder's own clock, processes that stop or die, and the end of a stream. */
import type { Scenario, Step } from '../model.ts';

const stands = (name: string, wanted: Step['until']): Step => ({
  by: 'outside',
  do: 'inspect',
  with: { name },
  until: wanted as NonNullable<Step['until']>,
});
/** Silence is noticed soon. */
const keen = { HOLDFAST_KEEPALIVE_TIME: '1s', HOLDFAST_KEEPALIVE_TIMEOUT: '1s' };

export const loss: readonly Scenario[] = [
  {
    name: 'a short lease is kept for as long as its holder lives',
    stage: 'calm',
    clients: { a: { owner: 'a' } },
    steps: [
      { by: 'a', do: 'acquire', as: 'one', with: { names: '~/gpu', ttl: 4000 } },
      {
        ...stands('~/gpu', { holders: [{ token: '$one.token', standsFor: { $above: 9000 } }] }),
        takes: 6000,
        shows: 'renewed',
      },
      {
        by: 'a',
        do: 'view',
        of: 'one',
        gives: { lost: null, told: false, remaining: { $above: 0, $most: 4000 } },
      },
      { by: 'a', do: 'check', of: 'one' },
      { by: 'a', do: 'release', of: 'one', gives: { released: true } },
    ],
  },
  {
    name: 'what remains of a lease runs down, grows with each renewal, and is never more than its ttl',
    stage: 'calm',
    clients: { a: { owner: 'a' } },
    steps: [
      {
        by: 'a',
        do: 'acquire',
        as: 'one',
        with: { names: '~/gpu', ttl: 3000 },
        gives: { remaining: { $above: 0, $most: 2968.1 } },
      },
      { by: 'a', do: 'view', of: 'one', as: 'low', until: { remaining: { $below: 2500 } }, shows: 'clock' },
      {
        by: 'a',
        do: 'view',
        of: 'one',
        until: { remaining: { $above: '$low.remaining', $most: 3000 }, lost: null },
        shows: 'renewed',
      },
    ],
  },
  {
    name: 'a stopped process finds its lease over when it wakes, and the next holder has a larger token',
    stage: 'calm',
    own: true,
    env: keen,
    clients: { a: { owner: 'a', alone: true, ttl: 1500 } },
    steps: [
      { by: 'a', do: 'acquire', as: 'one', with: { names: '~/gpu' } },
      { by: 'a', do: 'signal', with: { signal: 'SIGSTOP' } },
      {
        by: 'outside',
        do: 'acquire',
        as: 'two',
        with: { names: ['~/gpu'], wait: 40_000 },
        gives: { token: { $above: '$one.token' } },
      },
      { by: 'a', do: 'signal', with: { signal: 'SIGCONT' } },
      { by: 'a', do: 'view', of: 'one', gives: { remaining: 0 }, shows: 'count' },
      { by: 'a', do: 'check', of: 'one', fails: { error: 'LeaseLostError' }, shows: ['count', 'types'] },
      { by: 'a', do: 'told', of: 'one', with: { event: 'lost' }, until: { times: 1 } },
      { by: 'a', do: 'release', of: 'one', gives: { released: false } },
    ],
  },
  {
    name: 'the lock of a killed process is free after its grace, and no sooner',
    stage: 'calm',
    clients: {
      soon: { owner: 'soon', grace: 0, alone: true },
      kept: { owner: 'kept', grace: 40_000, alone: true },
      b: { owner: 'b' },
    },
    steps: [
      { by: 'soon', do: 'acquire', as: 'one', with: { names: '~/soon' } },
      { by: 'kept', do: 'acquire', as: 'two', with: { names: '~/kept' } },
      { by: 'kept', do: 'signal', with: { signal: 'SIGKILL' } },
      { by: 'kept', do: 'gone', gives: { code: 'SIGKILL' } },
      { by: 'soon', do: 'signal', with: { signal: 'SIGKILL' } },
      { by: 'b', do: 'acquire', with: { names: '~/soon', wait: 30_000 }, shows: ['noGrace', 'release'] },
      {
        by: 'outside',
        do: 'inspect',
        with: { name: '~/kept' },
        gives: { holders: [{ token: '$two.token' }] },
        shows: 'grace',
      },
    ],
  },
  {
    name: 'a grace that nobody set is a second: a killed process does not keep its lock',
    stage: 'calm',
    clients: { a: { owner: 'a', alone: true }, b: { owner: 'b' } },
    steps: [
      { by: 'a', do: 'acquire', as: 'one', with: { names: '~/gpu' } },
      { by: 'a', do: 'signal', with: { signal: 'SIGKILL' } },
      {
        by: 'b',
        do: 'acquire',
        with: { names: '~/gpu', wait: 30_000 },
        gives: { token: { $above: '$one.token' } },
        shows: ['noGrace', 'release'],
      },
    ],
  },
  {
    name: 'a lease whose connection was cut is taken over by the next, with its token',
    stage: 'calm',
    clients: { a: { owner: 'a', grace: 20_000, cable: true }, b: { owner: 'b' } },
    steps: [
      { by: 'a', do: 'acquire', as: 'one', with: { names: '~/gpu' } },
      { by: 'a', do: 'cut' },
      { by: 'a', do: 'mend' },
      { by: 'a', do: 'acquire', as: 'two', with: { names: '~/other' } },
      { by: 'a', do: 'progress', of: 'one', with: { text: 'still here' }, shows: ['resume', 'grace'] },
      {
        by: 'a',
        do: 'view',
        of: 'one',
        gives: { token: '$one.token', lost: null, remaining: { $above: 20_000 } },
      },
      { by: 'b', do: 'acquire', with: { names: '~/gpu' }, fails: { holders: [{ token: '$one.token' }] } },
      { by: 'a', do: 'release', of: 'one', gives: { released: true } },
    ],
  },
  {
    name: 'a lease whose connection is not mended within the grace is lost, for nobody knows why',
    stage: 'calm',
    clients: { a: { owner: 'a', grace: 1500, cable: true } },
    steps: [
      { by: 'a', do: 'acquire', as: 'one', with: { names: '~/gpu' } },
      { by: 'a', do: 'cut' },
      {
        by: 'a',
        do: 'told',
        of: 'one',
        with: { event: 'lost' },
        until: { times: 1, last: { reason: 'unknown' } },
        shows: 'bound',
      },
      { by: 'a', do: 'view', of: 'one', gives: { remaining: 0, lost: { reason: 'unknown' } } },
      { by: 'a', do: 'check', of: 'one', fails: { error: 'LeaseLostError', why: 'unknown' }, shows: 'types' },
      { by: 'a', do: 'mend' },
      stands('~/gpu', { state: 'FREE' }),
      {
        by: 'a',
        do: 'acquire',
        with: { names: '~/gpu', wait: 20_000 },
        gives: { token: { $above: '$one.token' } },
      },
    ],
  },
  {
    name: 'without grace a connection that was cut is a loss at once',
    stage: 'calm',
    clients: { a: { owner: 'a', grace: 0, cable: true }, b: { owner: 'b' } },
    steps: [
      { by: 'a', do: 'acquire', as: 'one', with: { names: '~/gpu' } },
      { by: 'a', do: 'cut' },
      {
        by: 'a',
        do: 'check',
        of: 'one',
        until: { error: 'LeaseLostError', why: 'unknown' },
        shows: ['bound', 'types'],
      },
      {
        by: 'b',
        do: 'acquire',
        with: { names: '~/gpu', wait: 20_000 },
        gives: { token: { $above: '$one.token' } },
      },
    ],
  },
  {
    name: 'a wait goes on after a cut',
    stage: 'calm',
    clients: { a: { owner: 'a' }, b: { owner: 'b', cable: true } },
    steps: [
      { by: 'a', do: 'acquire', as: 'one', with: { names: '~/gpu' } },
      { by: 'b', do: 'acquire', as: 'two', with: { names: '~/gpu', wait: 50_000 }, later: true },
      { ...stands('~/gpu', { waiters: [{ owner: 'b' }] }), shows: 'wait' },
      { by: 'b', do: 'cut' },
      stands('~/gpu', { waiters: [] }),
      { by: 'b', do: 'mend' },
      { ...stands('~/gpu', { waiters: [{ owner: 'b' }] }), shows: 'repeat' },
      { by: 'a', do: 'release', of: 'one' },
      { by: 'b', do: 'answer', of: 'two', gives: { owner: 'b', token: { $above: '$one.token' } } },
      { by: 'b', do: 'release', of: 'two', gives: { released: true } },
    ],
  },
  {
    name: 'one who waited counts from a heartbeat, not from its question',
    stage: 'calm',
    clients: { a: { owner: 'a' }, b: { owner: 'b' } },
    steps: [
      { by: 'outside', do: 'acquire', as: 'held', with: { names: ['~/gpu'], ttl: 3000 } },
      {
        by: 'b',
        do: 'acquire',
        as: 'one',
        with: { names: '~/gpu', ttl: 2000, wait: 40_000 },
        gives: { remaining: { $above: 200, $most: 1978 }, token: { $above: '$held.token' } },
        takes: 3000,
        shows: 'wait',
      },
      { by: 'b', do: 'check', of: 'one' },
    ],
  },
];
