/** G2 in a history, in real time: a grant answered before another was asked for has the smaller token, and no two share one. */
import type { Held, History, Violation } from './history.ts';
import { type Lease, leasesOf } from './leases.ts';

export function tokens(history: History): Violation[] {
  const leases = leasesOf(history);
  const byResource = Map.groupBy(
    [...leases.values()].flatMap((lease) => lease.resources.map((resource) => ({ resource, lease }))),
    ({ resource }) => resource,
  );
  return [
    ...unequal(history, leases),
    ...[...byResource].flatMap(([resource, those]) => {
      const all = those.map(({ lease }) => lease);
      return [...shared(resource, all), ...fallen(resource, all)];
    }),
  ];
}

/** Whatever tells of a lease tells the same token: its repeats, and whoever relies on it. */
function unequal(history: History, leases: ReadonlyMap<string, Lease>): Violation[] {
  const found: Violation[] = [];
  for (const { leaseRef, token, grants, resources } of leases.values()) {
    const other = grants.find(({ grant }) => grant.token !== token);
    if (other === undefined) continue;
    found.push({
      rule: 'token',
      resource: resources[0] ?? '',
      atMs: other.answeredMs,
      detail: `lease ${leaseRef} was told with token ${token} and with ${other.grant.token}`,
      entries: [grants[0]!, other],
    });
  }
  for (const entry of history) {
    if (entry.kind !== 'held') continue;
    const lease = leases.get(entry.leaseRef);
    if (lease !== undefined && lease.token !== entry.token) found.push(heldOther(entry, lease));
  }
  return found;
}

function heldOther(held: Held, lease: Lease): Violation {
  return {
    rule: 'token',
    resource: held.resources[0] ?? '',
    atMs: held.fromMs,
    detail: `${held.client} holds lease ${held.leaseRef} with token ${held.token}, granted with ${lease.token}`,
    entries: [lease.grants[0]!, held],
  };
}

function shared(resource: string, leases: readonly Lease[]): Violation[] {
  const owners = new Map<bigint, Lease>();
  const found: Violation[] = [];
  for (const lease of leases) {
    const other = owners.get(lease.token);
    if (other === undefined) owners.set(lease.token, lease);
    else {
      found.push({
        rule: 'token',
        resource,
        atMs: Math.max(other.answeredMs, lease.answeredMs),
        detail: `leases ${other.leaseRef} and ${lease.leaseRef} share token ${lease.token}`,
        entries: [other.grants[0]!, lease.grants[0]!],
      });
    }
  }
  return found;
}

/** The largest token that was answered before each grant was asked for; equal ones are `shared`'s. */
function fallen(resource: string, leases: readonly Lease[]): Violation[] {
  const asked = [...leases].sort((one, other) => one.calledMs - other.calledMs);
  const answered = [...leases].sort((one, other) => one.answeredMs - other.answeredMs);
  const found: Violation[] = [];
  let largest: Lease | undefined;
  let next = 0;
  for (const lease of asked) {
    while (next < answered.length && answered[next]!.answeredMs < lease.calledMs) {
      const before = answered[next]!;
      if (largest === undefined || before.token > largest.token) largest = before;
      next += 1;
    }
    if (largest === undefined || largest.token <= lease.token) continue;
    found.push({
      rule: 'token',
      resource,
      atMs: lease.answeredMs,
      detail:
        `lease ${lease.leaseRef}, asked for at ${lease.calledMs}, has token ${lease.token}; ` +
        `${largest.leaseRef} was answered at ${largest.answeredMs} with ${largest.token}`,
      entries: [largest.grants[0]!, lease.grants[0]!],
    });
  }
  return found;
}
