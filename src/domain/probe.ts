/** What the path announces: void, synchronous calls that can neither throw nor wait; `control` listens. */

import type { Token } from './token.ts';

/** How an operation ended, for counters and latencies. Never carries a lock's name: names are unbounded. */
export type Outcome = 'granted' | 'busy' | 'renewed' | 'released' | 'gone' | 'forced' | 'read' | 'refused';

/** One vote as a trace shows it: what the nodes had answered when it was decided. */
export interface VoteTrace {
  answered(node: string, answer: string): void;
  /** Answers that come later are not shown. */
  decided(carried: boolean): void;
}

/**
 * Spans of calls that take, keep and return locks, as the locks need them. Traces are named as in W3C's `traceparent`,
 * so that they can be stored with a lock.
 */
export interface CallTraces {
  /** The span of the call that is running; undefined unless it is recorded. */
  current(): string | undefined;
  /** The call that is running had to wait, or was refused, for those who were granted the lock in these spans. */
  waitedFor(grants: Iterable<string>): void;
  /** Runs the release of what was granted in that span: in the span of its call, or in one of its own. */
  release<T>(grant: string, act: () => Promise<T>): Promise<T>;
}

/** A lease in an announcement; `leaseRef` may be made when it is read, which is off the path. */
export interface Named {
  readonly leaseRef: string;
  readonly token: Token;
}

/** Something that happened to locks here, with names and people: for history and alerts, never for a metric's label. */
export interface Happening {
  readonly type:
    | 'queued'
    | 'granted'
    | 'released'
    | 'expired'
    | 'lost'
    | 'forced'
    /** Of no lock: no majority of nodes votes any more, or one does again. */
    | 'quorum_lost'
    | 'quorum_regained';
  /** Wall clock, milliseconds since the Unix epoch. */
  readonly timeMs: number;
  /** As the nodes know them: with their tenant. */
  readonly resources: readonly string[];
  /** Empty where this replica does not know it: a lease id does not say whose it is. */
  readonly owner: string;
  /** Undefined for `queued`. */
  readonly lease: Named | undefined;
  /** Why, in the words of who released it or ended it by force; of a loss `expired`, `forced` or `unknown`; else empty. */
  readonly reason: string;
}

/** What a caller did, or was not let do: for the audit log. */
export interface Act {
  readonly timeMs: number;
  /** `acquire`, `release`, `force_release`, `reload`, `authenticate`... */
  readonly action: string;
  /** Empty where callers are not authenticated, or this one was not known. */
  readonly identity: string;
  readonly tenant: string;
  /** `host:port`; empty for a unix socket. */
  readonly peer: string;
  /** As the caller named them. */
  readonly resources: readonly string[];
  readonly owner: string;
  /** Public: never the id. Empty where there is none. */
  readonly leaseRef: string;
  /** Why, in the caller's words. */
  readonly why: string;
  /** `granted`, `released`..., or the reason of a refusal: `DENIED`, `NO_QUORUM`... */
  readonly outcome: string;
  /** For people. */
  readonly detail: string;
  /** Empty unless the call is sampled. */
  readonly traceId: string;
}

export interface Probe {
  /** One lock operation ended; `reason` is a refusal's. */
  operation(name: string, outcome: Outcome, tookMs: number, reason?: string): void;
  /** One node answered one vote: the answer's kind (`held`, `conflict`), or why it was silent (`timeout`). */
  vote(op: string, node: string, answer: string): void;
  /** Present only while tracing is on; undefined for a call that is not sampled. */
  readonly traceVote?: (op: string) => VoteTrace | undefined;
  /** Present only while tracing is on. */
  readonly traces?: CallTraces;
  /** How many callers wait in line at this replica. */
  waiters(count: number): void;
  /** A lease was granted after so long in line; 0 when it was had at once. Of several resources the first is named. */
  waited(ms: number, resource: string): void;
  /** It went to somebody who waited; so long after the release, where that went through this replica, too. */
  handedOver(resource: string, gapMs: number | undefined): void;
  /** How many leases streams keep at this replica. */
  kept(count: number): void;
  /** A batch of operations left for a node. */
  batch(node: string, operations: number): void;
  /** A node has answered a script after so long. */
  roundTrip(node: string, tookMs: number): void;
  /** A node changed its state. */
  nodeState(node: string, state: string, detail: string): void;
  /** Undos that `node` still owes a confirmation for. */
  undosOwed(node: string, count: number): void;
  /** Someone tried to renew or free what it does not hold. */
  ownershipViolation(op: string): void;
  /** Somebody asked whether a token is current that is not any more. */
  staleToken(where: 'check_token'): void;
  /** Taken as it is and read later: neither may change afterwards. */
  happened(happening: Happening): void;
  /** Present only while somebody keeps acts: where nobody does, none is made. */
  readonly audited?: true;
  acted(act: Act): void;
  /** A caller was refused by a rule. */
  denied(verb: string): void;
  /** A caller was refused by a quota. */
  overQuota(quota: string): void;
  /** Something an operator should read; key figures only, never a lease id. */
  notice(level: 'info' | 'warn' | 'error', message: string, facts?: Record<string, unknown>): void;
}

const nothing = (): void => {};

export const silentProbe: Probe = {
  operation: nothing,
  vote: nothing,
  waiters: nothing,
  waited: nothing,
  handedOver: nothing,
  kept: nothing,
  batch: nothing,
  roundTrip: nothing,
  nodeState: nothing,
  undosOwed: nothing,
  ownershipViolation: nothing,
  staleToken: nothing,
  happened: nothing,
  acted: nothing,
  denied: nothing,
  overQuota: nothing,
  notice: nothing,
};
