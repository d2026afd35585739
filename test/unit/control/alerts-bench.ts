/** One channel whose receiver answers as a test says, in a time that the test moves. */
import type { Alert } from '../../../src/control/alerts/alert.ts';
import { Channel, type Route } from '../../../src/control/alerts/channel.ts';
import type { Message, Send, Tried } from '../../../src/control/alerts/message.ts';
import { ManualClock } from '../../../src/std/clock.ts';
import { SeededRandom } from '../../../src/std/random.ts';

export const alertOf = (n: number, kind: Alert['kind'] = 'lease_lost'): Alert => ({
  kind,
  key: `${kind} ${n}`,
  summary: `alert ${n}`,
  timeMs: 1000,
  facts: {},
});

export const FAILED: Tried = { kind: 'again', why: 'HTTP 500' };
export const DELIVERED: Tried = { kind: 'delivered' };

/** A channel whose receiver answers as the test says. */
export class Bench {
  readonly clock = new ManualClock();
  readonly tries: { readonly message: Message; readonly atMs: number }[] = [];
  readonly outcomes: string[] = [];
  readonly given: string[] = [];
  pending = 0;
  answer: (message: Message) => Promise<Tried> | Tried = () => DELIVERED;
  readonly channel: Channel;

  constructor(more: Partial<Route> = {}, clock?: ManualClock) {
    if (clock !== undefined) this.clock = clock;
    this.channel = new Channel(this.route(more), this.clock, new SeededRandom(7), {
      outcome: (_channel, outcome) => void this.outcomes.push(outcome),
      pending: (_channel, count) => {
        this.pending = count;
      },
      failed: (_channel, { kind, count }, tries, why) =>
        void this.given.push(`${kind} x${count} after ${tries}: ${why}`),
    });
  }

  route(more: Partial<Route> = {}): Route {
    const send: Send = async (message) => {
      this.tries.push({ message, atMs: this.clock.monotonicMs() });
      return this.answer(message);
    };
    return {
      name: 'ops',
      send,
      wants: () => true,
      timeoutMs: 5000,
      giveUpMs: 3_600_000,
      grouping: { waitMs: 250, intervalMs: 10_000 },
      source: 'here',
      runbooks: 'docs/runbooks',
      ...more,
    };
  }

  /** In steps, so that what follows from a timer can set the next one. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 50) {
      this.clock.advance(Math.min(left, 50));
      for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    }
  }
}
