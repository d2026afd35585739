/** Acquire: takes what is free at once, and otherwise answers Busy or waits in line for it. */
import type { Lease } from '../domain/lease.ts';
import { limits } from '../domain/limits.ts';
import type { Probe } from '../domain/probe.ts';
import { noQuorum, type Refusal } from '../domain/refusals.ts';
import type { NodeHolder } from '../nodes/node.ts';
import { answeredCount, distinct, isSilent, lineOf } from '../quorum/ballot.ts';
import type { Quorum } from '../quorum/quorum.ts';
import { pause } from '../std/clock.ts';
import type { Random } from '../std/random.ts';
import { Attempts, callerGone, type Outcome } from './attempt.ts';
import { viewOf } from './card.ts';
import type { Line } from './line.ts';
import type { AcquireAsk, Busy, Caller } from './locks.ts';
import { pick, type Standing } from './pick.ts';
import { TracedAsk } from './traced.ts';
import type { Call, WaitEnd, Waiter } from './waiter.ts';

/** After so many split votes the nodes are asked one after the other: attempts then meet at the first node. */
const SPLITS_BEFORE_ORDER = 2;
const JITTER_MS = 16;

type Ended = Lease | Busy | Refusal;

export interface Counter {
  readonly quorum: Quorum;
  readonly random: Random;
  readonly line: Line;
  readonly probe: Probe;
}

export function acquire(counter: Counter, ask: AcquireAsk, caller: Caller): Promise<Ended> {
  const { quorum } = counter;
  if (!quorum.mayPropose()) {
    return Promise.resolve(noQuorum(0, quorum.size, quorum.retryAfterMs, 'no majority has been ready yet'));
  }
  const acquisition = new Acquisition(counter, ask, caller);
  return ask.waitMs > 0 ? acquisition.wait() : acquisition.try();
}

/** One request. */
class Acquisition {
  readonly #quorum: Quorum;
  readonly #random: Random;
  readonly #line: Line;
  readonly #probe: Probe;
  readonly #ask: AcquireAsk;
  readonly #caller: Caller;
  readonly #attempts: Attempts;
  readonly #startedMs: number;
  readonly #traced: TracedAsk | undefined;
  /** By leaseRef: what was asked for before there was a place. Its undo may still be on its way. */
  readonly #asked: string[] = [];
  #splits = 0;

  constructor({ quorum, random, line, probe }: Counter, ask: AcquireAsk, caller: Caller) {
    this.#quorum = quorum;
    this.#random = random;
    this.#line = line;
    this.#probe = probe;
    this.#ask = ask;
    this.#caller = caller;
    this.#startedMs = quorum.clock.monotonicMs();
    this.#traced = TracedAsk.of(probe);
    this.#attempts = new Attempts(quorum, random, ask, caller, this.#traced?.traceparent);
  }

  async try(): Promise<Ended> {
    let holders: readonly NodeHolder[] = [];
    for (let tried = 0; tried < limits.attempts; tried += 1) {
      let { resources } = this.#ask;
      if (this.#ask.any > 0) {
        const picked = await pick(this.#quorum, this.#ask);
        if ('kind' in picked) return picked;
        if (picked.names === undefined) return this.#busy(picked.holders, { line: picked });
        resources = picked.names;
      }
      const ordered = this.#splits > SPLITS_BEFORE_ORDER;
      const outcome = await this.#attempts.attempt({ resources, ordered });
      if (outcome.kind === 'granted') return this.#have(outcome.lease);
      if (outcome.kind === 'refused') return outcome.refusal;
      if ('holders' in outcome) holders = this.#met(outcome);
      // Of several that would do, another one may still be free.
      if (outcome.kind === 'held' && this.#ask.any === 0) {
        return this.#busy(holders, { line: lineOf(outcome.answers) });
      }
      if (outcome.kind === 'split') await this.#jitter();
      if (this.#caller.gone()) return callerGone;
    }
    return this.#busy(holders);
  }

  /** Where nobody waits here it asks as if it would not wait: most locks are free, and a place in line is not. */
  async wait(): Promise<Ended> {
    const { priority, owner, mode, any, resources, waitMs } = this.#ask;
    let names = any === 0 && this.#line.isClear(resources) ? resources : undefined;
    if (any > 0) {
      const picked = await pick(this.#quorum, this.#ask);
      if ('kind' in picked) return picked;
      names = picked.names;
    }
    const first = names === undefined ? undefined : await this.#asking(names);
    if (first?.kind === 'granted') return this.#have(first.lease);
    if (first?.kind === 'refused') return first.refusal;
    if (first !== undefined && 'holders' in first) this.#met(first);
    if (this.#caller.gone()) return callerGone;
    const { clock } = this.#quorum;
    const agoMs = clock.monotonicMs() - this.#startedMs;
    const id = this.#attempts.requestKey ?? this.#random.bytes(12).toString('base64url');
    const repeatable = this.#attempts.requestKey !== undefined;
    const place = { id, priority, owner, mode, any, resources };
    const caller = this.#caller;
    const queued = caller.queued === undefined ? undefined : caller.queued.bind(caller);
    const waiter = this.#line.enter(place, agoMs, repeatable, queued);
    if ('kind' in waiter) return waiter;
    const timeMs = clock.wallMicros() / 1000;
    this.#probe.happened({ type: 'queued', timeMs, resources, owner, lease: undefined, reason: '' });
    for (const leaseRef of this.#asked) waiter.attempts.add(leaseRef);
    waiter.traced = this.#traced;
    const timer =
      waitMs === Infinity
        ? undefined
        : clock.after(Math.max(0, waitMs - agoMs), () => waiter.end({ kind: 'elapsed' }));
    const listening = this.#caller.whenGone(() => waiter.end({ kind: 'gone' }));
    try {
      return await this.#stand(waiter, first);
    } finally {
      timer?.cancel();
      listening();
      this.#line.exit(waiter);
      this.#traced?.link();
    }
  }

  /** Asks, waits for its turn, asks again: until it is served or the wait is over. */
  async #stand(waiter: Waiter, asked: Outcome | undefined): Promise<Ended> {
    let call = await this.#first(waiter, asked);
    let tried = 0;
    while (call.kind === 'turn') {
      const first = !waiter.joined;
      const { freedMs } = waiter;
      waiter.freedMs = undefined;
      const outcome = await this.#attempt(waiter, call.names);
      if ('holders' in outcome) this.#met(outcome);
      tried = outcome.kind === 'again' ? tried + 1 : 0;
      if (outcome.kind === 'granted') return this.#serve(waiter, outcome, freedMs);
      if (outcome.kind === 'crowded') return this.#giveUp(waiter, this.#line.crowded());
      // Whoever stands in line already outlasts a quorum that is lost for a while.
      if (outcome.kind === 'refused' && (first || outcome.refusal.reason !== 'NO_QUORUM')) {
        return this.#giveUp(waiter, outcome.refusal);
      }
      if (outcome.kind === 'again' && tried < limits.attempts && waiter.ending === undefined) continue;
      const turn = waiter.turn();
      if ('answers' in outcome) this.#line.standing(waiter, outcome.answers);
      call = await turn;
    }
    return this.#unserved(waiter, call);
  }

  /** What to ask for first: all of it at once, or what a look shows to be free, or nothing yet. */
  async #first(waiter: Waiter, asked: Outcome | undefined): Promise<Call> {
    if (this.#ask.any > 0) return this.#line.join(waiter);
    if (this.#line.defer(waiter)) return waiter.turn();
    if (asked !== undefined) {
      if ('answers' in asked) this.#line.expect(waiter, asked.answers);
      return this.#line.join(waiter);
    }
    return { kind: 'turn', names: this.#ask.resources };
  }

  /** Without a place, as somebody who does not wait. */
  async #asking(resources: readonly string[]): Promise<Outcome> {
    const manner = { resources, onPropose: (leaseRef: string) => this.#asked.push(leaseRef) };
    let outcome = await this.#attempts.attempt(manner);
    for (let tried = 1; outcome.kind === 'again' && tried < limits.attempts; tried += 1) {
      outcome = await this.#attempts.attempt(manner);
    }
    return outcome;
  }

  #attempt(waiter: Waiter, resources: readonly string[]): Promise<Outcome> {
    // Whatever becomes of it, some node may have put it in line.
    waiter.joined = true;
    return this.#attempts.attempt({
      resources,
      onPropose: (leaseRef) => waiter.attempts.add(leaseRef),
      place: waiter.place,
      fence: waiter.fence,
      // With the undo, in one script: nobody behind it may slip into its place.
      onUndo: (nodes) => {
        const waits = waiter.state === 'asking' || waiter.state === 'queued';
        if (waits && waiter.ending === undefined) this.#line.rejoin(waiter, nodes);
      },
    });
  }

  #have(lease: Lease): Lease {
    this.#probe.waited(0, lease.resources[0]!);
    return lease;
  }

  /** `freedMs`: when somebody let go here, if that is what this attempt came of. */
  #serve(waiter: Waiter, granted: Extract<Outcome, { kind: 'granted' }>, freedMs = waiter.freedMs): Lease {
    const { lease, ballot } = granted;
    const [resource = ''] = lease.resources;
    const nowMs = this.#quorum.clock.monotonicMs();
    this.#probe.waited(waiter.waited ? nowMs - this.#startedMs : 0, resource);
    if (waiter.waited) this.#probe.handedOver(resource, freedMs === undefined ? undefined : nowMs - freedMs);
    waiter.serve();
    // Places that this grant has not taken: other resources that would have done, and nodes that did not vote for it.
    const others = lease.resources.length < waiter.place.resources.length || lease.replayed;
    ballot.whenComplete(() => {
      ballot.answers.forEach((answer, index) => {
        if (answer === undefined) return;
        if (others || answer.kind !== 'held') this.#leave(waiter, [index]);
      });
    });
    return lease;
  }

  #met({ holders }: { readonly holders: readonly NodeHolder[] }): readonly NodeHolder[] {
    this.#traced?.meet(holders);
    return holders;
  }

  #giveUp(waiter: Waiter, refusal: Refusal): Refusal {
    if (waiter.state === 'asking') waiter.giveUp();
    this.#line.uncover(waiter);
    if (waiter.joined && !this.#line.isReplaced(waiter))
      this.#leave(waiter, [...this.#quorum.nodeIds.keys()]);
    return refusal;
  }

  async #unserved(waiter: Waiter, end: WaitEnd): Promise<Ended> {
    if (end.kind === 'refused') {
      // A repeat of the request finds the place again while it lasts (G9); one that cannot be repeated is of no use.
      const returns = end.refusal.reason === 'DRAINING' && this.#attempts.requestKey !== undefined;
      if (!returns) return this.#giveUp(waiter, end.refusal);
      this.#line.uncover(waiter);
      if (!waiter.joined) this.#line.rejoin(waiter, [...this.#quorum.nodeIds.keys()]);
      return end.refusal;
    }
    if (end.kind === 'gone') return this.#giveUp(waiter, callerGone);
    this.#line.uncover(waiter);
    // Only who has stood in line can be told where.
    if (!waiter.joined) this.#line.rejoin(waiter, [...this.#quorum.nodeIds.keys()]);
    const { id, mode, resources, replica } = waiter.place;
    // A repeat of the request has the place now, and this call only looks at it.
    const whose = this.#line.isReplaced(waiter) ? '' : replica;
    const ballot = await this.#quorum.votes.tell(
      { kind: 'leave', id, mode, resources, replica: whose },
      (answer) => answer.kind === 'left',
    );
    if (whose !== '') {
      ballot.whenComplete(() => {
        const silent = [...ballot.answers.keys()].filter((index) => isSilent(ballot.answers[index]));
        for (const index of silent)
          this.#quorum.undo.owe({ kind: 'leave', id, mode, resources, replica }, index);
      });
    }
    if (!ballot.carried) {
      const answered = answeredCount(ballot.answers);
      return noQuorum(answered, this.#quorum.size, this.#quorum.retryAfterMs, 'the wait is over');
    }
    const holders = distinct(
      ballot.answers.flatMap((answer) => (answer?.kind === 'left' ? answer.holders : [])),
    );
    return this.#busy(holders, { line: lineOf(ballot.answers) ?? waiter.line, waitElapsed: true });
  }

  /** Until the node has confirmed it: a place that nobody left would keep others waiting for its liveness. */
  #leave({ place }: Waiter, nodes: readonly number[]): void {
    const { id, mode, resources, replica } = place;
    void this.#quorum.undo.send({ kind: 'leave', id, mode, resources, replica }, nodes);
  }

  #jitter(): Promise<void> {
    this.#splits += 1;
    return pause(this.#quorum.clock, this.#random.fraction() * JITTER_MS * this.#splits);
  }

  #busy(
    holders: readonly NodeHolder[],
    { line, waitElapsed = false }: { line?: Standing | undefined; waitElapsed?: boolean } = {},
  ): Busy {
    this.#traced?.link();
    const nowMs = this.#quorum.clock.wallMicros() / 1000;
    return {
      kind: 'busy',
      holders: holders.map((holder) => viewOf(holder, nowMs)),
      queueLength: line?.length ?? 0,
      position: line?.position ?? 0,
      waitElapsed,
      retryAfterMs: Math.max(JITTER_MS, ...holders.map(({ remainingMs }) => remainingMs)),
    };
  }
}
