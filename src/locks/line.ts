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
import { limits } from '../domain/limits.ts';
import type { Probe } from '../domain/probe.ts';
import { type Refusal, refuse } from '../domain/refusals.ts';
import type { Token } from '../domain/token.ts';
import type { Answer, NodeHolder, NodeView, Place } from '../nodes/node.ts';
import { lineOf } from '../quorum/ballot.ts';
import type { Quorum } from '../quorum/quorum.ts';
import type { Timer } from '../std/clock.ts';
import { goesBefore, Places } from './places.ts';
import { majorityEndsMs, obtainableAt } from './sight.ts';
import { findCycle } from './tangle.ts';
import { type WaitEnd, Waiter } from './waiter.ts';

export interface LineSettings {
  readonly livenessMs: number;
  readonly priorityStepMs: number;
  readonly maxWaiters: number;
  readonly maxWaitersPerResource: number;
}

export type PlaceAsk = Pick<Place, 'id' | 'priority' | 'owner' | 'mode' | 'any' | 'resources'>;

const LOOK_MS = 1000;
/** A holder's end is told in whole milliseconds, rounded down. */
const ROUNDING_MS = 1;
const JOIN_LATE_MS = 50;
/** Places are taken anew so often within their liveness: two messages in a row may be lost. */
const REFRESHES = 3;
/** How much of a node's line a look asks for: whoever stands behind these is not next. */
const FIRST_IN_LINE = 8;

const draining: Refusal = refuse('DRAINING', 'this replica is shutting down: ask another one', {
  retryAfterMs: 1000,
});

export class Line {
  readonly #quorum: Quorum;
  readonly #settings: LineSettings;
  readonly #probe: Probe;
  readonly #places = new Places();
  readonly #looks = new Map<string, Timer>();
  /** Resources whose last look reached fewer nodes than a majority: their waiters' places may run out. */
  readonly #cutOff = new Set<string>();
  #late: Waiter[] = [];
  #lateTimer: Timer | undefined;
  #refreshTimer: Timer | undefined;
  #draining = false;

  constructor(quorum: Quorum, settings: LineSettings, probe: Probe) {
    this.#quorum = quorum;
    this.#settings = settings;
    this.#probe = probe;
    quorum.wakeups.onWake = (node, { resource, id, fence }) => {
      const waiter = this.#places.byId(id);
      if (waiter !== undefined) this.#ready(resource, waiter, fence, node);
    };
  }

  get waiting(): number {
    return this.#places.count;
  }

  /** A new waiter, ASKING; `leave` must follow. */
  enter(ask: PlaceAsk): Waiter | Refusal {
    if (this.#draining) return draining;
    const { livenessMs, priorityStepMs, maxWaiters, maxWaitersPerResource } = this.#settings;
    if (this.#places.count >= maxWaiters) {
      return refuse('TOO_MANY_WAITERS', `${maxWaiters} callers wait at this replica already`, {
        metadata: { limit: String(maxWaiters), scope: 'replica' },
        retryAfterMs: LOOK_MS,
      });
    }
    const ticket = this.#quorum.tickets.next();
    const place: Place = {
      ...ask,
      ticket,
      order: ticket - ask.priority * priorityStepMs * 1000,
      replica: this.#quorum.wakeups.replica,
      livenessMs,
      most: maxWaitersPerResource,
    };
    const waiter = new Waiter(place, this.#quorum.size, this.#quorum.majority);
    for (const resource of this.#places.add(waiter)) this.#lookLater(resource, LOOK_MS);
    this.#probe.waiters(this.#places.count);
    this.#refreshTimer ??= this.#quorum.clock.after(livenessMs / REFRESHES, () => this.#refresh());
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
    this.#lateTimer ??= this.#quorum.clock.after(JOIN_LATE_MS, () => this.#joinLate());
    return true;
  }

  /** The nodes have told where it stands: when to look, whether its wait closes a cycle, whether it may go at once. */
  standing(waiter: Waiter, answers: readonly (Answer | { kind: 'skipped' } | undefined)[]): void {
    const ends: number[] = [];
    const order = waiter.place.order;
    answers.forEach((answer, node) => {
      if (answer === undefined || !('line' in answer) || answer.line === undefined) return;
      waiter.hear(node, answer.line);
      if (answer.kind === 'conflict')
        ends.push(Math.max(...answer.holders.map((holder) => holder.remainingMs)));
    });
    waiter.line = lineOf(answers) ?? waiter.line;
    if (waiter.place.order !== order) this.#places.moved(waiter);
    const endsMs = majorityEndsMs(ends, this.#quorum.majority);
    for (const resource of waiter.place.resources) this.#lookLater(resource, endsMs);
    if (waiter.line?.tangled === true) void this.#untangle(waiter);
    this.#callIfReady(waiter);
  }

  /** Takes its place anew at some nodes, in the tick of whatever was sent to them before. */
  rejoin(waiter: Waiter, nodes: readonly number[]): void {
    waiter.joined = true;
    for (const index of nodes) {
      const heard = (answer: Answer): void => {
        if (answer.kind === 'queued') {
          waiter.hear(index, answer.line);
          if (answer.line.tangled) void this.#untangle(waiter);
          this.#callIfReady(waiter);
        } else if (answer.kind === 'crowded') {
          waiter.end({ kind: 'refused', refusal: this.crowded() });
        }
      };
      this.#post(index, { kind: 'join', place: waiter.place }, heard);
    }
  }

  crowded(): Refusal {
    const { maxWaitersPerResource } = this.#settings;
    return refuse('TOO_MANY_WAITERS', `${maxWaitersPerResource} callers wait for this resource already`, {
      metadata: { limit: String(maxWaitersPerResource), scope: 'resource' },
      retryAfterMs: LOOK_MS,
    });
  }

  /** It waits no longer, for whatever reason. Those who hid behind it join now. */
  exit(waiter: Waiter): void {
    this.#joinLate(waiter.place.resources);
    this.#late = this.#late.filter((other) => other !== waiter);
    for (const resource of this.#places.remove(waiter)) {
      this.#looks.get(resource)?.cancel();
      this.#looks.delete(resource);
      this.#cutOff.delete(resource);
    }
    this.#probe.waiters(this.#places.count);
  }

  /** Somebody let go of `resources` through this replica, at this very moment: whoever is next here asks along with it. */
  handOver(resources: readonly string[], fence: Token): void {
    for (const resource of resources) {
      for (const waiter of this.#places.leading(resource, limits.sharedAtOnce)) {
        waiter.pass(fence);
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
    } else if (resources === undefined) {
      this.#lateTimer = undefined;
    }
    const nodes = [...this.#quorum.nodeIds.keys()];
    for (const waiter of due) if (waiter.state === 'queued') this.rejoin(waiter, nodes);
  }

  /** Places are kept only while a majority can be reached: one that is cut off must not stand in others' way. */
  #refresh(): void {
    this.#refreshTimer = undefined;
    if (this.#places.count === 0) return;
    const nodes = [...this.#quorum.nodeIds.keys()];
    for (const waiter of this.#places.all()) {
      const reached = !waiter.place.resources.some((resource) => this.#cutOff.has(resource));
      if (waiter.joined && waiter.state === 'queued' && reached) this.rejoin(waiter, nodes);
    }
    this.#refreshTimer = this.#quorum.clock.after(this.#settings.livenessMs / REFRESHES, () =>
      this.#refresh(),
    );
  }

  #lookLater(resource: string, afterMs: number): void {
    this.#looks.get(resource)?.cancel();
    const delayMs = Math.min(LOOK_MS, afterMs + ROUNDING_MS);
    this.#looks.set(
      resource,
      this.#quorum.clock.after(delayMs, () => void this.#look(resource)),
    );
  }

  async #look(resource: string): Promise<void> {
    const answers = await this.#quorum.votes.all({ kind: 'look', resource, history: 0, line: FIRST_IN_LINE });
    if (this.#places.row(resource).length === 0) return;
    const views = answers.map((answer) => (answer.kind === 'seen' ? answer.view : undefined));
    const seen = views.filter((view) => view !== undefined).length;
    if (seen < this.#quorum.majority) this.#cutOff.add(resource);
    else this.#cutOff.delete(resource);
    for (const waiter of this.#places.leading(resource, limits.sharedAtOnce))
      this.#weigh(resource, waiter, views);
    const ends = views.flatMap((view) => (view === undefined ? [] : [endOf(view)]));
    this.#lookLater(resource, majorityEndsMs(ends, this.#quorum.majority));
  }

  #weigh(resource: string, waiter: Waiter, views: readonly (NodeView | null | undefined)[]): void {
    views.forEach((view, node) => {
      if (view === undefined) return;
      waiter.mark(resource, node, obtainableAt(view, waiter.place));
      if (view?.fence !== undefined) waiter.pass(view.fence.token);
    });
    this.#callIfReady(waiter);
  }

  /** Whether its wait is part of a cycle; of each cycle the youngest gives way. */
  async #untangle(waiter: Waiter): Promise<void> {
    const found = await findCycle(this.#quorum, waiter.place);
    if (found?.victim === true) waiter.end({ kind: 'refused', refusal: found.refusal } satisfies WaitEnd);
  }

  #post(index: number, op: Parameters<Quorum['votes']['all']>[0], heard: (answer: Answer) => void): void {
    const node = this.#quorum.votes.nodes[index]!;
    if (node.post === undefined) void node.ask(op).then(heard);
    else node.post(op, heard);
  }
}

/** When the last holder of a view ends; 0 without one. */
function endOf(view: NodeView | null): number {
  const holders: NodeHolder[] = [...(view?.readers ?? [])];
  if (view?.holder !== undefined) holders.push(view.holder);
  return Math.max(0, ...holders.map(({ remainingMs }) => remainingMs));
}
