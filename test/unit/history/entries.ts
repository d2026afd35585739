/** Entries of a history in few words, for histories written by hand. */
import type {
  Asked,
  Fault,
  Forced,
  Grant,
  Healed,
  Held,
  Released,
  Renewed,
  Rest,
  Wrote,
} from '../../harness/history/history.ts';

type Some<T> = Partial<Omit<T, 'kind'>>;

/** `c1` asks for `r` from 0 to 10 and is busy, unless said otherwise. */
export function asked(more: Some<Asked> = {}): Asked {
  const client = more.client ?? 'c1';
  return {
    kind: 'acquire',
    client,
    owner: client,
    resources: ['r'],
    mode: 'exclusive',
    any: 0,
    priority: 0,
    requestId: '',
    waits: false,
    calledMs: 0,
    answeredMs: 10,
    outcome: 'busy',
    ...more,
  };
}

/** A grant of what was asked for: lease `leaseRef` with `token`, called and answered then. */
export function granted(
  leaseRef: string,
  token: number,
  calledMs: number,
  answeredMs: number,
  more: Some<Asked> & { readonly replayed?: boolean } = {},
): Asked {
  const { replayed = false, ...rest } = more;
  const grant: Grant = { leaseRef, token: BigInt(token), resources: more.resources ?? ['r'], replayed };
  return asked({ client: `of-${leaseRef}`, calledMs, answeredMs, outcome: 'granted', grant, ...rest });
}

/** A call without an answer. */
export function unknown(calledMs: number, more: Some<Asked> = {}): Asked {
  const { answeredMs: _, ...ask } = asked({ outcome: 'unknown', ...more, calledMs });
  return more.answeredMs === undefined ? ask : { ...ask, answeredMs: more.answeredMs };
}

export function held(
  leaseRef: string,
  token: number,
  fromMs: number,
  untilMs: number,
  more: Some<Held> = {},
): Held {
  return {
    kind: 'held',
    client: `of-${leaseRef}`,
    owner: `of-${leaseRef}`,
    leaseRef,
    token: BigInt(token),
    resources: ['r'],
    mode: 'exclusive',
    fromMs,
    untilMs,
    end: 'released',
    ...more,
  };
}

export function renewed(
  leaseRef: string,
  calledMs: number,
  answeredMs: number,
  more: Some<Renewed> = {},
): Renewed {
  return {
    kind: 'renew',
    client: `of-${leaseRef}`,
    leaseRef,
    calledMs,
    answeredMs,
    outcome: 'renewed',
    ...more,
  };
}

export function released(
  leaseRef: string,
  calledMs: number,
  answeredMs: number,
  more: Some<Released> = {},
): Released {
  return {
    kind: 'release',
    client: `of-${leaseRef}`,
    leaseRef,
    calledMs,
    answeredMs,
    outcome: 'released',
    ...more,
  };
}

export function forced(calledMs: number, leaseRefs: readonly string[], more: Some<Forced> = {}): Forced {
  return { kind: 'force', resource: 'r', calledMs, leaseRefs, ...more };
}

/** `saw` and `wrote` of the fenced register. */
export function wrote(token: number, saw: string, value: string, more: Some<Wrote> = {}): Wrote {
  const calledMs = more.calledMs ?? token * 100;
  return {
    kind: 'write',
    client: `c${token}`,
    resource: 'r',
    register: 'fenced',
    token: BigInt(token),
    read: saw,
    wrote: value,
    calledMs,
    answeredMs: calledMs + 10,
    outcome: 'written',
    ...more,
  };
}

export function fault(atMs: number, more: Some<Fault> = {}): Fault {
  return { kind: 'fault', name: 'crash', where: 'node 1', atMs, ...more };
}

export function healed(atMs: number, aliveByMs: number): Healed {
  return { kind: 'healed', atMs, aliveByMs };
}

export function rest(atMs: number, more: Some<Rest> = {}): Rest {
  return { kind: 'rest', resource: 'r', atMs, leaseRefs: [], waiters: [], ...more };
}
