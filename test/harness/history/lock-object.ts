/**
 * One lock as an abstract object: what its answers mean, whoever gives them, and what may follow what.
 *
 * A lease may end at any moment: whether it was too early is rule `overlap`'s business, for only the holder's count
 * tells. So the object knows of a lease that it still may stand, and forgets it when another is granted that conflicts.
 *   grant(L)     its token is larger than that of every grant before; conflicting leases have ended
 *   touch(L)     L stands: a renewal was answered `renewed`, or a repeat of the request was answered with L
 *   released(L)  L was granted and has not been released before; it does not stand any more. It may have ended before:
 *                one node that still bore it is enough for the answer
 * All other answers (busy, refused, lost, gone, unknown) are always right: votes may be refused for safety, a part of a
 * lease may be lost before its holder's count ends, and an attempt whose answer is unknown may have ended unseen.
 */
import type { Asked, Entry, History, Ms } from './history.ts';
import { isGranted, leasesOf } from './leases.ts';

export interface Op {
  readonly kind: 'grant' | 'touch' | 'released';
  readonly leaseRef: string;
  readonly token: bigint;
  readonly mode: Asked['mode'];
  readonly calledMs: Ms;
  readonly answeredMs: Ms;
  readonly entry: Entry;
}

export interface State {
  /** The largest token granted; 0 while none is known. */
  readonly last: bigint;
  /** Leases that may still stand, with their modes. */
  readonly standing: ReadonlyMap<string, Asked['mode']>;
  readonly released: ReadonlySet<string>;
}

export const START: State = { last: 0n, standing: new Map(), released: new Set() };

/** Undefined: the operation cannot have been answered so in that state. */
export function after(state: State, { kind, leaseRef, token, mode }: Op): State | undefined {
  switch (kind) {
    case 'grant': {
      if (token <= state.last) return undefined;
      const readers = mode === 'shared' ? [...state.standing].filter(([, other]) => other === 'shared') : [];
      return {
        ...state,
        last: token,
        standing: new Map([...readers, [leaseRef, mode]]),
      };
    }
    case 'touch':
      return state.standing.has(leaseRef) ? state : undefined;
    case 'released': {
      if (state.released.has(leaseRef) || token > state.last) return undefined;
      const standing = new Map(state.standing);
      standing.delete(leaseRef);
      return { ...state, standing, released: new Set(state.released).add(leaseRef) };
    }
  }
}

/** The same for all that is said of other leases. */
export function without({ last, standing, released }: State, leaseRef: string): State {
  return {
    last,
    standing: new Map([...standing].filter(([other]) => other !== leaseRef)),
    released: new Set([...released].filter((other) => other !== leaseRef)),
  };
}

/** By resource. Leases whose grant is not in the history (its caller was killed) are left out. */
export function operationsOf(history: History): Map<string, Op[]> {
  const byResource = new Map<string, Op[]>();
  const leases = leasesOf(history);
  const add = (kind: Op['kind'], leaseRef: string, entry: Entry, calledMs: Ms, answeredMs: Ms): void => {
    const lease = leases.get(leaseRef);
    if (lease === undefined) return;
    const { token, mode, resources } = lease;
    for (const resource of resources) {
      const known = byResource.get(resource);
      const op = { kind, leaseRef, token, mode, calledMs, answeredMs, entry };
      if (known === undefined) byResource.set(resource, [op]);
      else known.push(op);
    }
  };
  for (const { leaseRef, grants, calledMs, answeredMs } of leases.values()) {
    add('grant', leaseRef, grants[0]!, calledMs, answeredMs);
  }
  for (const entry of history) {
    if (isGranted(entry)) {
      const { leaseRef } = entry.grant;
      const lease = leases.get(leaseRef)!;
      const isGrant = lease.grants[0] === entry && lease.calledMs === entry.calledMs;
      if (!isGrant) add('touch', leaseRef, entry, entry.calledMs, entry.answeredMs);
    } else if (entry.kind === 'renew' && entry.outcome === 'renewed' && entry.answeredMs !== undefined) {
      add('touch', entry.leaseRef, entry, entry.calledMs, entry.answeredMs);
    } else if (entry.kind === 'release' && entry.outcome === 'released' && entry.answeredMs !== undefined) {
      add('released', entry.leaseRef, entry, entry.calledMs, entry.answeredMs);
    }
  }
  return byResource;
}
