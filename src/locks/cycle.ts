/**
 * Deadlock: which waits can never go on, and which of them has to give way.
 *
 * Pure: tested by enumeration and against a simulation; tangle.ts gathers the picture from the nodes. What is not in
 * the picture stands in nobody's way, so that ignorance never makes a deadlock.
 */
import { conflict, type Mode } from '../domain/lease.ts';
import { type Refusal, refuse } from '../domain/refusals.ts';

/** One wait: of all its resources, or of any so many of them. A place in line is one. */
export interface Wait {
  readonly id: string;
  readonly owner: string;
  readonly mode: Mode;
  /** When it began: the youngest of a cycle gives way. */
  readonly ticket: number;
  /** Its rank in every line, the lowest first. */
  readonly order: number;
  /** 0: all of its resources. */
  readonly any: number;
  readonly resources: readonly string[];
}

export interface Hold {
  readonly owner: string;
  readonly mode: Mode;
}

/** Who has a resource, and whose waits stand in its line, by their ids, the next one first. */
export interface Claims {
  readonly holders: readonly Hold[];
  readonly line: readonly string[];
}

export interface Picture {
  readonly waits: readonly Wait[];
  readonly resources: ReadonlyMap<string, Claims>;
}

/** The owner waits for the resource; the owner of the next link stands in its way. */
export interface Link {
  readonly owner: string;
  readonly resource: string;
}

export interface Verdict {
  /** The id of the wait that has to give way. */
  readonly victim: string;
  /** From the victim's owner back to it. */
  readonly cycle: readonly Link[];
}

/** One resource of a wait, and the waits that must go on before it is free for that wait. */
interface Way {
  readonly resource: string;
  readonly behind: readonly string[];
}

interface Stand {
  readonly wait: Wait;
  readonly ways: readonly Way[];
  /** How many of the ways must be free. */
  readonly needs: number;
  /** Its owner shows as a holder of what it waits for. */
  readonly reenters: boolean;
}

type Graph = ReadonlyMap<string, Stand>;

/**
 * An owner goes on when all its waits do, so behind a holder are its owner's waits. A live waiter keeps even a free
 * resource from those behind it, so whoever stands ahead is in the way as well.
 */
function graphOf({ waits, resources }: Picture): Graph {
  const byId = new Map(waits.map((wait) => [wait.id, wait]));
  const byOwner = Map.groupBy(waits, ({ owner }) => owner);
  const behindAt = (wait: Wait, claims: Claims): string[] => {
    const at = claims.line.indexOf(wait.id);
    const ahead = (at < 0 ? claims.line : claims.line.slice(0, at)).flatMap((id) => byId.get(id) ?? []);
    const held = claims.holders.filter(({ mode }) => conflict(mode, wait.mode));
    return [
      ...held.flatMap(({ owner }) => byOwner.get(owner) ?? []),
      ...ahead.filter(({ mode }) => conflict(mode, wait.mode)),
    ].map(({ id }) => id);
  };
  const standOf = (wait: Wait): Stand => ({
    wait,
    needs: wait.any === 0 ? wait.resources.length : wait.any,
    reenters: wait.resources.some((name) =>
      resources.get(name)?.holders.some(({ owner }) => owner === wait.owner),
    ),
    ways: wait.resources.map((resource) => {
      const claims = resources.get(resource);
      return { resource, behind: claims === undefined ? [] : behindAt(wait, claims) };
    }),
  });
  return new Map(waits.map((wait) => [wait.id, standOf(wait)]));
}

/** The waits among these that never go on although all others do: takes away whoever can until nobody is left who can. */
function stuckAmong(graph: Graph, among: Iterable<string>): ReadonlySet<string> {
  const left = new Set(among);
  const goesOn = ({ ways, needs }: Stand): boolean =>
    ways.filter(({ behind }) => !behind.some((id) => left.has(id))).length >= needs;
  for (let before = Number.POSITIVE_INFINITY; left.size < before; ) {
    before = left.size;
    for (const id of left) if (goesOn(graph.get(id)!)) left.delete(id);
  }
  return left;
}

/** The ids of all waits that can never go on, whether they are part of a cycle or stand behind one. */
export function deadlocked(picture: Picture): ReadonlySet<string> {
  const graph = graphOf(picture);
  return stuckAmong(graph, graph.keys());
}

function reachable(id: string, next: (id: string) => readonly string[]): Set<string> {
  const found = new Set<string>();
  const open = [id];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    for (const one of next(at)) {
      if (found.has(one)) continue;
      found.add(one);
      open.push(one);
    }
  }
  return found;
}

/** The waits that `id` waits for and that wait for it; empty when it is on no cycle among them. */
function ringOf(graph: Graph, among: ReadonlySet<string>, id: string): ReadonlySet<string> {
  const nexts = new Map<string, string[]>();
  const lasts = new Map<string, string[]>();
  for (const from of among) {
    const next = graph.get(from)!.ways.flatMap(({ behind }) => behind.filter((to) => among.has(to)));
    nexts.set(from, next);
    for (const to of next) {
      const known = lasts.get(to);
      if (known === undefined) lasts.set(to, [from]);
      else known.push(from);
    }
  }
  const back = reachable(id, (at) => lasts.get(at) ?? []);
  return new Set([...reachable(id, (at) => nexts.get(at) ?? [])].filter((one) => back.has(one)));
}

/**
 * The deadlock of which `id` is a part, if any. A wait for `any` may be on a cycle only because another way of it is
 * shut by somebody else's deadlock; that one is then resolved first and nobody here has to give way. So the waits on
 * the ring must be stuck even if all others go on; those that are then not are others, too.
 */
function knotOf(graph: Graph, id: string): ReadonlySet<string> | undefined {
  let among: ReadonlySet<string> = new Set(graph.keys());
  while (true) {
    const left = stuckAmong(graph, among);
    if (!left.has(id)) return undefined;
    const ring = ringOf(graph, left, id);
    if (ring.size === among.size) return ring;
    among = ring;
  }
}

/** Whether no one else's going on can help: its own owner holds too much of what it waits for. */
function isHopeless({ wait, ways, needs }: Stand): boolean {
  return ways.filter(({ behind }) => !behind.includes(wait.id)).length < needs;
}

function youngest(stands: readonly Stand[]): Wait {
  return stands
    .map(({ wait }) => wait)
    .reduce((a, b) => (b.ticket > a.ticket || (b.ticket === a.ticket && b.id > a.id) ? b : a));
}

function shortestCycle(graph: Graph, knot: ReadonlySet<string>, from: string): readonly Link[] {
  const pathTo = new Map<string, readonly Link[]>([[from, []]]);
  for (const [id, path] of pathTo) {
    const { wait, ways } = graph.get(id)!;
    for (const { resource, behind } of ways) {
      const longer = [...path, { owner: wait.owner, resource }];
      if (behind.includes(from)) return longer;
      for (const to of behind) if (knot.has(to) && !pathTo.has(to)) pathTo.set(to, longer);
    }
  }
  return [];
}

/**
 * Whether the wait `id` is part of a deadlock, and who then gives way: the youngest; but where there are such, the
 * youngest of those that wait for themselves, or of those whose owner has already what it waits for. That may also be a
 * vote of theirs that is still being undone, which only their own replica can tell: so nobody else gives way to it. The
 * same whoever of them asks, so that one gives way and not all of them.
 */
export function verdictOn(picture: Picture, id: string): Verdict | undefined {
  const graph = graphOf(picture);
  const knot = graph.has(id) ? knotOf(graph, id) : undefined;
  if (knot === undefined) return undefined;
  const stands = [...knot].map((one) => graph.get(one)!);
  const hopeless = stands.filter(isHopeless);
  const again = stands.filter(({ reenters }) => reenters);
  const victim = youngest([hopeless, again, stands].find(({ length }) => length > 0)!).id;
  return { victim, cycle: shortestCycle(graph, knot, victim) };
}

/** `w1 -> gpu/0 -> w2 -> gpu/1 -> w1`: owners and, after each, what it waits for. */
export function cycleText(links: readonly Link[]): string {
  return [...links.flatMap(({ owner, resource }) => [owner, resource]), links[0]?.owner ?? ''].join(' -> ');
}

/** What the edge sends of one piece of metadata before it cuts, and half an array is none. */
const ARRAY_BYTES = 512;

function fits(texts: readonly string[]): boolean {
  return Buffer.byteLength(JSON.stringify(texts)) <= ARRAY_BYTES;
}

/**
 * Names may hold ` -> ` and commas, so besides the text for people there are two JSON arrays of equal length for programs:
 * the owners and what each waits for, from the victim on, as many as fit; `links` is how many there are.
 */
export function deadlock(links: readonly Link[]): Refusal {
  const text = cycleText(links);
  let owners = links.map(({ owner }) => owner);
  let resources = links.map(({ resource }) => resource);
  while (!fits(owners) || !fits(resources)) {
    owners = owners.slice(0, -1);
    resources = resources.slice(0, -1);
  }
  return refuse('DEADLOCK', `this wait would never end: ${text}`, {
    metadata: {
      cycle: text,
      owners: JSON.stringify(owners),
      resources: JSON.stringify(resources),
      links: String(links.length),
    },
  });
}
