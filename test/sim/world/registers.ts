/** What leases protect in a simulated run: reads and writes that take their time on the way, as those of any store. */

import type { Wrote } from '../../harness/history/history.ts';
import { FencedRegister, UnfencedTwin } from '../../harness/history/register.ts';
import type { Belief } from './belief.ts';
import type { Life, Open } from './life.ts';

/** A write may be stuck on its way for so many ttls: the lease ends, and it arrives. */
const STUCK_TTLS = 2.5;
const STUCK = 0.02;

export class Registers {
  readonly #stores = { fenced: new FencedRegister(), twin: new UnfencedTwin() };
  #writes = 0;

  /** Reads both registers and writes them under `belief`, if it still holds by then. */
  async use(life: Life, belief: Belief, thinkMs: number): Promise<void> {
    const { token, resources, ttlMs } = belief.lease;
    const resource = life.chance.pick(resources);
    const calledMs = life.nowMs;
    const wayMs = (): number => life.chance.between([0.2, 4]);
    await life.sleep(wayMs());
    const seen = (['fenced', 'twin'] as const).map((register) => ({
      register,
      read: this.#stores[register].read(resource, token),
    }));
    await life.sleep(wayMs() + thinkMs);
    // From here on it trusts its check: whatever holds the write up now, the token has to catch.
    if (!belief.valid) return;
    const stuckMs = life.chance.happens(STUCK) ? life.chance.between([0, STUCK_TTLS * ttlMs]) : 0;
    this.#writes += 1;
    const wrote = `${life.name}-${this.#writes}`;
    const entries = seen.flatMap(({ register, read }) => {
      if (read.kind === 'stale') return [];
      const entry: Open<Wrote> = {
        kind: 'write',
        client: life.name,
        resource,
        register,
        token,
        read: read.value,
        wrote,
        calledMs,
        outcome: 'unknown',
      };
      life.stage.history.push(entry);
      return [entry];
    });
    const { timeline } = life.stage;
    const arriveMs = timeline.nowMs + stuckMs + wayMs();
    // On its way already: its sender may stand still or be dead by then.
    await new Promise<void>((resolve) => {
      timeline.at(arriveMs, () => {
        const outcomes = entries.map(({ register, read }) =>
          this.#stores[register].write(resource, token, read, wrote),
        );
        life.process.run(() => {
          entries.forEach((entry, index) => {
            entry.outcome = outcomes[index]!;
            entry.answeredMs = timeline.nowMs;
          });
          resolve();
        });
      });
    });
  }
}
