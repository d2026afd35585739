/** Who is served next: the order of those who wait, and which resources one of them can have now. Pure. */
import type { AcquireAsk, Mode } from './model.ts';

/** A level of priority is worth so much waiting. */
const PRIORITY_STEP_MS = 5000;

export interface Place {
  readonly ask: AcquireAsk;
  /** When it came, by the monotonic clock; kept when it comes back by its request_id. */
  readonly ticketMs: number;
  /** Among those of one instant. */
  readonly number: number;
}

export interface Held {
  readonly owner: string;
  readonly mode: Mode;
}

/** Who has a resource now. */
export type HoldersOf = (resource: string) => readonly Held[];

export function conflict(one: Mode, other: Mode): boolean {
  return one === 'exclusive' || other === 'exclusive';
}

export function inOrder<P extends Place>(places: Iterable<P>): P[] {
  const rank = ({ ask, ticketMs }: Place): number => ticketMs - ask.priority * PRIORITY_STEP_MS;
  return [...places].sort((a, b) => rank(a) - rank(b) || a.number - b.number);
}

/** How many of its resources a request needs. */
export function needed({ any, resources }: AcquireAsk): number {
  return any === 0 ? resources.length : any;
}

/** Those who stand before `place`, in order; all of them for one that has no place yet. */
export function ahead<P extends Place>(order: readonly P[], resource: string, place: Place | undefined): P[] {
  const before = place === undefined ? order : order.slice(0, order.indexOf(place as P));
  return before.filter(({ ask }) => ask.resources.includes(resource));
}

/**
 * What `ask` gets now, or undefined. Nobody overtakes: a resource that anybody ahead waits for cannot be had, though it
 * be free. With `any` the first ones in the order of the request are picked.
 */
export function pick(
  ask: AcquireAsk,
  place: Place | undefined,
  order: readonly Place[],
  holdersOf: HoldersOf,
): readonly string[] | undefined {
  const can = ask.resources.filter(
    (resource) =>
      ahead(order, resource, place).length === 0 &&
      holdersOf(resource).every(({ mode }) => !conflict(mode, ask.mode)),
  );
  const count = needed(ask);
  return can.length >= count ? can.slice(0, count) : undefined;
}

/** The worst place among its lines, from 1, and the length of that line. */
export function standing(place: Place, order: readonly Place[]): { position: number; queueLength: number } {
  let worst = { position: 0, queueLength: 0 };
  for (const resource of place.ask.resources) {
    const position = ahead(order, resource, place).length + 1;
    const queueLength = ahead(order, resource, undefined).length;
    if (position > worst.position) worst = { position, queueLength };
  }
  return worst;
}
