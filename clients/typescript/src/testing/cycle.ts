/** Deadlock: a wait that can never go on, because whoever stands in its way waits for it. Pure. */
import { ahead, conflict, type HoldersOf, needed, type Place } from './line.ts';
import { type Refusal, refuse } from './refusals.ts';

interface Link {
  readonly place: Place;
  readonly resource: string;
}

/** The waits that must go on before `resource` is free for `place`. */
function blockers(place: Place, resource: string, order: readonly Place[], holdersOf: HoldersOf): Place[] {
  const owners = holdersOf(resource)
    .filter(({ mode }) => conflict(mode, place.ask.mode))
    .map(({ owner }) => owner);
  const theirs = order.filter(({ ask }) => owners.includes(ask.owner));
  return [...theirs, ...ahead(order, resource, place)];
}

/** Those that cannot go on even if everybody else does: what is left when the others are struck out one by one. */
function stuckIn(order: readonly Place[], holdersOf: HoldersOf): Set<Place> {
  const stuck = new Set(order);
  for (let changed = true; changed; ) {
    changed = false;
    for (const place of stuck) {
      const open = place.ask.resources.filter((resource) =>
        blockers(place, resource, order, holdersOf).every((other) => !stuck.has(other)),
      );
      if (open.length < needed(place.ask)) continue;
      stuck.delete(place);
      changed = true;
    }
  }
  return stuck;
}

/** From one stuck wait to what blocks it, until a wait comes up again: that part is the cycle. */
function cycleFrom(start: Place, stuck: Set<Place>, order: readonly Place[], holdersOf: HoldersOf): Link[] {
  const path: Link[] = [];
  for (let place = start; ; ) {
    const again = path.findIndex((link) => link.place === place);
    if (again >= 0) return path.slice(again);
    const next = place.ask.resources
      .flatMap((resource) =>
        blockers(place, resource, order, holdersOf).map((other) => ({ resource, other })),
      )
      .find(({ other }) => stuck.has(other));
    if (next === undefined) return path;
    path.push({ place, resource: next.resource });
    place = next.other;
  }
}

/** The wait that has to give way, the youngest of a cycle, and why; undefined while all can go on. */
export function deadlocked<P extends Place>(
  order: readonly P[],
  holdersOf: HoldersOf,
): { victim: P; refusal: Refusal } | undefined {
  const stuck = stuckIn(order, holdersOf);
  const [first] = stuck;
  if (first === undefined) return undefined;
  const cycle = cycleFrom(first, stuck, order, holdersOf);
  const youngest = Math.max(...cycle.map(({ place }) => place.number));
  const at = cycle.findIndex(({ place }) => place.number === youngest);
  const links = [...cycle.slice(at), ...cycle.slice(0, at)];
  const owners = links.map(({ place }) => place.ask.owner);
  const resources = links.map(({ resource }) => resource);
  // As the service writes it: each owner and what it waits for, and the first owner again.
  const text = [...links.flatMap((_, index) => [owners[index], resources[index]]), owners[0]].join(' -> ');
  const metadata = {
    cycle: text,
    owners: JSON.stringify(owners),
    resources: JSON.stringify(resources),
    links: String(links.length),
  };
  const refusal = refuse('DEADLOCK', `this wait would never end: ${text}`, { metadata });
  return { victim: links[0]!.place as P, refusal };
}
