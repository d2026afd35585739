/** G6 in a history: a request has one lease, a lease one request, and after its release no repeat has it again. */
import type { History, Ms, Released, Violation } from './history.ts';
import { type Granted, isGranted, requestOf } from './leases.ts';

/** How long nodes remember a request at least after its lease has ended (G6). */
const REMEMBERED_MS = 600_000;

export function requests(history: History): Violation[] {
  const grants = history.filter(isGranted).sort((one, other) => one.answeredMs - other.answeredMs);
  return [...oneLease(grants), ...oneRequest(grants), ...afterRelease(history, grants)];
}

/** Two leases further apart than the nodes' memory prove nothing. */
function oneLease(grants: readonly Granted[]): Violation[] {
  const firsts = new Map<string, Granted>();
  const found: Violation[] = [];
  for (const granted of grants) {
    const request = requestOf(granted);
    if (request === undefined) continue;
    const first = firsts.get(request);
    if (first === undefined || granted.answeredMs - first.calledMs > REMEMBERED_MS) {
      firsts.set(request, granted);
    } else if (first.grant.leaseRef !== granted.grant.leaseRef) {
      found.push(
        twice(
          first,
          granted,
          `request ${granted.requestId} of ${granted.owner} was granted lease ${first.grant.leaseRef} ` +
            `(token ${first.grant.token}) and ${granted.grant.leaseRef} (token ${granted.grant.token})`,
        ),
      );
    }
  }
  return found;
}

/** A lease that two requests were given has two holders, whom rule `overlap` takes for one. */
function oneRequest(grants: readonly Granted[]): Violation[] {
  const firsts = new Map<string, Granted>();
  const found: Violation[] = [];
  for (const granted of grants) {
    const first = firsts.get(granted.grant.leaseRef);
    if (first === undefined) {
      firsts.set(granted.grant.leaseRef, granted);
      continue;
    }
    const request = requestOf(granted);
    if (request !== undefined && request === requestOf(first)) continue;
    const who = ({ owner, requestId }: Granted): string => `${owner} (request ${requestId || 'unnamed'})`;
    found.push(
      twice(
        first,
        granted,
        `lease ${granted.grant.leaseRef} was granted to ${who(first)} and to ${who(granted)}`,
      ),
    );
  }
  return found;
}

/** Certain only for a repeat that was asked for after the release was answered. */
function afterRelease(history: History, grants: readonly Granted[]): Violation[] {
  const releases = new Map<string, Released & { readonly answeredMs: Ms }>();
  for (const entry of history) {
    if (entry.kind !== 'release' || entry.outcome !== 'released') continue;
    const { answeredMs } = entry;
    if (answeredMs === undefined) continue;
    const known = releases.get(entry.leaseRef);
    if (known === undefined || answeredMs < known.answeredMs) {
      releases.set(entry.leaseRef, { ...entry, answeredMs });
    }
  }
  return grants.flatMap((granted) => {
    const release = releases.get(granted.grant.leaseRef);
    if (release === undefined || granted.calledMs <= release.answeredMs) return [];
    const { leaseRef, resources } = granted.grant;
    return [
      {
        rule: 'twice',
        resource: resources[0] ?? '',
        atMs: granted.answeredMs,
        detail:
          `request ${granted.requestId} of ${granted.owner}, asked again at ${granted.calledMs}, was given lease ` +
          `${leaseRef}, which was released by ${release.answeredMs}`,
        entries: [release, granted],
      },
    ];
  });
}

function twice(first: Granted, second: Granted, detail: string): Violation {
  const resource = second.grant.resources[0] ?? '';
  return { rule: 'twice', resource, atMs: second.answeredMs, detail, entries: [first, second] };
}
