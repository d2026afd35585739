/** What a history says of each lease: when it was asked for, when somebody knew of it, and all that was said of it. */
import type { Asked, Grant, History, Ms } from './history.ts';

export interface Granted extends Asked {
  readonly outcome: 'granted';
  readonly grant: Grant;
  readonly answeredMs: Ms;
}

export interface Lease {
  readonly leaseRef: string;
  readonly token: bigint;
  readonly mode: Asked['mode'];
  readonly resources: readonly string[];
  /** It was not there before. */
  readonly calledMs: Ms;
  /** It was there by then. */
  readonly answeredMs: Ms;
  /** Each answer that told of it, in the order of the answers. */
  readonly grants: readonly Granted[];
}

export function isGranted(entry: History[number]): entry is Granted {
  return (
    entry.kind === 'acquire' &&
    entry.outcome === 'granted' &&
    entry.grant !== undefined &&
    entry.answeredMs !== undefined
  );
}

/** Names a request over all its repeats; undefined without a request id: then every call is a request of its own. */
export function requestOf({ owner, requestId }: Asked): string | undefined {
  return requestId === '' ? undefined : JSON.stringify([owner, requestId]);
}

/** By leaseRef. */
export function leasesOf(history: History): Map<string, Lease> {
  const byRef = new Map<string, Granted[]>();
  const askedMs = new Map<string, Ms>();
  for (const entry of history) {
    if (entry.kind !== 'acquire') continue;
    const request = requestOf(entry);
    if (request !== undefined) {
      askedMs.set(request, Math.min(askedMs.get(request) ?? entry.calledMs, entry.calledMs));
    }
    if (isGranted(entry)) {
      const known = byRef.get(entry.grant.leaseRef);
      if (known === undefined) byRef.set(entry.grant.leaseRef, [entry]);
      else known.push(entry);
    }
  }
  return new Map([...byRef].map(([leaseRef, grants]) => [leaseRef, leaseOf(leaseRef, grants, askedMs)]));
}

function leaseOf(leaseRef: string, grants: Granted[], askedMs: ReadonlyMap<string, Ms>): Lease {
  grants.sort((one, other) => one.answeredMs - other.answeredMs);
  const first = grants.find(({ grant }) => !grant.replayed) ?? grants[0]!;
  return {
    leaseRef,
    token: first.grant.token,
    mode: first.mode,
    resources: first.grant.resources,
    calledMs: Math.min(...grants.map((granted) => begunMs(granted, askedMs))),
    answeredMs: grants[0]!.answeredMs,
    grants,
  };
}

/**
 * Any call of the request may have made the lease, also one without an answer. What `replayed` says is not relied on:
 * of two copies of one message either answer may be the one that arrives.
 */
function begunMs(granted: Granted, askedMs: ReadonlyMap<string, Ms>): Ms {
  const request = requestOf(granted);
  return request === undefined ? granted.calledMs : (askedMs.get(request) ?? granted.calledMs);
}
