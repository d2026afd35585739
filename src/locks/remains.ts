/**
 * What a fault has left at some nodes of leases and waiters, judged from one look at all of them. Pure.
 *
 * A LEFTOVER is a value that fewer nodes hold than a lease needs, and that nobody can have been promised, or no longer: a
 * vote or an undo that its replica died in the middle of, or a release that reached most nodes and not all. The rule:
 *
 *   1. The nodes that hold it, with those that said nothing (down, slow, in quarantine, suspect), are fewer than a
 *      majority. So a lease with a node down, or with one that has forgotten it, is none.
 *   2. It is older than any vote or undo that a living replica has under way. That is courtesy; rule 5 is what is sure.
 *   3. Its story: some node tells that it was released, forced or undone; or nobody has seen it renewed or expired, and
 *      fewer than a majority ever held it. A lease that was granted once and lost its majority otherwise is left to its
 *      ttl: its holder may be asking for it at this very moment, and a repair bring it back.
 *   4. No node without it holds anybody with a lower token: what rule 5 does raises fences, and would keep that lease from
 *      being repaired. It is not in that lease's way, for the nodes that hold it are shut to lower tokens anyway.
 *   5. (mend.ts) A majority of the nodes BAR the value, each in one script in which it does not hold it. From then on no
 *      message, however late, can give it a majority; and whatever was promised with it is over, for each majority has
 *      one of these nodes in it, which let go of it only by its time, by a release or by an undo, or has forgotten it
 *      and sat its quarantine out (G1, G8). All within its ttl, for a node may forget that it was barred, too.
 *
 * Only then those that hold it are told to let go.
 */
import type { ClosedWhy, NodeEvent, NodeHolder } from '../nodes/node.ts';
import { readCard } from './card.ts';
import { holdersIn, type Look } from './views.ts';

export interface Leftover {
  readonly holder: NodeHolder;
  /** Indices of the nodes that hold it, and of those that answered and do not. */
  readonly heldAt: readonly number[];
  readonly freeAt: readonly number[];
  /** What its end is to be called. */
  readonly why: ClosedWhy;
  readonly ageMs: number;
}

/** Rules 1 to 4, from looks with their whole history. */
export function leftoversIn(looks: readonly Look[], majority: number, minAgeMs: number): Leftover[] {
  const byRef = new Map<string, NodeHolder[]>();
  for (const holder of looks.flatMap(holdersIn)) {
    byRef.set(holder.leaseRef, [...(byRef.get(holder.leaseRef) ?? []), holder]);
  }
  return [...byRef.values()].flatMap((holders) => {
    const [holder] = holders as [NodeHolder];
    const heldAt = indicesOf(looks, (look) => holdersIn(look).some(isOf(holder)));
    const freeAt = indicesOf(looks, (look) => look !== undefined && !holdersIn(look).some(isOf(holder)));
    const ageMs = Math.min(...holders.map(ageOf));
    const mayStand = looks.length - freeAt.length >= majority;
    if (mayStand || ageMs < minAgeMs || hasElder(looks, holder)) return [];
    const why = endOf(looks, holder, majority);
    return why === undefined ? [] : [{ holder, heldAt, freeAt, why, ageMs }];
  });
}

function isOf({ leaseRef }: NodeHolder): (other: { readonly leaseRef: string }) => boolean {
  return (other) => other.leaseRef === leaseRef;
}

function indicesOf(looks: readonly Look[], is: (look: Look) => boolean): number[] {
  return looks.flatMap((look, index) => (is(look) ? [index] : []));
}

/** How long ago the node was asked for it. Of one that was renewed it is too little, which is the safe side. */
function ageOf(holder: NodeHolder): number {
  return readCard(holder).ttlMs - holder.remainingMs;
}

/** Rule 4. */
export function hasElder(looks: readonly Look[], { token, leaseRef }: NodeHolder): boolean {
  return looks.some((look) =>
    holdersIn(look).some((other) => other.leaseRef !== leaseRef && other.token < token),
  );
}

/** Rule 3: undefined where it may have been granted and nobody ended it. */
function endOf(looks: readonly Look[], holder: NodeHolder, majority: number): ClosedWhy | undefined {
  const stories = looks.map((look) => (look?.history ?? []).filter(isOf(holder)));
  const nodesWith = (type: NodeEvent['type']): number =>
    stories.filter((events) => events.some((event) => event.type === type)).length;
  const renewed = nodesWith('renewed') > 0;
  if (nodesWith('forced') > 0) return 'forced';
  if (nodesWith('released') > 0) return 'released';
  if (renewed || nodesWith('expired') > 0) return undefined;
  return nodesWith('undone') > 0 || nodesWith('held') < majority ? 'undone' : undefined;
}

/** Leases that one node still remembers as held although they are over by its clock. */
export function unforgottenIn(look: Look): NodeEvent[] {
  const live = new Set(holdersIn(look).map(({ leaseRef }) => leaseRef));
  const told = new Set<string>();
  // Newest first: the first event of a lease is its last.
  return (look?.history ?? []).filter(({ leaseRef, type }) => {
    if (told.has(leaseRef)) return false;
    told.add(leaseRef);
    return (type === 'held' || type === 'renewed') && !live.has(leaseRef);
  });
}
