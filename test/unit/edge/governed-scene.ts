/** Visits of whoever the test says, over locks that do as it says, and all that is counted and told of them. */
import { expect } from 'vitest';
import type { Identity, Quota, Rule } from '../../../src/domain/access.ts';
import { parseLeaseId } from '../../../src/domain/lease.ts';
import { type Act, silentProbe } from '../../../src/domain/probe.ts';
import { CALLER } from '../../../src/edge/access/identity-of.ts';
import { type Visit, Visits } from '../../../src/edge/access/visit.ts';
import type { AcquireAsk, KeptNews } from '../../../src/locks/locks.ts';
import { ManualClock } from '../../../src/std/clock.ts';
import { asking, stays } from '../../harness/asking.ts';
import { FakeLocks, settings } from './fake-locks.ts';

export const ALL: readonly Rule[] = [{ prefixes: [], verbs: ['acquire', 'inspect', 'force_release'] }];

export class GovernedScene {
  readonly clock = new ManualClock();
  readonly locks = new FakeLocks();
  readonly acts: Act[] = [];
  readonly counted: string[] = [];
  readonly visits: Visits;

  constructor(audited = true) {
    this.visits = new Visits({
      locks: this.locks,
      settings,
      clock: this.clock,
      probe: {
        ...silentProbe,
        ...(audited ? { audited: true as const } : {}),
        acted: (act) => this.acts.push(act),
        operation: (name, outcome, _ms, reason) => this.counted.push(`${name} ${outcome} ${reason}`),
        denied: (verb) => this.counted.push(`denied ${verb}`),
        overQuota: (quota) => this.counted.push(`over ${quota}`),
      },
    });
    // Tokens are times.
    this.locks.onAcquire = async (ask) => this.#granted(ask);
    this.locks.onHold = async (ask, _, news) => this.locks.keep(this.#granted(ask), news);
  }

  #granted(ask: AcquireAsk) {
    const { resources, ttlMs } = ask;
    const token = BigInt(this.clock.wallMicros());
    return { ...this.locks.grant({ ...ask, resources, ttlMs }), token };
  }

  call(identity: Identity): { call: { [CALLER]: { identity: Identity; peer: string } }; getPath(): string } {
    return {
      call: { [CALLER]: { identity, peer: '10.0.0.1:5' } },
      getPath: () => '/holdfast.v1.X/CheckToken',
    };
  }

  visit(quota: Quota = {}, rules: readonly Rule[] = ALL, tenant = ''): Visit {
    return this.visits.of(this.call({ name: 'ann', tenant, rules, quota }));
  }

  get told(): string[] {
    return this.acts.map(({ action, outcome }) => `${action} ${outcome}`);
  }
}

export const quiet: KeptNews = { renewed() {}, lost() {}, yieldRequested() {} };
export const denied = (verb: string) => ({ reason: 'DENIED', metadata: { verb } });
export const over = (quota: string) => ({
  reason: 'QUOTA',
  metadata: { quota },
  retryAfterMs: expect.any(Number),
});

export async function leaseOf(visit: Visit, more: Partial<AcquireAsk> = {}) {
  const answer = await visit.locks.acquire(asking(more), stays);
  if (answer.kind !== 'lease') throw new Error(JSON.stringify(answer));
  return parseLeaseId(answer.leaseId)!;
}
