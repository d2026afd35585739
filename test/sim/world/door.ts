/** What a replica's port does with calls: asks the locks, gives back what nobody heard of, and drains; as src/edge does it. */
import { type Lease, type LeaseName, leaseNameOf } from '../../../src/domain/lease.ts';
import { type Refusal, refuse } from '../../../src/domain/refusals.ts';
import type { AcquireAsk, Busy, Locks } from '../../../src/locks/locks.ts';
import { pause } from '../../../src/std/clock.ts';
import { type HoldAsk, Holding, type HoldTold } from './holding.ts';
import type { Process } from './process.ts';
import type { Served } from './talk.ts';

const draining: Refusal = refuse('DRAINING', 'this replica is shutting down: ask another one');
/** How long a drain takes at most, and how much of it streams have to go elsewhere. */
const DRAIN_MS = 2000;
const SERVE_MS = 1500;

export class Door {
  readonly process: Process;
  readonly locks: Locks;
  readonly calls = new Set<Served>();
  readonly #holdings = new Set<Holding>();
  /** What the locks have not answered yet. */
  readonly #unanswered = new Set<{
    readonly what: string;
    readonly sinceMs: number;
    readonly waitMs: number;
  }>();
  readonly #onDefect: (cause: unknown) => void;
  #draining = false;
  #idle: (() => void)[] = [];

  constructor(process: Process, locks: Locks, onDefect: (cause: unknown) => void) {
    this.process = process;
    this.locks = locks;
    this.#onDefect = onDefect;
  }

  acquire(served: Served, ask: AcquireAsk, told: (answer: Lease | Busy | Refusal) => void): void {
    this.#serve(served, told, async () => {
      if (this.#draining) return draining;
      const answer = await this.owing(
        `acquire ${ask.resources}`,
        ask.waitMs,
        this.locks.acquire(ask, served),
      );
      if (served.gone() && answer.kind === 'lease' && !answer.replayed) {
        await this.locks.giveBack(leaseNameOf(answer));
      }
      return answer;
    });
  }

  /** Any other call: one question to the locks. */
  ask<A>(served: Served, ask: (locks: Locks) => Promise<A>, told: (answer: A) => void): void {
    this.#serve(served, told, () => this.owing('a call', 0, ask(this.locks)));
  }

  watch(served: Served): void {
    const ignore = { event: () => {}, missed: () => {} };
    this.locks.watch({ resources: [], prefix: '' }, ignore).then((end) => {
      const stop = served.whenGone(() => {
        stop();
        end();
      });
    }, this.#onDefect);
  }

  hold(served: Served, ask: HoldAsk | LeaseName, graceMs: number, told: (told: HoldTold) => void): void {
    if (this.#draining) {
      served.answer(() => told({ kind: 'refusal', refusal: draining }));
      return;
    }
    const holding = new Holding({ door: this, served, graceMs, told, onOver: () => this.#drop(holding) });
    this.#holdings.add(holding);
    holding.run(ask).catch(this.#onDefect);
  }

  /** Keeps in mind that it has to be answered, after the wait at the latest. */
  async owing<A>(what: string, waitMs: number, answer: Promise<A>): Promise<A> {
    const owed = { what, sinceMs: this.process.monotonicMs(), waitMs };
    this.#unanswered.add(owed);
    try {
      return await answer;
    } finally {
      this.#unanswered.delete(owed);
    }
  }

  /** What should have been answered `patienceMs` ago. */
  overdue(patienceMs: number): string[] {
    const nowMs = this.process.monotonicMs();
    return [...this.#unanswered]
      .filter(({ sinceMs, waitMs }) => nowMs - sinceMs > waitMs + patienceMs)
      .map(({ what, sinceMs }) => `${what} of ${Math.round(nowMs - sinceMs)} ms ago`);
  }

  /** Resolves when the process may end. */
  async drain(): Promise<void> {
    this.#draining = true;
    this.locks.drain();
    for (const holding of [...this.#holdings]) holding.drain();
    const idle = new Promise<void>((resolve) => {
      this.#idle.push(resolve);
      this.#tellIdle();
    });
    await Promise.race([idle, pause(this.process, SERVE_MS)]);
    for (const holding of [...this.#holdings]) holding.end(draining);
    await Promise.race([idle, pause(this.process, DRAIN_MS - SERVE_MS)]);
    for (const served of [...this.calls]) served.leave('drained');
    await Promise.race([this.locks.settled(), pause(this.process, DRAIN_MS)]);
  }

  #serve<A>(served: Served, told: (answer: A) => void, act: () => Promise<A>): void {
    act().then((answer) => {
      served.answer(() => told(answer));
      this.#tellIdle();
    }, this.#onDefect);
  }

  #drop(holding: Holding): void {
    this.#holdings.delete(holding);
    this.#tellIdle();
  }

  #tellIdle(): void {
    if (!this.#draining || this.#holdings.size + this.calls.size > 0) return;
    for (const tell of this.#idle) tell();
    this.#idle = [];
  }
}
