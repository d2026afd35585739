/** A client of a plan: does what its habits say, life after life, and leaves a history. */
import type { AcquireAsk, ForceAsk } from '../../../src/locks/locks.ts';
import type { Forced } from '../../harness/history/history.ts';
import type { ClientPlan, Plan } from '../plan.ts';
import { Chance } from './chance.ts';
import { byCalls } from './client-calls.ts';
import { byStream } from './client-stream.ts';
import type { MachineClock } from './clocks.ts';
import { Life, type Open, type Stage } from './life.ts';

const BY_NAME = 0.7;

export class Client {
  readonly clock: MachineClock;
  readonly #stage: Stage;
  readonly #plan: Plan;
  readonly #me: ClientPlan;
  readonly #index: number;
  readonly #chance: Chance;
  #life: Life | undefined;
  #lives = 0;
  #asks = 0;
  #paused = false;
  #stopping = false;

  constructor(stage: Stage, plan: Plan, index: number, clock: MachineClock) {
    this.#stage = stage;
    this.#plan = plan;
    this.#index = index;
    this.#me = plan.clients[index]!;
    this.#chance = new Chance(this.#me.seed, this.#me.name);
    this.clock = clock;
  }

  start(): void {
    this.#lives += 1;
    const { name } = this.#me;
    const life = new Life({
      stage: this.#stage,
      client: this.#index,
      name,
      owner: this.#lives === 1 ? name : `${name}.${this.#lives}`,
      clock: this.clock,
      chance: this.#chance,
    });
    if (this.#paused) life.process.pause();
    this.#life = life;
    this.#live(life).catch((cause: unknown) => this.#stage.timeline.fail(cause));
  }

  pause(): void {
    this.#paused = true;
    this.#life?.process.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#life?.process.resume();
  }

  /** Asks for nothing any more; what it holds it lets go. */
  stop(): void {
    this.#stopping = true;
  }

  /** Whoever still holds or asks for something goes without a word. */
  abandon(): void {
    this.#life?.die();
  }

  get stopping(): boolean {
    return this.#stopping;
  }

  async #live(life: Life): Promise<void> {
    const { habits } = this.#me;
    const chance = this.#chance;
    // Not all at once.
    await life.sleep(chance.between([0, habits.idleMs[1]]));
    while (!this.#stopping) {
      if (chance.happens(habits.looks)) await this.#look(life);
      if (chance.happens(habits.forces)) await this.#force(life);
      if (chance.happens(habits.dies)) this.#dieSoon(life);
      const ask = this.#want(life);
      const stream = habits.manner === 'stream';
      const round = {
        life,
        ask,
        habits,
        at: this.#where(),
        replicas: this.#plan.replicas,
        stopping: () => this.#stopping,
      };
      if (stream) await byStream({ ...round, graceMs: this.#graceMs(ask) });
      else await byCalls(round);
      await life.sleep(chance.between(habits.idleMs));
    }
  }

  #where(): number {
    const { replica } = this.#me;
    return this.#chance.happens(0.9) ? replica : Math.floor(this.#chance.fraction() * this.#plan.replicas);
  }

  /**
   * A grace below the ttl holds only where a replica does not see a connection break that its client has not seen
   * (clients/README.md, "The end of the stream").
   */
  #graceMs({ ttlMs }: AcquireAsk): number {
    const breaks = this.#plan.faults.some(
      (fault) => fault.kind === 'cut' && fault.manner === 'reset' && fault.client === this.#index,
    );
    return breaks ? ttlMs : this.#chance.pick([0, Math.round(ttlMs / 2), ttlMs]);
  }

  #want(life: Life): AcquireAsk {
    const { habits } = this.#me;
    const chance = this.#chance;
    const { resources } = this.#plan;
    const several = resources.length > 1;
    const gang = several && chance.happens(habits.gang);
    const fewer = several && !gang && chance.happens(habits.any);
    const count = gang || fewer ? chance.whole([2, resources.length]) : 1;
    this.#asks += 1;
    return {
      resources: chance.some(resources, count),
      owner: life.owner,
      ttlMs: chance.whole(habits.ttlMs),
      waitMs: chance.whole(habits.waitMs),
      mode: chance.happens(habits.shared) ? 'shared' : 'exclusive',
      any: fewer ? chance.whole([1, count - 1]) : 0,
      priority: chance.whole(habits.priority),
      requestId: chance.happens(habits.repeats) ? `${life.owner}-${this.#asks}` : '',
      labels: {},
    };
  }

  async #look(life: Life): Promise<void> {
    const chance = this.#chance;
    const resource = chance.pick(this.#plan.resources);
    const at = this.#where();
    const what = chance.pick(['inspect', 'list', 'check', 'watch'] as const);
    if (what === 'inspect') await life.ask(at, (locks) => locks.inspect(resource, chance.whole([0, 20])));
    else if (what === 'list') {
      await life.ask(at, (locks) => locks.list({ prefix: '', owner: '', pageSize: 2, after: '' }));
    } else if (what === 'check') await life.ask(at, (locks) => locks.checkToken(resource, 1n));
    else await life.watch(at, chance.between([50, 2000]));
  }

  /** Mostly by name, so that the history can say which lease it was even where no answer comes. */
  async #force(life: Life): Promise<void> {
    const resource = this.#chance.pick(this.#plan.resources);
    const seen = await life.ask(this.#where(), (locks) => locks.inspect(resource, 0));
    const holder = seen.kind === 'inspection' ? seen.holders[0] : undefined;
    const leaseRef = this.#chance.happens(BY_NAME) ? (holder?.leaseRef ?? '') : '';
    const leaseRefs = new Set(leaseRef === '' ? [] : [leaseRef]);
    const forced: Open<Forced> = { kind: 'force', resource, calledMs: life.nowMs, leaseRefs: [...leaseRefs] };
    this.#stage.history.push(forced);
    const ask: ForceAsk = { resource, leaseRef, reason: 'forced by a simulated operator' };
    const answer = await life.ask(this.#where(), async (locks) => {
      const given = await locks.forceRelease(ask);
      // Where it is carried out: one that arrives twice may meet two leases, and only one answer is read.
      if (given.kind === 'forced') for (const freed of given.freed) leaseRefs.add(freed.leaseRef);
      forced.leaseRefs = [...leaseRefs];
      return given;
    });
    if (answer.kind === 'forced') forced.answeredMs = life.nowMs;
  }

  #dieSoon(life: Life): void {
    const { timeline } = this.#stage;
    const { ttlMs, waitMs } = this.#me.habits;
    timeline.after(this.#chance.between([0, waitMs[1] / 4 + ttlMs[1]]), () => {
      if (this.#life !== life || this.#stopping) return;
      life.die();
      timeline.after(this.#chance.between([10, 2000]), () => {
        if (!this.#stopping) this.start();
      });
    });
  }
}
