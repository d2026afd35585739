/**
 * The walk along who waits for whom, from the nodes' answers: finds the deadlock that a wait is part of.
 *
 * It claims none unless a majority shows every hold and every wait of it, and shows them twice when the walk took more
 * than one step. The steps look at different times, between which an owner may let go and then wait; but what they saw
 * and the last look sees again was there together.
 */
import { conflict } from '../domain/lease.ts';
import type { Refusal } from '../domain/refusals.ts';
import type { NodeHolder, NodeView } from '../nodes/node.ts';
import type { Quorum } from '../quorum/quorum.ts';
import { type Claims, deadlock, type Hold, type Picture, verdictOn, type Wait } from './cycle.ts';
import type { Look } from './views.ts';

/** Besides the resources of the place itself. */
const MOST_RESOURCES = 64;
const MOST_OWNERS = 64;
/** Two for each owner of a cycle: what it waits for, and who has that. */
/** Two steps an owner. */
const MOST_LEVELS = 2 * (MOST_OWNERS + 1);
/** Waiters that a look shows; whoever stands further back is in nobody's way then, as far as this walk knows. */
const LINE = 64;

export interface Tangle {
  /** Whether it is the place itself that has to give way. */
  readonly victim: boolean;
  readonly refusal: Refusal;
}

interface Held extends Hold {
  readonly leaseRef: string;
}

/** What to ask the nodes. */
interface Questions {
  readonly resources: readonly string[];
  readonly owners: readonly string[];
}

/** Tells by its leaseRef a lease that is none: a vote of the waiter itself that came to nothing and is not undone yet. */
type IsAttempt = (leaseRef: string) => boolean;

/** Undefined: no deadlock is known, which is also the answer where too few nodes answered or the tangle is too big. */
export async function findCycle(
  quorum: Quorum,
  place: Wait,
  isAttempt: IsAttempt = () => false,
): Promise<Tangle | undefined> {
  const survey = new Survey(quorum, place, isAttempt);
  for (let level = 0; ; level += 1) {
    const seen = survey.explore();
    if (level === 1) {
      // What its own owner holds never comes free, whoever else gives way.
      const alone = verdictOn({ ...seen.picture, waits: [survey.self] }, place.id);
      if (alone !== undefined) return { victim: true, refusal: deadlock(alone.cycle) };
    }
    if (seen.resources.length + seen.owners.length === 0) return conclude(quorum, place, survey, isAttempt);
    if (level === MOST_LEVELS || !survey.hasRoomFor(seen) || !(await survey.ask(seen))) return undefined;
  }
}

async function conclude(
  quorum: Quorum,
  place: Wait,
  survey: Survey,
  isAttempt: IsAttempt,
): Promise<Tangle | undefined> {
  if (verdictOn(survey.explore().picture, place.id) === undefined) return undefined;
  const again = new Survey(quorum, place, isAttempt);
  if (!(await again.ask(survey.asked))) return undefined;
  const verdict = verdictOn(inBoth(survey, again), place.id);
  return verdict && { victim: verdict.victim === place.id, refusal: deadlock(verdict.cycle) };
}

/** What the first survey saw and the second still sees. */
function inBoth(first: Survey, second: Survey): Picture {
  const { waits, resources } = first.explore().picture;
  const stillHeld = (resource: string, { holders, line }: Known): Known => {
    const refs = new Set(second.holders(resource).map(({ leaseRef }) => leaseRef));
    return { line, holders: holders.filter(({ leaseRef }) => refs.has(leaseRef)) };
  };
  return {
    waits: waits.filter(({ id }) => second.waits.has(id)),
    resources: new Map([...resources].map(([resource, known]) => [resource, stillHeld(resource, known)])),
  };
}

interface Known extends Claims {
  readonly holders: readonly Held[];
}

interface Explored extends Questions {
  readonly picture: Picture & { readonly resources: ReadonlyMap<string, Known> };
}

/** The waiters of one owner, by node; undefined where the node was silent. */
type Waiters = readonly (readonly Wait[] | undefined)[];

/** What the nodes said so far, and what a majority of them shows in it. */
class Survey {
  readonly #quorum: Quorum;
  readonly #place: Wait;
  readonly #isAttempt: IsAttempt;
  readonly #looks = new Map<string, readonly Look[]>();
  readonly #waiters = new Map<string, Waiters>();
  /** Every wait that counts, by id, the first in line first. */
  waits: ReadonlyMap<string, Wait>;

  constructor(quorum: Quorum, place: Wait, isAttempt: IsAttempt) {
    this.#isAttempt = isAttempt;
    this.#quorum = quorum;
    this.#place = place;
    this.waits = new Map([[place.id, place]]);
  }

  get asked(): Questions {
    return { resources: [...this.#looks.keys()], owners: [...this.#waiters.keys()] };
  }

  /** The place, as the nodes know it where they do. */
  get self(): Wait {
    return this.waits.get(this.#place.id)!;
  }

  hasRoomFor({ resources, owners }: Questions): boolean {
    const own = this.#place.resources.length;
    return (
      this.#looks.size + resources.length <= MOST_RESOURCES + own &&
      this.#waiters.size + owners.length <= MOST_OWNERS
    );
  }

  /** All in one tick, so that it travels as one script a node; false when fewer than a majority answered any of it. */
  async ask({ resources, owners }: Questions): Promise<boolean> {
    const { votes, majority } = this.#quorum;
    const looks = Promise.all(
      resources.map((resource) => votes.all({ kind: 'look', resource, history: 0, line: LINE })),
    );
    const waiters = Promise.all(owners.map((owner) => votes.all({ kind: 'waits', owner })));
    for (const [at, answers] of (await looks).entries()) {
      this.#looks.set(
        resources[at]!,
        answers.map((answer) => (answer.kind === 'seen' ? answer.view : undefined)),
      );
    }
    for (const [at, answers] of (await waiters).entries()) {
      this.#waiters.set(
        owners[at]!,
        answers.map((answer) => (answer.kind === 'waiting' ? answer.waiters : undefined)),
      );
    }
    this.waits = this.#countWaits();
    const heard = (answers: readonly unknown[] | undefined): boolean =>
      (answers ?? []).filter((answer) => answer !== undefined).length >= majority;
    return (
      resources.every((resource) => heard(this.#looks.get(resource))) &&
      owners.every((owner) => heard(this.#waiters.get(owner)))
    );
  }

  /** Who holds it at a majority. */
  holders(resource: string): readonly Held[] {
    const shown = (this.#looks.get(resource) ?? []).flatMap(heldIn);
    const byRef = Map.groupBy(shown, ({ leaseRef }) => leaseRef);
    return [...byRef.values()]
      .filter((same) => same.length >= this.#quorum.majority)
      .map((same) => same[0]!)
      .filter(({ leaseRef }) => !this.#isAttempt(leaseRef));
  }

  /** What can be reached from the place: the picture so far, and what is not known of it yet. */
  explore(): Explored {
    const reached = new Set([this.self]);
    const claims = new Map<string, Known>();
    const resources = new Set<string>();
    const owners = new Set<string>();
    const byOwner = Map.groupBy(this.waits.values(), ({ owner }) => owner);
    const lines = this.#lines();
    for (const wait of reached) {
      for (const resource of wait.resources) {
        if (!this.#looks.has(resource)) {
          resources.add(resource);
          continue;
        }
        const known = claims.get(resource) ?? {
          holders: this.holders(resource),
          line: lines.get(resource) ?? [],
        };
        claims.set(resource, known);
        for (const { owner, mode } of known.holders) {
          if (!conflict(mode, wait.mode)) continue;
          if (!this.#waiters.has(owner)) owners.add(owner);
          for (const its of byOwner.get(owner) ?? []) reached.add(its);
        }
        for (const id of known.line.slice(0, known.line.indexOf(wait.id))) {
          const ahead = this.waits.get(id)!;
          if (conflict(ahead.mode, wait.mode)) reached.add(ahead);
        }
      }
    }
    const picture = { waits: [...reached], resources: claims };
    return { picture, resources: [...resources], owners: [...owners] };
  }

  /** The ids of the waits in line for each resource, which is the order of `waits`. */
  #lines(): Map<string, string[]> {
    const lines = new Map<string, string[]>();
    for (const { id, resources } of this.waits.values()) {
      for (const resource of resources) {
        const line = lines.get(resource);
        if (line === undefined) lines.set(resource, [id]);
        else line.push(id);
      }
    }
    return lines;
  }

  /** Its own place always counts: it may have reached fewer nodes yet. */
  #countWaits(): ReadonlyMap<string, Wait> {
    const shown = new Map<string, Wait[]>([[this.#place.id, [this.#place]]]);
    const counts = new Map<string, number>();
    for (let node = 0; node < this.#quorum.size; node += 1) {
      for (const wait of this.#shownBy(node)) {
        shown.set(wait.id, [...(shown.get(wait.id) ?? []), wait]);
        counts.set(wait.id, (counts.get(wait.id) ?? 0) + 1);
      }
    }
    const counted = [...shown].filter(
      ([id]) => id === this.#place.id || counts.get(id)! >= this.#quorum.majority,
    );
    const waits = counted.map(([, same]) => agreed(same)).sort(byRank);
    return new Map(waits.map((wait) => [wait.id, wait]));
  }

  /**
   * The waits that one node shows; not those that are missing from the line of one of their resources: that node has
   * just voted for their hold. Who waits for any of several and gets one is in line for the others until it has left
   * them, and would seem to wait for itself.
   */
  #shownBy(node: number): readonly Wait[] {
    const lines = new Map<string, { readonly ids: ReadonlySet<string>; readonly whole: boolean }>();
    const shown = new Map<string, Wait>();
    for (const [resource, looks] of this.#looks) {
      const look = looks[node];
      if (look === undefined) continue;
      const { waiters, length } = look?.line ?? { waiters: [], length: 0 };
      for (const wait of waiters) shown.set(wait.id, wait);
      lines.set(resource, { ids: new Set(waiters.map(({ id }) => id)), whole: waiters.length === length });
    }
    for (const waiters of this.#waiters.values()) {
      for (const wait of waiters[node] ?? []) shown.set(wait.id, wait);
    }
    return [...shown.values()].filter(({ id, resources }) =>
      resources.every((resource) => {
        const line = lines.get(resource);
        return line === undefined || !line.whole || line.ids.has(id);
      }),
    );
  }
}

function heldIn(look: Look): Held[] {
  if (look === undefined || look === null) return [];
  const { holder, readers = [] }: NodeView = look;
  const heldAs = ({ leaseRef, owner }: NodeHolder, mode: Hold['mode']): Held => ({ leaseRef, owner, mode });
  return [
    ...(holder === undefined ? [] : [heldAs(holder, 'exclusive')]),
    ...readers.map((reader) => heldAs(reader, 'shared')),
  ];
}

function byRank(a: Wait, b: Wait): number {
  return a.order - b.order || (a.id < b.id ? -1 : 1);
}

/** A waiter that comes again keeps the better of its two places, but only at the nodes that still knew it. */
function agreed(same: readonly Wait[]): Wait {
  const { ticket, order } = same.reduce((a, b) =>
    b.order < a.order || (b.order === a.order && b.ticket < a.ticket) ? b : a,
  );
  return { ...same[0]!, ticket, order };
}
