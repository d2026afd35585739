/** What a majority's answers add up to: held, free or unknown, the last granted token, and one history. Pure. */
import { maxToken, NO_TOKEN, type Token } from '../domain/token.ts';
import type { NodeEvent, NodeHolder, NodeView, NodeWaiter } from '../nodes/node.ts';
import { median } from '../quorum/ballot.ts';
import type { LockEvent, LockState, WaiterView } from './locks.ts';
import { goesBefore } from './places.ts';

/** One node's look: undefined when it was silent, null when it does not know the name. */
export type Look = NodeView | null | undefined;

export interface Standing {
  readonly state: LockState;
  /** The majority's holder, or its several shared ones; while unknown, every candidate. */
  readonly holders: readonly NodeHolder[];
}

/**
 * HELD: a majority of all nodes hold one lease, or each of several shared ones. FREE: no lease could have a majority
 * even with every silent node. Anything else cannot be told.
 */
export function standingOf(looks: readonly Look[], majority: number): Standing {
  const silent = looks.filter((look) => look === undefined).length;
  const byRef = new Map<string, NodeHolder[]>();
  for (const look of looks) {
    for (const holder of holdersIn(look)) {
      byRef.set(holder.leaseRef, [...(byRef.get(holder.leaseRef) ?? []), holder]);
    }
  }
  const backed = [...byRef.values()].filter((holders) => holders.length >= majority);
  if (backed.length > 0) {
    return { state: 'held', holders: backed.map((holders) => backedHolder(holders, majority)) };
  }
  const most = Math.max(0, ...[...byRef.values()].map((holders) => holders.length));
  if (most + silent < majority) return { state: 'free', holders: [] };
  return { state: 'unknown', holders: [...byRef.values()].map((holders) => holders[0]!) };
}

export function holdersIn(look: Look): readonly NodeHolder[] {
  if (look === undefined || look === null) return [];
  return look.holder === undefined ? (look.readers ?? []) : [look.holder, ...(look.readers ?? [])];
}

/** As long as a majority keeps it, not as long as the node with the slowest clock does. */
function backedHolder(holders: readonly NodeHolder[], majority: number): NodeHolder {
  return [...holders].sort((a, b) => b.remainingMs - a.remainingMs)[majority - 1]!;
}

interface Passage {
  readonly token: Token;
  readonly leaseRef: string;
  readonly events: readonly NodeEvent[];
  /** How many nodes recorded it held. */
  readonly held: number;
}

function passagesOf(looks: readonly Look[]): Passage[] {
  const byKey = new Map<string, { token: Token; leaseRef: string; events: NodeEvent[]; held: number }>();
  for (const look of looks) {
    for (const event of look?.history ?? []) {
      const key = `${event.token} ${event.leaseRef}`;
      const passage = byKey.get(key) ?? { token: event.token, leaseRef: event.leaseRef, events: [], held: 0 };
      passage.events.push(event);
      if (event.type === 'held') passage.held += 1;
      byKey.set(key, passage);
    }
  }
  return [...byKey.values()];
}

/** A grant is what a majority recorded held and nobody undid, or any node recorded renewed or released. */
function wasGranted({ events, held }: Passage, majority: number): boolean {
  if (events.some(({ type }) => type === 'renewed' || type === 'released')) return true;
  return held >= majority && !events.some(({ type }) => type === 'undone');
}

/** The highest token known granted: never the fence, which attempts that failed have raised. */
export function lastTokenOf(looks: readonly Look[], majority: number): Token {
  const standing = standingOf(looks, majority);
  const held = standing.state === 'held' ? standing.holders : [];
  const live = held.reduce((highest, { token }) => maxToken(highest, token), NO_TOKEN);
  return passagesOf(looks)
    .filter((passage) => wasGranted(passage, majority))
    .reduce((highest, { token }) => maxToken(highest, token), live);
}

const SHOWN = {
  held: 'granted',
  renewed: 'renewed',
  released: 'released',
  expired: 'expired',
  forced: 'forced',
} as const;

/** Each step of each granted lease once, newest first. */
export function historyOf(
  resource: string,
  looks: readonly Look[],
  majority: number,
  most: number,
): LockEvent[] {
  const shown: LockEvent[] = [];
  for (const passage of passagesOf(looks)) {
    if (!wasGranted(passage, majority)) continue;
    const ended = passage.events.some(({ type }) => type === 'released' || type === 'forced');
    // The latest of a lease first: what has the same time stays in this order.
    for (const type of ['forced', 'expired', 'released', 'renewed', 'held'] as const) {
      const events = passage.events.filter((event) => event.type === type);
      if (events.length === 0) continue;
      // A node whose clock runs ahead, or that missed the release, lets go alone: that is no end of the lease.
      if (type === 'expired' && (ended || events.length < majority)) continue;
      shown.push(merged(resource, SHOWN[type], events, type === 'renewed'));
    }
  }
  const order = (event: LockEvent): number => event.timeMs;
  return shown.sort((a, b) => order(b) - order(a) || Number(b.token - a.token)).slice(0, most);
}

function merged(
  resource: string,
  type: LockEvent['type'],
  events: readonly NodeEvent[],
  latest: boolean,
): LockEvent {
  const sorted = [...events].sort((a, b) => a.timeMicros - b.timeMicros);
  const one = sorted[latest ? sorted.length - 1 : 0]!;
  return {
    type,
    timeMs: one.timeMicros / 1000,
    resource,
    owner: one.owner,
    leaseRef: one.leaseRef,
    token: one.token,
    reason: sorted.find(({ reason }) => reason !== '')?.reason ?? '',
    source: 'history',
  };
}

/** How many wait, as most of the nodes that answered see it. */
export function lengthOf(looks: readonly Look[]): number {
  return median(looks.flatMap((look) => (look === undefined ? [] : [look?.line?.length ?? 0])));
}

/** Those who stand in line at a majority of all nodes, in the order in which they will be served. */
export function rankedIn(looks: readonly Look[], majority: number): NodeWaiter[] {
  const seen = new Map<string, { readonly waiter: NodeWaiter; nodes: number }>();
  for (const waiter of looks.flatMap((look) => look?.line?.waiters ?? [])) {
    const known = seen.get(waiter.id);
    if (known === undefined) seen.set(waiter.id, { waiter, nodes: 1 });
    else known.nodes += 1;
  }
  return [...seen.values()]
    .filter(({ nodes }) => nodes >= majority)
    .map(({ waiter }) => waiter)
    .sort((a, b) => (goesBefore(a, b) ? -1 : 1));
}

export function waitersOf(looks: readonly Look[], majority: number): WaiterView[] {
  return rankedIn(looks, majority).map(({ owner, priority, ticket, mode }, index) => ({
    owner,
    position: index + 1,
    priority,
    sinceMs: ticket / 1000,
    mode,
  }));
}
