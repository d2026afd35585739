/**
 * The waiting line as this replica keeps it: who waits here, whose turn it is, and what keeps their places alive.
 *
 * The order is the nodes' (line.ts there); this file makes sure that a waiter asks again exactly when it may go. It
 * learns that from four sources: a release through this replica (the next waiter's hold travels in the same script), a
 * wake from the node that let somebody go, the timed look when the holder's time is up, and the look once a second for
 * whatever was lost.
 *
 * A newcomer behind a waiter of this replica need not be told to the nodes at once: nobody can overtake it before that
 * one has gone, and its joining travels in the script with which that one goes, or after JOIN_LATE_MS on its own. So
 * clients that come again and again cost a hand-off no script more.
 */
import { limits, tokenLeadMicros } from '../domain/limits.ts';
import type { Probe } from '../domain/probe.ts';
import { type Refusal, refuse } from '../domain/refusals.ts';
import type { Token } from '../domain/token.ts';
import type { Answer, LineView, Place } from '../nodes/node.ts';
import { type Answers, lineOf } from '../quorum/ballot.ts';
import type { Quorum } from '../quorum/quorum.ts';
import type { Timer } from '../std/clock.ts';
import { Audience } from './audience.ts';
import { Keeper } from './keeper.ts';
import type { Queued } from './locks.ts';
import { LOOK_MS, Lookout } from './lookout.ts';
import { goesBefore, Places } from './places.ts';
import { majorityEndsMs } from './sight.ts';
import { findCycle } from './tangle.ts';
import { type Call, type WaitEnd, Waiter } from './waiter.ts';

export interface LineSettings {
  readonly livenessMs: number;
  readonly priorityStepMs: number;
  readonly maxWaiters: number;
  readonly maxWaitersPerResource: number;
}

export type PlaceAsk = Pick<Place, 'id' | 'priority' | 'owner' | 'mode' | 'any' | 'resources'>;

const JOIN_LATE_MS = 50;
const draining: Refusal = refuse('DRAINING', 'this replica is shutting down: ask another one', {
  retryAfterMs: 1000,
});

export class Line {
  readonly #quorum: Quorum;
  readonly #settings: LineSettings;
  readonly #probe: Probe;
  readonly #places = new Places();
  readonly #lookout: Lookout;
  readonly #keeper: Keeper;
  readonly #untangling = new Set<Waiter>();
  #late: Waiter[] = [];
  #lateTimer: Timer | undefined;
  #draining = false;

  constructor(quorum: Quorum, settings: LineSettings, probe: Probe) {
    this.#quorum = quorum;
    this.#settings = settings;
    this.#probe = probe;
    this.#lookout = new Lookout(quorum, this.#places, probe, (waiter) => this.#callIfReady(waiter));
    this.#keeper = new Keeper(
      quorum,
      this.#places,
      this.#lookout,
      settings.livenessMs,
      (waiter, node, answer) => this.#placed(waiter, node, answer),
    );
    quorum.wakeups.onWake = (node, { resource, id, fence }) => {
      const waiter = this.#places.byId(id);
      if (waiter !== undefined) this.#ready(resource, waiter, fence, node);
    };
  }

  /** Nobody waits here for any of these: whether somebody does elsewhere, only the nodes know. */
  isClear(resources: readonly string[]): boolean {
    return resources.every((resource) => this.#places.row(resource).length === 0);
  }

  /** A new waiter that came `agoMs` ago, ASKING; `exit` must follow. */
  enter(
    ask: PlaceAsk,
    agoMs: number,
    repeatable: boolean,
    queued?: (queued: Queued) => void,
  ): Waiter | Refusal {
    if (this.#draining) return draining;
    const { livenessMs, priorityStepMs, maxWaiters, maxWaitersPerResource } = this.#settings;
    if (this.#places.count >= maxWaiters) {
      return refuse('TOO_MANY_WAITERS', `${maxWaiters} callers wait at this replica already`, {
        metadata: { limit: String(maxWaiters), scope: 'replica' },
        retryAfterMs: LOOK_MS,
      });
    }
    const ticket = this.#quorum.tickets.next() - Math.round(agoMs * 1000);
    const place: Place = {
      ...ask,
      ticket,
      order: ticket - ask.priority * priorityStepMs * 1000,
      replica: this.#quorum.wakeups.replica,
      livenessMs,
      most: maxWaitersPerResource,
    };
    const waiter = new Waiter(place, this.#quorum.size, this.#quorum.majority, repeatable);
    if (queued !== undefined) waiter.audience = new Audience(ask.resources, queued);
    if (repeatable) this.#quorum.undo.forgiveLeave(ask.id);
    for (const resource of this.#places.add(waiter)) this.#lookout.lookAfter(resource, LOOK_MS);
    this.#probe.waiters(this.#places.count);
    this.#keeper.start();
    return waiter;
  }

  /** Whether the nodes may be told later: somebody who stands in line here must go first. Joins it to those. */
  defer(waiter: Waiter): boolean {
    const { resources, mode } = waiter.place;
    if (resources.length > 1 || mode === 'shared') return false;
    const row = this.#places.row(resources[0]!);
    const covered = row.some(
      (other) =>
        other.joined &&
        other.state === 'queued' &&
        other.place.mode === 'exclusive' &&
        other.place.resources.length === 1 &&
        goesBefore(other.place, waiter.place),
    );
    if (!covered) return false;
    this.#late.push(waiter);
    this.#lateTimer ??= this.#quorum.clock.after(JOIN_LATE_MS, () => {
      this.#lateTimer = undefined;
      this.#joinLate();
    });
    return true;
  }

  /** The nodes have told where it stands: when to look, whether its wait closes a cycle, whether it may go at once. */
  standing(waiter: Waiter, answers: Answers): void {
    this.expect(waiter, answers);
    answers.forEach((answer, node) => {
      if (answer !== undefined && 'line' in answer && answer.line !== undefined) {
        this.#hear(waiter, node, answer.line);
      }
    });
    waiter.line = lineOf(answers) ?? waiter.line;
    if (waiter.line?.tangled === true) void this.#untangle(waiter);
    this.#callIfReady(waiter);
    this.#lookout.announce(waiter);
  }

  /** Whoever stands in its way may be gone by then. */
  expect(waiter: Waiter, answers: Answers): void {
    const ends: number[] = [];
    for (const answer of answers) {
      if (answer?.kind !== 'conflict') continue;
      ends.push(Math.max(...answer.holders.map((holder) => holder.remainingMs)));
      waiter.inTheWay = answer.holders;
    }
    const endsMs = majorityEndsMs(ends, this.#quorum.majority);
    for (const resource of waiter.place.resources) this.#lookout.lookAfter(resource, endsMs);
  }

  /** Takes a place at every node, and waits for the turn. */
  join(waiter: Waiter): Promise<Call> {
    const turn = waiter.turn();
    this.rejoin(waiter, [...this.#quorum.nodeIds.keys()]);
    return turn;
  }

  /** Takes its place anew at some nodes, in the tick of whatever was sent to them before. */
  rejoin(waiter: Waiter, nodes: readonly number[]): void {
    if (nodes.length > 0) waiter.joined = true;
    for (const index of nodes) {
      const asked = this.#quorum.votes.nodes[index]!.ask({ kind: 'join', place: waiter.place });
      void asked.then((answer) => this.#placed(waiter, index, answer));
    }
  }

  #placed(waiter: Waiter, node: number, answer: Answer): void {
    if (answer.kind === 'queued') {
      this.#hear(waiter, node, answer.line);
      if (answer.line.tangled) void this.#untangle(waiter);
      this.#callIfReady(waiter);
      this.#lookout.announce(waiter);
    } else if (answer.kind === 'crowded') {
      waiter.end({ kind: 'refused', refusal: this.crowded() });
    }
  }

  crowded(): Refusal {
    const { maxWaitersPerResource } = this.#settings;
    return refuse('TOO_MANY_WAITERS', `${maxWaitersPerResource} callers wait for this resource already`, {
      metadata: { limit: String(maxWaitersPerResource), scope: 'resource' },
      retryAfterMs: LOOK_MS,
    });
  }

  /** Another call of the same request waits in its place now: that place is not its own to leave. */
  isReplaced(waiter: Waiter): boolean {
    return this.#places.byId(waiter.place.id) !== waiter;
  }

  /** Those who hide behind it join, in the tick in which it leaves: so nobody can slip in between. */
  uncover(waiter: Waiter): void {
    this.#joinLate(waiter.place.resources);
  }

  /** It waits no longer, for whatever reason. */
  exit(waiter: Waiter): void {
    this.#late = this.#late.filter((other) => other !== waiter);
    for (const resource of this.#places.remove(waiter)) this.#lookout.forget(resource);
    this.#probe.waiters(this.#places.count);
    this.#lookout.lookForListeners(waiter.place.resources);
  }

  /**
   * Somebody lets go of `resources` through this replica, at this very moment: whoever is next here asks along with
   * it. `token` is what a caller brought, and nobody knows yet whether it was ever granted: one from the future would
   * make the next proposals unacceptable. `grant`: the span in which that lease was granted, if it was traced.
   */
  handOver(resources: readonly string[], token: Token, grant?: string): void {
    if (this.#places.count === 0) return;
    const freedMs = this.#quorum.clock.monotonicMs();
    const plausible = Number(token) <= this.#quorum.tickets.nowMicros() + tokenLeadMicros;
    for (const resource of resources) {
      for (const waiter of this.#places.leading(resource, limits.sharedAtOnce)) {
        if (plausible) waiter.pass(token);
        if (grant !== undefined) waiter.traced?.meetGrant(grant);
        waiter.freedMs = freedMs;
        waiter.markAll(resource);
        this.#callIfReady(waiter);
      }
    }
  }

  drain(): void {
    this.#draining = true;
    for (const waiter of [...this.#places.all()]) waiter.end({ kind: 'refused', refusal: draining });
  }

  /** One node would let `waiter` have `resource`; the shared ones behind a shared one may come along. */
  #ready(resource: string, waiter: Waiter, fence: Token, node: number): void {
    const along = waiter.place.mode === 'shared' ? this.#places.leading(resource, limits.sharedAtOnce) : [];
    for (const one of new Set([waiter, ...along])) {
      one.pass(fence);
      one.mark(resource, node);
      this.#callIfReady(one);
    }
  }

  #hear(waiter: Waiter, node: number, line: LineView): void {
    const { order } = waiter.place;
    waiter.hear(node, line);
    if (waiter.place.order !== order) this.#places.moved(waiter);
  }

  #callIfReady(waiter: Waiter): void {
    if (waiter.state !== 'queued') return;
    const names = waiter.obtainable();
    if (names === undefined) return;
    // In the same tick as its hold: whoever hides behind it must stand in line before it has gone.
    this.#joinLate(waiter.place.resources);
    waiter.call(names);
  }

  /** Joins those who were deferred, all or those of some resources. */
  #joinLate(resources?: readonly string[]): void {
    if (this.#late.length === 0) return;
    const due = this.#late.filter(
      ({ place }) => resources === undefined || resources.includes(place.resources[0]!),
    );
    if (due.length === 0) return;
    this.#late = this.#late.filter((waiter) => !due.includes(waiter));
    if (this.#late.length === 0) {
      this.#lateTimer?.cancel();
      this.#lateTimer = undefined;
    }
    const nodes = [...this.#quorum.nodeIds.keys()];
    for (const waiter of due) if (waiter.state === 'queued') this.rejoin(waiter, nodes);
  }

  /** Whether its wait is part of a cycle; of each cycle the youngest gives way. */
  async #untangle(waiter: Waiter): Promise<void> {
    // Every node may say that it is tangled: one walk answers them all.
    if (this.#untangling.has(waiter)) return;
    this.#untangling.add(waiter);
    const found = await findCycle(this.#quorum, waiter.place, (ref) => waiter.attempts.has(ref)).finally(() =>
      this.#untangling.delete(waiter),
    );
    if (found?.victim !== true || waiter.askAgain('a cycle')) return;
    waiter.end({ kind: 'refused', refusal: found.refusal } satisfies WaitEnd);
  }
}
