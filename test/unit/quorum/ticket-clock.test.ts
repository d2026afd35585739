/** Tickets: they grow, follow the nodes' clocks rather than our own, and need no answer to be given out. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { LockNode } from '../../../src/nodes/node.ts';
import { TicketClock } from '../../../src/quorum/ticket-clock.ts';
import { ManualClock } from '../../../src/std/clock.ts';

const START = 1_800_000_000_000_000;
const YEAR = 31_536_000_000_000;
const SECOND = 1_000_000;

/** Nodes that were heard to show these times; undefined: not heard yet. */
function nodesThatShow(times: (number | undefined)[]): LockNode[] {
  return times.map((_, at) => ({
    id: `n${at}`,
    ask: async () => ({ kind: 'told' }),
    nowMicros: () => times[at],
  }));
}

describe('a ticket', () => {
  test('is the median of what the nodes show, however wrong our own clock and one of theirs are', () => {
    const times = [START + 5, START - 3 * YEAR, START + 9];
    const tickets = new TicketClock(nodesThatShow(times), new ManualClock(START + YEAR));
    expect(tickets.next()).toBe(START + 5);
  });

  test('is our own clock before any node has shown its own, or where nodes show none', () => {
    const clock = new ManualClock(START);
    const times: (number | undefined)[] = [undefined, undefined, undefined];
    const tickets = new TicketClock(nodesThatShow(times), clock);
    expect(tickets.next()).toBe(START);
    clock.advance(2);
    expect(tickets.next()).toBe(START + 2000);
    expect(new TicketClock([{ id: 'n', ask: async () => ({ kind: 'told' }) }], clock).next()).toBe(
      START + 2000,
    );
    times[1] = START + 7000;
    expect(tickets.next()).toBe(START + 7000);
  });

  test('is larger than every one before, whatever our clock does, while theirs go back by a second at most', () => {
    const shown = fc.option(fc.integer({ min: START - SECOND / 2, max: START + SECOND / 2 }), {
      nil: undefined,
    });
    const moment = fc.tuple(shown, shown, shown, fc.integer({ min: -YEAR, max: YEAR }));
    fc.assert(
      fc.property(fc.array(moment, { maxLength: 40 }), (moments) => {
        const times: (number | undefined)[] = [START, undefined, undefined];
        const clock = new ManualClock(START);
        const tickets = new TicketClock(nodesThatShow(times), clock);
        let last = tickets.next();
        for (const [first, second, third, step] of moments) {
          times.splice(0, 3, first, second, third);
          clock.stepWall(step);
          const ticket = tickets.next();
          expect(ticket).toBeGreaterThan(last);
          last = ticket;
        }
      }),
    );
  });

  test('follows clocks that were set back: who comes now would stand behind all others for as long', () => {
    const times = [START, START, START];
    const tickets = new TicketClock(nodesThatShow(times), new ManualClock(START));
    tickets.next();
    times.fill(START - 3600 * SECOND);
    expect(tickets.next()).toBe(START - 3600 * SECOND);
  });

  test('is what the nodes would show while none of them is heard, not our own clock', () => {
    const times: (number | undefined)[] = [START, START, START];
    const clock = new ManualClock(START + YEAR);
    const tickets = new TicketClock(nodesThatShow(times), clock);
    tickets.next();
    times.fill(undefined);
    clock.advance(300);
    expect(tickets.next()).toBe(START + 300_000);
  });

  test('of two replicas that hear the same nodes is of the same time', () => {
    const nodes = nodesThatShow([START, START + 2, START + 1]);
    const [one, other] = [-YEAR, YEAR].map((off) => new TicketClock(nodes, new ManualClock(START + off)));
    expect(one!.next()).toBe(other!.next());
  });
});
