/**
 * What admission asks of a node outside the vote: who it is, what its meta says, and the steps of a quarantine.
 *
 * The META is `{schema, nodeId, cluster, runId, durable, longestTtlMs, floor, suspectUntil}`; the QUARANTINE is
 * `{id, runId, cluster, why, adopted, longestTtlMs}`. Every operation is one atomic script and compares the process run id that the
 * caller saw on this very connection.
 */
import type { Token } from '../domain/token.ts';
import type { ClosedWhy } from './node.ts';

export interface Meta {
  readonly schema: number;
  readonly nodeId: string;
  readonly cluster: string;
  readonly runId: string;
  /** The run that wrote this meta flushed every write (`appendfsync always`) before it answered. */
  readonly durable: boolean;
  readonly longestTtlMs: number;
  /** The highest token of any fence ever dropped; binds only resources without a fence. */
  readonly floor: Token;
  /** Microseconds of the node's clock; 0 when nobody suspects it. */
  readonly suspectUntil: number;
}

export interface Quarantine {
  readonly id: string;
  readonly runId: string;
  /** Whose quarantine it is: replicas of another node list leave it alone. */
  readonly cluster: string;
  readonly why: string;
  /** Fences were brought by `config adopt`: no takeover from peers is owed. */
  readonly adopted: boolean;
  /** The longest ttl of the leases that this node may have forgotten. */
  readonly longestTtlMs: number;
}

/** A fence as it travels between nodes at a takeover. */
export interface FenceEntry {
  readonly resource: string;
  readonly token: Token;
  readonly state: 'open' | ClosedWhy;
  readonly opener: string;
}

/** What `create` writes; floor and suspicion are the node's own. */
export type NewMeta = Omit<Meta, 'floor' | 'suspectUntil'>;

export type AdminOp =
  /** Reads meta and quarantine. */
  | { readonly kind: 'read' }
  /** Puts a quarantine unless one of this run id stands, or a meta of this run id does. Answers what stands. */
  | {
      readonly kind: 'quarantine';
      readonly runId: string;
      readonly id: string;
      readonly cluster: string;
      readonly why: string;
      readonly longestTtlMs: number;
    }
  /** Ends the quarantine: writes meta iff the quarantine is still (runId, quarantineId). Keeps a higher own floor. */
  | { readonly kind: 'create'; readonly quarantineId: string; readonly meta: NewMeta }
  /** Moves a durable meta of `previousRunId` to this run: its last run lost nothing. */
  | {
      readonly kind: 'inherit';
      readonly previousRunId: string;
      readonly runId: string;
      readonly durable: boolean;
    }
  /** Records whether this run flushes every write. */
  | { readonly kind: 'durable'; readonly runId: string; readonly durable: boolean }
  /** Suspects the node's clock until now + its longest ttl. */
  | { readonly kind: 'suspect'; readonly runId: string }
  /** Pages through the fences in name order; also the floor. Needs a meta, or an adopted quarantine, of `runId`. */
  | { readonly kind: 'fences'; readonly runId: string; readonly after: string; readonly limit: number }
  /** Raises fences and the floor, under the given quarantine. The higher token wins; of equal ones only the same
   * opener keeps it open: two openers make `undone`, open against closed makes closed. */
  | {
      readonly kind: 'takeover';
      readonly runId: string;
      readonly quarantineId: string;
      readonly entries: readonly FenceEntry[];
      readonly floor: Token;
    }
  /** `config adopt`, old list: no proposer of the old cluster may use this node again; fences stay readable.
   * Done, too, where the node was adopted already: the adoption may be tried again. */
  | {
      readonly kind: 'retire';
      readonly runId: string;
      readonly oldCluster: string;
      readonly newCluster: string;
    }
  /** `config adopt`, new list: replaces whatever meta there is by a quarantine that owes no takeover. */
  | {
      readonly kind: 'adopt';
      readonly runId: string;
      readonly id: string;
      readonly cluster: string;
      readonly why: string;
      readonly longestTtlMs: number;
    };

export type AdminAnswer =
  | { readonly kind: 'state'; readonly meta?: Meta; readonly quarantine?: Quarantine }
  | { readonly kind: 'done' }
  /** The comparison failed: somebody else was first, or the node restarted. */
  | { readonly kind: 'lost'; readonly detail: string }
  | {
      readonly kind: 'fences';
      readonly entries: readonly FenceEntry[];
      readonly next: string;
      readonly floor: Token;
    }
  | { readonly kind: 'failed'; readonly detail: string };

/** What to tell an operator of an answer that was not the one hoped for. */
export function detailOf(answer: AdminAnswer): string {
  return 'detail' in answer ? answer.detail : `unexpected answer ${answer.kind}`;
}

/** What the process behind a connection says of itself (INFO, CONFIG). */
export interface NodeFacts {
  readonly runId: string;
  readonly role: string;
  readonly clusterEnabled: boolean;
  readonly maxmemoryPolicy: string;
  readonly durable: boolean;
  readonly version: string;
}
