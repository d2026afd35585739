/** Looks after resources that somebody waits for here: when the holder's time is up, and once a second for what was lost. */
import { limits } from '../domain/limits.ts';
import type { Probe } from '../domain/probe.ts';
import type { NodeView } from '../nodes/node.ts';
import type { Quorum } from '../quorum/quorum.ts';
import type { Timer } from '../std/clock.ts';
import { viewOf } from './card.ts';
import { defectNotice, Pace } from './pace.ts';
import type { Places } from './places.ts';
import { majorityEndsMs, obtainableAt } from './sight.ts';
import { holdersIn, type Look, lengthOf, rankedIn, standingOf } from './views.ts';
import type { Waiter } from './waiter.ts';

export const LOOK_MS = 1000;
/** A holder's end is told in whole milliseconds, rounded down. */
const ROUNDING_MS = 1;
/** Whoever wants to hear its place hears soon that somebody ahead has gone; not each time, where many go a second. */
const TELL_MS = 250;
/** Looks that are out at once: with thousands of names they come less often, rather than in the way of votes. */
const AT_ONCE = 256;
/** How much of a node's line a look asks for: whoever stands behind these is not next. */
const FIRST_IN_LINE = 8;
/** The same where somebody wants to hear its place; whoever stands further back hears what its last refresh told. */
const PLACES_TOLD = 128;

export class Lookout {
  readonly #quorum: Quorum;
  readonly #places: Places;
  readonly #onSeen: (waiter: Waiter) => void;
  readonly #pace: Pace;
  readonly #looks = new Map<string, { readonly dueMs: number; readonly timer: Timer }>();
  /** Resources whose last look reached fewer nodes than a majority: their waiters' places may run out. */
  readonly #cutOff = new Set<string>();

  /** `onSeen` is told of each waiter for whom a look may have changed something. */
  constructor(quorum: Quorum, places: Places, probe: Probe, onSeen: (waiter: Waiter) => void) {
    this.#quorum = quorum;
    this.#places = places;
    this.#onSeen = onSeen;
    this.#pace = new Pace(AT_ONCE, defectNotice(probe, 'a look at a waiting line failed on a defect'));
  }

  isCutOff(resource: string): boolean {
    return this.#cutOff.has(resource);
  }

  /** The next look comes after so long, and after a second at most. */
  lookAfter(resource: string, afterMs: number): void {
    const { clock } = this.#quorum;
    const delayMs = Math.min(LOOK_MS, afterMs + ROUNDING_MS);
    const dueMs = clock.monotonicMs() + delayMs;
    const pending = this.#looks.get(resource);
    // Never later than it was to be: those who keep coming must not put off what others wait for.
    if (pending !== undefined && pending.dueMs <= dueMs) return;
    pending?.timer.cancel();
    const timer = clock.after(delayMs, () => this.#pace.run(() => this.#look(resource)));
    this.#looks.set(resource, { dueMs, timer });
  }

  forget(resource: string): void {
    this.#looks.get(resource)?.timer.cancel();
    this.#looks.delete(resource);
    this.#cutOff.delete(resource);
  }

  /** A read: a timed look never votes. */
  async #look(resource: string): Promise<void> {
    // Others may have been looked after first, and nobody waits for this one any more.
    if (!this.#looks.delete(resource)) return;
    const heard = this.#places.row(resource).some(({ audience }) => audience !== undefined);
    const line = heard ? PLACES_TOLD : FIRST_IN_LINE;
    const answers = await this.#quorum.votes.all({ kind: 'look', resource, history: 0, line });
    if (this.#places.row(resource).length === 0) return;
    const views = answers.map((answer) => (answer.kind === 'seen' ? answer.view : undefined));
    const seen = views.filter((view) => view !== undefined);
    if (seen.length < this.#quorum.majority) this.#cutOff.add(resource);
    else {
      this.#cutOff.delete(resource);
      if (heard) this.#tell(resource, views);
    }
    for (const { traced } of this.#places.row(resource)) {
      // Whoever joined behind others was never refused by the holder.
      if (traced?.knowsHolders === false) traced.meet(standingOf(views, this.#quorum.majority).holders);
    }
    for (const waiter of this.#places.leading(resource, limits.sharedAtOnce)) {
      weigh(resource, waiter, views);
      this.#onSeen(waiter);
    }
    this.lookAfter(resource, majorityEndsMs(seen.map(endOf), this.#quorum.majority));
  }

  /** Where it stands: at once if it is known who is in the way; else a look will tell. */
  announce({ state, audience, line, inTheWay, place }: Waiter): void {
    if (audience === undefined || audience.told || state !== 'queued') return;
    if (line === undefined || inTheWay.length === 0) {
      for (const resource of place.resources) this.lookAfter(resource, TELL_MS);
      return;
    }
    const nowMs = this.#quorum.clock.wallMicros() / 1000;
    const { position, length: queueLength } = line;
    audience.begin({ position, queueLength, holders: inTheWay.map((holder) => viewOf(holder, nowMs)) });
  }

  /** Somebody has gone: those who listen may have moved. */
  lookForListeners(resources: readonly string[]): void {
    for (const resource of resources) {
      if (this.#places.row(resource)[0]?.audience !== undefined) this.lookAfter(resource, TELL_MS);
    }
  }

  #tell(resource: string, views: readonly Look[]): void {
    const { majority, clock } = this.#quorum;
    const nowMs = clock.wallMicros() / 1000;
    const ranks = new Map(rankedIn(views, majority).map(({ id }, index) => [id, index + 1]));
    const holders = standingOf(views, majority).holders.map((holder) => viewOf(holder, nowMs));
    const queueLength = lengthOf(views);
    for (const { audience, place, line } of this.#places.row(resource)) {
      const position = ranks.get(place.id) ?? line?.position ?? 0;
      audience?.see(resource, { position, queueLength: Math.max(queueLength, position), holders });
    }
  }
}

function weigh(resource: string, waiter: Waiter, views: readonly Look[]): void {
  views.forEach((view, node) => {
    if (view === undefined) return;
    waiter.mark(resource, node, obtainableAt(view, waiter.place));
    if (view?.fence !== undefined) waiter.pass(view.fence.token);
    for (const holder of holdersIn(view)) {
      const ours = holder.owner === waiter.place.owner && !waiter.attempts.has(holder.leaseRef);
      if (ours) waiter.askAgain(holder.leaseRef);
    }
  });
}

/** When the last holder of a view ends. */
function endOf(view: NodeView | null): number {
  const holders = holdersIn(view);
  // Free: nothing ends, and what is lost on the way is what the look once a second is for.
  if (holders.length === 0) return Number.POSITIVE_INFINITY;
  return Math.max(...holders.map(({ remainingMs }) => remainingMs));
}
