/** Histories in which somebody is passed in line, forgotten after a heal, or left behind on the nodes. */
import { describe } from 'vitest';
import { asked, fault, granted, healed, held, rest, unknown } from './entries.ts';
import { judges } from './judges.ts';

describe('order', () => {
  const shared = { mode: 'shared' } as const;
  /** Stands in line from 50 to 1000. */
  const stands = (more: Parameters<typeof granted>[4] = {}) =>
    granted('X', 9, 0, 1000, { waits: true, queuedMs: 50, ...more });
  const passes = (more: Parameters<typeof granted>[4] = {}) => granted('Y', 5, 151, 200, more);
  judges([
    {
      name: 'somebody who came later is granted first, while the clocks may differ by the slack',
      rules: ['order'],
      wrong: [stands(), passes()],
      right: [stands(), granted('Y', 5, 150, 200)],
    },
    {
      name: 'who is told a slack later may have been granted before',
      rules: ['order'],
      wrong: [stands(), granted('Y', 5, 200, 899)],
      right: [stands(), granted('Y', 5, 200, 900)],
    },
    {
      name: 'an earlier call of the same request had its place',
      rules: ['order'],
      wrong: [stands(), passes({ requestId: 'q1' }), unknown(0, { client: 'of-Y', requestId: 'q2' })],
      right: [stands(), passes({ requestId: 'q1' }), unknown(0, { client: 'of-Y', requestId: 'q1' })],
    },
    {
      name: 'a repeat met the lease that it had',
      rules: ['order'],
      wrong: [stands(), passes({ requestId: 'q1' })],
      right: [stands(), passes({ requestId: 'q1', replayed: true })],
    },
    {
      name: 'each level of priority is a head start of one step',
      rules: ['order'],
      wrong: [stands({ answeredMs: 9000 }), granted('Y', 5, 5151, 5200, { priority: 1 })],
      right: [stands({ answeredMs: 9000 }), granted('Y', 5, 5150, 5200, { priority: 1 })],
    },
    {
      name: 'nor does somebody of lower priority pass, nor behind one of higher',
      rules: ['order'],
      wrong: [stands({ priority: 2 }), passes({ priority: 1 }), granted('Z', 4, 20, 160, { priority: 3 })],
      right: [
        stands({ priority: 2 }),
        granted('Y', 5, 20, 160, { priority: 1 }),
        granted('Z', 6, 160, 200, { priority: 3 }),
      ],
    },
    {
      name: 'a reader is no obstacle to a reader, but to a writer',
      rules: ['order'],
      wrong: [stands(shared), passes()],
      right: [stands(shared), passes(shared)],
    },
    {
      name: 'a writer is an obstacle to readers, of several resources as well',
      rules: ['order'],
      wrong: [stands(), passes({ ...shared, resources: ['q', 'r'] })],
      right: [stands(), passes({ ...shared, resources: ['q', 's'] })],
    },
    {
      name: 'a wait that ended in vain stood until then, one without an answer may have ended at once',
      rules: ['order'],
      wrong: [asked({ waits: true, queuedMs: 50, answeredMs: 1000 }), passes()],
      right: [unknown(0, { waits: true, queuedMs: 50, answeredMs: 1000 }), passes()],
    },
    {
      name: 'a repeat may have taken the place with it',
      rules: ['order'],
      wrong: [stands({ requestId: 'q1' }), passes()],
      right: [stands({ requestId: 'q1' }), unknown(300, { client: 'of-X', requestId: 'q1' }), passes()],
    },
    {
      name: 'who waits for several is not judged, for he may be passed on one of them after he left the other',
      rules: ['order'],
      wrong: [stands(), passes()],
      right: [stands({ resources: ['r', 's'] }), passes()],
    },
    {
      name: 'nothing is promised while something is broken',
      rules: ['order'],
      order: {
        stable: [
          { fromMs: 0, untilMs: 301 },
          { fromMs: 400, untilMs: 9000 },
        ],
      },
      wrong: [stands(), passes()],
      right: [stands(), granted('Y', 5, 152, 201)],
    },
    {
      name: 'nor within one liveness after it',
      rules: ['order'],
      order: { stable: [{ fromMs: 1000, untilMs: 9000 }] },
      wrong: [granted('X', 9, 2000, 5000, { queuedMs: 2050 }), granted('Y', 5, 2151, 2200)],
      right: [granted('X', 9, 1999, 5000, { queuedMs: 2050 }), granted('Y', 5, 2151, 2200)],
    },
  ]);
});

describe('orphan', () => {
  judges([
    { name: 'a lease', rules: ['orphan'], wrong: [rest(9, { leaseRefs: ['A'] })], right: [rest(9)] },
    { name: 'a waiter', rules: ['orphan'], wrong: [rest(9, { waiters: ['w'] })], right: [rest(9)] },
  ]);
});

describe('stuck', () => {
  const heal = healed(1000, 2000);
  const end = rest(9000);
  const asks = asked({ calledMs: 1600, answeredMs: 1610 });
  judges([
    {
      name: 'a resource that was asked for is not granted any more',
      rules: ['stuck'],
      wrong: [granted('A', 1, 0, 10), heal, asks, end],
      right: [granted('A', 1, 0, 10), heal, asks, granted('B', 2, 1700, 2000), end],
    },
    {
      name: 'granted too late',
      rules: ['stuck'],
      wrong: [heal, granted('B', 2, 1100, 2001, { waits: true }), end],
      right: [heal, granted('B', 2, 1100, 2000, { waits: true }), end],
    },
    {
      name: 'asked for too early or too late to say',
      rules: ['stuck'],
      wrong: [heal, asked({ calledMs: 1100, answeredMs: 1500, waits: true }), end],
      right: [
        heal,
        asked({ calledMs: 1100, answeredMs: 1499, waits: true }),
        asked({ calledMs: 1900, answeredMs: 1990 }),
        end,
      ],
    },
    {
      name: 'nobody has it, while it is its holder who keeps it',
      rules: ['stuck'],
      wrong: [heal, asks, held('A', 1, 0, 1400), end],
      right: [heal, asks, held('A', 1, 0, 1800), end],
    },
    {
      name: 'any of several is no wish for each',
      rules: ['stuck'],
      wrong: [heal, { ...asks, resources: ['q', 'r'] }, end],
      right: [heal, { ...asks, resources: ['q', 'r'], any: 1 }, end],
    },
    {
      name: 'one of several that cannot be had excuses the others',
      rules: ['stuck'],
      wrong: [heal, { ...asks, resources: ['q', 'r'] }, end],
      right: [
        heal,
        { ...asks, resources: ['q', 'r'] },
        granted('A', 1, 1600, 1700, { resources: ['q'] }),
        end,
      ],
    },
    {
      name: 'whoever gave up has not asked',
      rules: ['stuck'],
      wrong: [heal, asks, end],
      right: [heal, unknown(1600, { answeredMs: 1610, reason: 'CANCELLED' }), end],
    },
    {
      name: 'the next fault ends the trial',
      rules: ['stuck'],
      wrong: [heal, asks, fault(2000), end],
      right: [heal, asks, fault(1999), end],
    },
    {
      name: 'a call after the heal has no answer, while it gave up itself',
      rules: ['stuck'],
      wrong: [heal, unknown(3000, { resources: ['q'] }), end],
      right: [heal, unknown(3000, { resources: ['q'], reason: 'CANCELLED' }), end],
    },
    {
      name: 'a call has no answer although there was time for one',
      rules: ['stuck'],
      wrong: [heal, unknown(8000, { resources: ['q'] }), end],
      right: [heal, unknown(8001, { resources: ['q'] }), end],
    },
    {
      name: 'an answer that leaves it open, while the first half is for what the faults left',
      rules: ['stuck'],
      wrong: [
        heal,
        unknown(1500, { answeredMs: 1600, reason: 'NO_QUORUM', resources: ['q'] }),
        granted('A', 1, 1600, 1700, { resources: ['q'] }),
        end,
      ],
      right: [
        heal,
        unknown(1499, { answeredMs: 1600, reason: 'NO_QUORUM', resources: ['q'] }),
        granted('A', 1, 1600, 1700, { resources: ['q'] }),
        end,
      ],
    },
  ]);
});
