/** One life of a client: a thread of control with a name of its own, its calls, and what it leaves in the history. */

import type { Lease } from '../../../src/domain/lease.ts';
import type { Refusal } from '../../../src/domain/refusals.ts';
import type { AcquireAsk, Busy, Locks } from '../../../src/locks/locks.ts';
import { pause, type Timer } from '../../../src/std/clock.ts';
import type { Asked, Entry } from '../../harness/history/history.ts';
import { Belief } from './belief.ts';
import type { Chance } from './chance.ts';
import type { MachineClock } from './clocks.ts';
import type { Door } from './door.ts';
import type { Network } from './network.ts';
import { Process } from './process.ts';
import type { Registers } from './registers.ts';
import type { Replica } from './replica.ts';
import { type Route, type Served, Talk } from './talk.ts';
import type { Timeline } from './timeline.ts';

/** How long a call may take beside the wait that was asked for. */
export const CALL_MS = 1200;
/** Of an ask whose caller went itself: nobody owes it an answer. */
const GIVEN_UP = 'CANCELLED';

/** What clients share. */
export interface Stage {
  readonly timeline: Timeline;
  readonly network: Network;
  readonly replicas: readonly Replica[];
  readonly history: Entry[];
  readonly registers: Registers;
}

export type Broken =
  | { readonly kind: 'unavailable' }
  | { readonly kind: 'late' }
  | { readonly kind: 'cancelled' };

export type Open<T> = { -readonly [Key in keyof T]: T[Key] };

export interface LifeOptions {
  readonly stage: Stage;
  readonly client: number;
  readonly name: string;
  readonly owner: string;
  readonly clock: MachineClock;
  readonly chance: Chance;
}

export class Life {
  readonly process: Process;
  readonly stage: Stage;
  readonly chance: Chance;
  readonly name: string;
  readonly owner: string;
  readonly #options: LifeOptions;
  readonly #talks = new Set<Talk>();
  readonly #beliefs = new Set<Belief>();
  readonly #unanswered = new Set<Open<Asked>>();

  constructor(options: LifeOptions) {
    this.#options = options;
    this.stage = options.stage;
    this.chance = options.chance;
    this.name = options.name;
    this.owner = options.owner;
    this.process = new Process(options.stage.timeline, options.clock);
  }

  get nowMs(): number {
    return this.stage.timeline.nowMs;
  }

  /** Its own count. */
  get ownMs(): number {
    return this.process.monotonicMs();
  }

  sleep(ms: number): Promise<void> {
    return pause(this.process, ms);
  }

  /** Gone without a word: what it held nobody relies on any more, and its kernel closes its connections. */
  die(): void {
    this.process.kill();
    for (const belief of this.#beliefs) belief.end('expired');
    for (const talk of [...this.#talks]) talk.leave();
    for (const asked of this.#unanswered) asked.reason = GIVEN_UP;
  }

  believe(lease: Lease): Belief {
    const { timeline, history } = this.stage;
    const { clock } = this.#options;
    const belief = new Belief({ timeline, clock, history, client: this.name, owner: this.owner, lease });
    this.#beliefs.add(belief);
    return belief;
  }

  forget(belief: Belief): void {
    this.#beliefs.delete(belief);
  }

  /** Written when it is asked: who never hears more leaves it as it is, unknown. */
  record(ask: AcquireAsk): Open<Asked> {
    const { resources, mode, any, priority, requestId, waitMs } = ask;
    const asked: Open<Asked> = {
      kind: 'acquire',
      client: this.name,
      owner: this.owner,
      resources,
      mode,
      any,
      priority,
      requestId,
      waits: waitMs > 0,
      calledMs: this.nowMs,
      outcome: 'unknown',
    };
    this.stage.history.push(asked);
    this.#unanswered.add(asked);
    return asked;
  }

  /** Puts the answer into the history, as far as it tells anything. */
  answered(asked: Open<Asked>, answer: Lease | Busy | Refusal | Broken): void {
    asked.answeredMs = this.nowMs;
    this.#unanswered.delete(asked);
    if (answer.kind === 'lease') {
      const { leaseRef, token, resources, replayed } = answer;
      asked.outcome = 'granted';
      asked.grant = { leaseRef, token, resources, replayed };
    } else if (answer.kind === 'busy') asked.outcome = 'busy';
    else if (answer.kind === 'refusal') {
      asked.reason = answer.reason;
      asked.outcome = answer.reason === 'NO_QUORUM' ? 'unknown' : 'refused';
      if (answer.reason === 'INTERNAL') this.stage.timeline.fail(new Error(answer.message));
    } else {
      delete asked.answeredMs;
      asked.reason = answer.kind === 'cancelled' ? GIVEN_UP : answer.kind;
    }
  }

  acquire(at: number, ask: AcquireAsk, cancelMs?: number): Promise<Lease | Busy | Refusal | Broken> {
    const timeoutMs = ask.waitMs + CALL_MS;
    return this.#call(at, timeoutMs, (door, served, told) => door.acquire(served, ask, told), cancelMs);
  }

  ask<A>(at: number, question: (locks: Locks) => Promise<A>): Promise<A | Broken> {
    return this.#call<A>(at, CALL_MS, (door, served, told) => door.ask(served, question, told));
  }

  /** Hears news for so long. */
  async watch(at: number, forMs: number): Promise<void> {
    const talk = this.stream(
      at,
      (door, served) => door.watch(served),
      () => {},
    );
    await this.sleep(forMs);
    this.hangUp(talk);
  }

  stream(at: number, serve: (door: Door, served: Served) => void, onBroken: () => void): Talk {
    const talk: Talk = new Talk({
      route: this.#route(at),
      client: this.process,
      streams: true,
      serve: (served) => serve(served.door, served),
      onBroken: () => {
        this.#talks.delete(talk);
        onBroken();
      },
    });
    this.#talks.add(talk);
    return talk;
  }

  hangUp(talk: Talk): void {
    this.#talks.delete(talk);
    talk.leave();
  }

  #call<A>(
    at: number,
    timeoutMs: number,
    serve: (door: Door, served: Served, told: (answer: A) => void) => void,
    cancelMs?: number,
  ): Promise<A | Broken> {
    return new Promise((resolve) => {
      const timers: Timer[] = [];
      const end = (answer: A | Broken): void => {
        for (const timer of timers) timer.cancel();
        this.#talks.delete(talk);
        resolve(answer);
      };
      const leave = (broken: Broken): void => {
        talk.leave();
        end(broken);
      };
      const talk: Talk = new Talk({
        route: this.#route(at),
        client: this.process,
        streams: false,
        serve: (served) => {
          served.within(timeoutMs);
          serve(served.door, served, (answer) => {
            talk.done();
            end(answer);
          });
        },
        onBroken: () => end({ kind: 'unavailable' }),
      });
      this.#talks.add(talk);
      timers.push(this.process.after(timeoutMs, () => leave({ kind: 'late' })));
      if (cancelMs !== undefined && cancelMs < timeoutMs) {
        timers.push(this.process.after(cancelMs, () => leave({ kind: 'cancelled' })));
      }
    });
  }

  #route(at: number): Route {
    const { network, replicas } = this.stage;
    const link = { replica: at, client: this.#options.client };
    return { network, link, door: () => replicas[at]!.door };
  }
}
