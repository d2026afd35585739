/** Carries messages: late, twice, never, or held back, as the faults of the plan say for each link. */
import type { Fault, Plan } from '../plan.ts';
import { Chance } from './chance.ts';
import type { Timeline } from './timeline.ts';

/** Between a replica and a node, or between a client and a replica. */
export type Link =
  | { readonly replica: number; readonly node: number; readonly client?: undefined }
  | { readonly replica: number; readonly client: number; readonly node?: undefined };

/** `in` is towards the node, or towards the replica of a client. */
export type Direction = 'in' | 'out';

/** One direction of one connection: what was sent first arrives first. */
export class Lane {
  lastMs = Number.NEGATIVE_INFINITY;
  /** What a cut held back arrives then; nothing sent later comes before it. */
  heldMs = Number.NEGATIVE_INFINITY;
}

type OnLink = Extract<Fault, { direction: string }>;

/** One direction of one link. */
export interface Way {
  readonly chance: Chance;
  readonly faults: readonly OnLink[];
}

export interface Sending {
  readonly lane?: Lane;
  /** Of requests of clients only: the same may arrive twice. */
  readonly twice?: boolean;
  /** A transport repeats it until it arrives: not lost by chance, only by a cut. */
  readonly sure?: boolean;
}

export class Network {
  readonly #timeline: Timeline;
  readonly #plan: Plan;
  readonly #ways = new Map<string, Way>();
  #messages = 0;

  constructor(timeline: Timeline, plan: Plan) {
    this.#timeline = timeline;
    this.#plan = plan;
  }

  get messages(): number {
    return this.#messages;
  }

  send(way: Way, deliver: () => void, sending: Sending = {}): void {
    this.#messages += 1;
    const nowMs = this.#timeline.nowMs;
    let delayMs = way.chance.between(this.#plan.delayMs);
    for (const fault of way.faults) {
      if (fault.atMs > nowMs || fault.untilMs <= nowMs) continue;
      if (fault.kind === 'loss' && sending.sure !== true && way.chance.happens(fault.share)) return;
      if (fault.kind === 'delay' && way.chance.happens(fault.share)) delayMs += way.chance.between(fault.ms);
      if (fault.kind === 'duplicate' && sending.twice === true && way.chance.happens(fault.share)) {
        this.#arrive(way, nowMs + delayMs + way.chance.between(fault.ms), deliver, undefined);
      }
    }
    this.#arrive(way, nowMs + delayMs, deliver, sending.lane);
  }

  way(link: Link, direction: Direction): Way {
    const name = `${link.replica} ${link.node ?? ''} ${link.client ?? ''} ${direction}`;
    let way = this.#ways.get(name);
    if (way === undefined) {
      const faults = this.#plan.faults.filter(
        (fault): fault is OnLink => 'direction' in fault && isOn(fault, link, direction),
      );
      way = { chance: new Chance(this.#plan.seed, `way ${name}`), faults };
      this.#ways.set(name, way);
    }
    return way;
  }

  #arrive(way: Way, atMs: number, deliver: () => void, lane: Lane | undefined): void {
    const dueMs = lane === undefined ? atMs : Math.max(atMs, lane.lastMs);
    if (lane !== undefined) lane.lastMs = dueMs;
    this.#timeline.at(dueMs, () => this.#pass(way, deliver, lane));
  }

  #pass(way: Way, deliver: () => void, lane: Lane | undefined): void {
    const cut = this.#cut(way);
    if (cut === undefined) {
      if (lane === undefined || lane.heldMs <= this.#timeline.nowMs) deliver();
      else this.#timeline.at(lane.heldMs, deliver);
    } else if (cut.manner === 'hold') {
      const untilMs = cut.untilMs + way.chance.between(this.#plan.delayMs);
      const dueMs = lane === undefined ? untilMs : Math.max(untilMs, lane.heldMs);
      if (lane !== undefined) lane.heldMs = dueMs;
      this.#timeline.at(dueMs, () => this.#pass(way, deliver, lane));
    }
  }

  #cut(way: Way): Extract<OnLink, { kind: 'cut' }> | undefined {
    const nowMs = this.#timeline.nowMs;
    for (const fault of way.faults) {
      if (fault.kind === 'cut' && fault.atMs <= nowMs && fault.untilMs > nowMs) return fault;
    }
    return undefined;
  }
}

/** Whether a fault is on this direction of this link. */
export function isOn(fault: OnLink, link: Link, direction: Direction): boolean {
  if (fault.direction !== 'both' && fault.direction !== direction) return false;
  if (fault.replica !== undefined && fault.replica !== link.replica) return false;
  if (link.client !== undefined) return fault.client === link.client;
  return fault.client === undefined && (fault.node === undefined || fault.node === link.node);
}
