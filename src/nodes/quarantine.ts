/**
 * Decides what admission does with a node next, from what the node says of itself. Pure.
 *
 *            +--------- facts or meta unfit ---------> REFUSE (asked again now and then)
 *   contact -+- meta of this run --------------------> READY
 *            +- durable meta of the previous run,
 *            |  and durable now -------------------> INHERIT, then READY
 *            +- anything else: it may have forgotten -> QUARANTINE -> WAIT W -> TAKEOVER -> CREATE, then READY
 *
 * W is the longest ttl that anybody may have been promised, stretched by the drift: after it no lease that the
 * node has forgotten can be alive. Only after W are the fences taken over, from as many other ready nodes as make
 * sure that every granted token is known to one of them (N - majority + 1). Where these cannot be had for one
 * more W, the clocks stand in for the fences: every proposer's token is then later than any granted before W.
 * docs/decisions/0006-amnesia.md
 */
import { driftRate, tokenLeadMicros } from '../domain/limits.ts';
import type { Random } from '../std/random.ts';
import type { Meta, NodeFacts, Quarantine } from './admin.ts';
import { SCHEMA } from './node.ts';

export interface Identity {
  readonly nodeId: string;
  readonly cluster: string;
  readonly longestTtlMs: number;
}

export interface Sight {
  readonly facts: NodeFacts;
  readonly meta?: Meta;
  readonly quarantine?: Quarantine;
  /** How long this replica has seen the quarantine of this id, on its own monotonic clock. */
  readonly quarantinedForMs: number;
  /** Other nodes that are ready now. */
  readonly readyPeers: number;
  /** N - majority + 1. */
  readonly peersNeeded: number;
  readonly clockSkewMs: number;
}

export type Step =
  | { readonly kind: 'refuse'; readonly detail: string }
  | { readonly kind: 'ready' }
  | { readonly kind: 'inherit'; readonly previousRunId: string }
  | { readonly kind: 'quarantine'; readonly why: string }
  | { readonly kind: 'wait'; readonly leftMs: number; readonly detail: string }
  /** Take the fences over from `peers` ready nodes (all that are ready when clocks stand in), then create the meta. */
  | { readonly kind: 'rejoin'; readonly floor: 'fences' | 'clocks' | 'adopted' };

/** Nobody else's: whoever finds it on a node knows which quarantine stands there. */
export function newQuarantineId(random: Random): string {
  return random.bytes(12).toString('base64url');
}

/** W of the description above. */
export function quarantineMs(longestTtlMs: number): number {
  return longestTtlMs * (1 + driftRate);
}

export function decide(identity: Identity, sight: Sight): Step {
  const unfit =
    factsFault(sight.facts) ?? (sight.meta === undefined ? undefined : metaFault(identity, sight.meta));
  if (unfit !== undefined) return { kind: 'refuse', detail: unfit };
  const { meta, facts } = sight;
  if (meta?.runId === facts.runId) return { kind: 'ready' };
  // A run that keeps no such file has not read one: what it bears came from somewhere older.
  if (meta?.durable === true && facts.durable) return { kind: 'inherit', previousRunId: meta.runId };
  if (sight.quarantine?.runId !== facts.runId) {
    const why =
      meta === undefined ? 'no meta: empty, new or flushed' : 'restarted without appendfsync always';
    return { kind: 'quarantine', why };
  }
  // Else a replica of an old node list would end the quarantine of an adoption for its own cluster.
  if (sight.quarantine.cluster !== identity.cluster) {
    return {
      kind: 'refuse',
      detail: `is in quarantine for cluster ${sight.quarantine.cluster}; see config adopt`,
    };
  }
  return decideQuarantined(identity, sight, sight.quarantine);
}

function decideQuarantined(identity: Identity, sight: Sight, quarantine: Quarantine): Step {
  const longest = Math.max(identity.longestTtlMs, quarantine.longestTtlMs, sight.meta?.longestTtlMs ?? 0);
  const waitMs = quarantineMs(longest);
  const elapsed = sight.quarantinedForMs;
  // `<=`: a lease granted in the very moment of the loss may live to the last of these milliseconds.
  if (elapsed <= waitMs) return { kind: 'wait', leftMs: waitMs - elapsed, detail: quarantine.why };
  if (quarantine.adopted) return { kind: 'rejoin', floor: 'adopted' };
  if (sight.readyPeers >= sight.peersNeeded) return { kind: 'rejoin', floor: 'fences' };
  const clocksMs = 2 * waitMs + 2 * sight.clockSkewMs + tokenLeadMicros / 1000;
  if (elapsed > clocksMs) return { kind: 'rejoin', floor: 'clocks' };
  const detail = `${quarantine.why}; ${sight.readyPeers} of ${sight.peersNeeded} peers ready to take fences from`;
  return { kind: 'wait', leftMs: clocksMs - elapsed, detail };
}

/** Why a process cannot be an independent voter, whatever its meta says. */
export function factsFault(facts: NodeFacts): string | undefined {
  if (facts.role !== 'master')
    return `is a ${facts.role}, not a primary: a replica may lose what it acknowledged`;
  if (facts.clusterEnabled) return 'is a Redis Cluster member: lock nodes must be independent';
  if (facts.maxmemoryPolicy !== 'noeviction') {
    return `maxmemory-policy is ${facts.maxmemoryPolicy}: it may evict a lock; set noeviction`;
  }
  return undefined;
}

/** Why the node belongs to somebody else, or to another release or setting. */
export function metaFault(identity: Identity, meta: Meta): string | undefined {
  if (meta.schema > SCHEMA)
    return `schema ${meta.schema} was written by a newer release; this one knows ${SCHEMA}`;
  if (meta.schema < SCHEMA)
    return `schema ${meta.schema} is older than ${SCHEMA}; see docs/versioning.md, "Schema"`;
  if (meta.cluster !== identity.cluster) {
    return `belongs to cluster ${meta.cluster}, not ${identity.cluster}: another node list or namespace; see config adopt`;
  }
  if (meta.nodeId !== identity.nodeId) return `is node ${meta.nodeId}, listed here as ${identity.nodeId}`;
  if (meta.longestTtlMs !== identity.longestTtlMs) {
    return `longest ttl is ${meta.longestTtlMs} ms, HOLDFAST_MAX_TTL here is ${identity.longestTtlMs} ms; see config adopt`;
  }
  return undefined;
}
