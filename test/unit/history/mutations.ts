/** Ways to put a right history wrong, each so that the rule it breaks is certain. */
import type { Asked, Entry, Held, Ms, Rule, Wrote } from '../../harness/history/history.ts';
import { type Granted, isGranted } from '../../harness/history/leases.ts';
import { rest } from './entries.ts';
import { JITTER_MS } from './sound.ts';

export interface Mutation {
  readonly name: string;
  readonly rule: Rule;
  /** Undefined: the history has nothing that could be put wrong so. `at` chooses which of several. */
  put(history: readonly Entry[], at: number): Entry[] | undefined;
}

function changed<T extends Entry>(history: readonly Entry[], old: T, to: T): Entry[] {
  return history.map((entry) => (entry === old ? to : entry));
}

const isHeld = (entry: Entry): entry is Held => entry.kind === 'held';
const isExclusive = (entry: { readonly mode: Asked['mode'] }): boolean => entry.mode === 'exclusive';
const meets = (one: readonly string[], other: readonly string[]): boolean =>
  one.some((name) => other.includes(name));

/** Grants of one resource of which the first was answered before the second was asked for. */
function inTurn(history: readonly Entry[]): [Granted, Granted][] {
  const grants = history
    .filter(isGranted)
    .filter(({ grant, requestId }) => !grant.replayed && requestId === '');
  return grants.flatMap((first) =>
    grants.flatMap((second): [Granted, Granted][] =>
      first.answeredMs < second.calledMs && meets(first.resources, second.resources) ? [[first, second]] : [],
    ),
  );
}

function withToken(history: readonly Entry[], tokens: ReadonlyMap<string, bigint>): Entry[] {
  return history.map((entry) => {
    if (entry.kind === 'acquire' && entry.grant !== undefined) {
      const token = tokens.get(entry.grant.leaseRef);
      return token === undefined ? entry : { ...entry, grant: { ...entry.grant, token } };
    }
    const token = isHeld(entry) ? tokens.get(entry.leaseRef) : undefined;
    return token === undefined || !isHeld(entry) ? entry : { ...entry, token };
  });
}

function pick<T>(all: readonly T[], at: number): T | undefined {
  return all[at % Math.max(1, all.length)];
}

const swapped: Mutation = {
  name: 'the tokens of two grants are swapped',
  rule: 'token',
  put(history, at) {
    const [first, second] = pick(inTurn(history), at) ?? [];
    if (first === undefined || second === undefined) return undefined;
    return withToken(
      history,
      new Map([
        [first.grant.leaseRef, second.grant.token],
        [second.grant.leaseRef, first.grant.token],
      ]),
    );
  },
};

const same: Mutation = {
  name: 'two grants share a token',
  rule: 'token',
  put(history, at) {
    const [first, second] = pick(inTurn(history), at) ?? [];
    if (first === undefined || second === undefined) return undefined;
    return withToken(history, new Map([[second.grant.leaseRef, first.grant.token]]));
  },
};

const stretched: Mutation = {
  name: 'a holder goes on into the next lease',
  rule: 'overlap',
  put(history, at) {
    const forced = new Set(history.flatMap((entry) => (entry.kind === 'force' ? entry.leaseRefs : [])));
    const all = history.filter(isHeld).filter(({ leaseRef }) => !forced.has(leaseRef));
    const pairs = all.flatMap((first) =>
      all
        .filter(
          (second) =>
            second.leaseRef !== first.leaseRef &&
            second.fromMs >= first.untilMs &&
            (isExclusive(first) || isExclusive(second)) &&
            meets(first.resources, second.resources),
        )
        .map((second) => [first, second] as const),
    );
    const [first, second] = pick(pairs, at) ?? [];
    if (first === undefined || second === undefined) return undefined;
    return changed(history, first, { ...first, untilMs: second.fromMs + 1 });
  },
};

const twoLeases: Mutation = {
  name: 'a repeat is granted a lease of its own',
  rule: 'twice',
  put(history, at) {
    const repeats = history.filter(
      (entry): entry is Asked =>
        entry.kind === 'acquire' && (entry.reason === 'LEASE_LOST' || entry.grant?.replayed === true),
    );
    const known = new Set(
      history
        .filter(isGranted)
        .filter(({ grant }) => !grant.replayed)
        .map(({ requestId }) => requestId),
    );
    const repeat = pick(
      repeats.filter(({ requestId }) => known.has(requestId)),
      at,
    );
    if (repeat === undefined) return undefined;
    const { reason: _, ...rest } = repeat;
    const grant = { leaseRef: 'again', token: 10_000n, resources: repeat.resources, replayed: false };
    return history.map((entry) => (entry === repeat ? { ...rest, outcome: 'granted', grant } : entry));
  },
};

const oneLease: Mutation = {
  name: 'two callers are given one lease',
  rule: 'twice',
  put(history, at) {
    const [first, second] = pick(inTurn(history), at) ?? [];
    if (first === undefined || second === undefined) return undefined;
    return changed(history, second, {
      ...second,
      grant: { ...first.grant, resources: second.grant.resources },
    });
  },
};

const risen: Mutation = {
  name: 'a lease that is over is renewed',
  rule: 'unexplained',
  put(history, at) {
    const over = new Map<string, Ms>();
    for (const entry of history) {
      if (entry.kind === 'release' && entry.outcome === 'released')
        over.set(entry.leaseRef, entry.answeredMs!);
    }
    const lost = history.filter(
      (entry) =>
        entry.kind === 'renew' &&
        entry.outcome === 'lost' &&
        entry.calledMs > (over.get(entry.leaseRef) ?? entry.calledMs),
    );
    const one = pick(lost, at);
    return one?.kind === 'renew' ? changed(history, one, { ...one, outcome: 'renewed' }) : undefined;
  },
};

const twiceReleased: Mutation = {
  name: 'a lease that was released is released once more',
  rule: 'unexplained',
  put(history, at) {
    const known = new Set(history.filter(isGranted).map(({ grant }) => grant.leaseRef));
    const one = pick(
      history.filter(
        (entry) => entry.kind === 'release' && entry.outcome === 'released' && known.has(entry.leaseRef),
      ),
      at,
    );
    if (one?.kind !== 'release') return undefined;
    const afterMs = one.answeredMs! + JITTER_MS;
    return [...history, { ...one, calledMs: afterMs, answeredMs: afterMs + 1 }];
  },
};

const jumped: Mutation = {
  name: 'somebody who was served before a waiter came after it',
  rule: 'order',
  put(history, at) {
    const slackMs = 3 * JITTER_MS;
    const repeated = new Map<string, number>();
    for (const entry of history) {
      if (entry.kind === 'acquire') repeated.set(entry.requestId, (repeated.get(entry.requestId) ?? 0) + 1);
    }
    const lone = ({ requestId }: Asked): boolean => requestId === '' || repeated.get(requestId) === 1;
    const asks = history.filter((entry): entry is Asked => entry.kind === 'acquire' && lone(entry));
    const grants = asks.filter(isGranted);
    const sites = asks.flatMap((waiter) =>
      grants
        .filter(
          (granted) =>
            waiter.queuedMs !== undefined &&
            granted.answeredMs > waiter.queuedMs + slackMs + 1 &&
            granted.answeredMs < waiter.answeredMs! - slackMs &&
            granted.priority <= waiter.priority &&
            (isExclusive(granted) || isExclusive(waiter)) &&
            granted.grant.resources.includes(waiter.resources[0]!),
        )
        .map((granted) => ({ granted, calledMs: waiter.queuedMs! + slackMs + 1 })),
    );
    const site = pick(sites, at);
    return site && changed(history, site.granted, { ...site.granted, calledMs: site.calledMs });
  },
};

const admitted: Mutation = {
  name: 'the register takes an update that was too late',
  rule: 'fenced-lost',
  put(history, at) {
    const writes = history.filter(
      (entry): entry is Wrote => entry.kind === 'write' && entry.register === 'fenced',
    );
    const late = writes.filter(
      (one) =>
        one.outcome === 'stale' &&
        writes.some(
          (other) =>
            other.outcome === 'written' &&
            other.resource === one.resource &&
            other.read === one.read &&
            other.token !== one.token,
        ),
    );
    const one = pick(late, at);
    return one && changed(history, one, { ...one, outcome: 'written' });
  },
};

const starved: Mutation = {
  name: 'a resource is not granted any more',
  rule: 'stuck',
  put(history, at) {
    const heal = history.find((entry) => entry.kind === 'healed')!;
    const last = pick(
      history.filter(isGranted).filter(({ calledMs }) => calledMs > heal.atMs),
      at,
    )!;
    const { grant, ...ask } = last;
    return history.flatMap((entry): Entry[] => {
      if (entry === last) return [{ ...ask, outcome: 'busy' }];
      return isHeld(entry) && entry.leaseRef === grant.leaseRef ? [] : [entry];
    });
  },
};

const leftBehind: Mutation = {
  name: 'a node keeps what nobody has',
  rule: 'orphan',
  put: (history, at) => [
    ...history,
    rest(100_000, at % 2 === 0 ? { waiters: ['w'] } : { leaseRefs: ['L1'] }),
  ],
};

export const mutations: readonly Mutation[] = [
  swapped,
  same,
  stretched,
  twoLeases,
  oneLease,
  risen,
  twiceReleased,
  jumped,
  admitted,
  starved,
  leftBehind,
];
