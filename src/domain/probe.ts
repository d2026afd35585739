/** What the path announces: void, synchronous calls that can neither throw nor wait; `control` listens. */

import type { Token } from './token.ts';

/** How an operation ended, for counters and latencies. Never carries a lock's name: names are unbounded. */
export type Outcome = 'granted' | 'busy' | 'renewed' | 'released' | 'gone' | 'forced' | 'read' | 'refused';

/** One vote as a trace shows it: it goes on after the decision until every node has answered or fallen silent. */
export interface VoteTrace {
  answered(node: string, answer: string): void;
  decided(carried: boolean): void;
  complete(): void;
}

/** A lease in an announcement; `leaseRef` may be made when it is read, which is off the path. */
export interface Named {
  readonly leaseRef: string;
  readonly token: Token;
}

/** Something that happened to locks here, with names and people: for history and alerts, never for a metric's label. */
export interface Happening {
  readonly type: 'queued' | 'granted' | 'released' | 'expired' | 'lost' | 'forced';
  /** Wall clock, milliseconds since the Unix epoch. */
  readonly timeMs: number;
  /** As the nodes know them: with their tenant. */
  readonly resources: readonly string[];
  readonly owner: string;
  /** Undefined for `queued`. */
  readonly lease: Named | undefined;
  /** Of a release, a force-release or a loss; else empty. */
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
  /** How many callers wait in line at this replica. */
  waiters(count: number): void;
  /** A lease was granted after so long in line; 0 when it was had at once. */
  waited(ms: number): void;
  /** How many leases streams keep at this replica. */
  kept(count: number): void;
  /** A stream's lease is over, or the stream is: it was kept for so long. */
  held(ms: number): void;
  /** A batch of operations left for a node. */
  batch(node: string, operations: number): void;
  /** A node changed its state. */
  nodeState(node: string, state: string, detail: string): void;
  /** Undos that `node` still owes a confirmation for. */
  undosOwed(node: string, count: number): void;
  /** Someone tried to renew or free what it does not hold. */
  ownershipViolation(op: string): void;
  /** Taken as it is and read later: neither may change afterwards. */
  happened(happening: Happening): void;
  acted(act: Act): void;
  /** Something an operator should read; key figures only, never a lease id. */
  notice(level: 'info' | 'warn' | 'error', message: string, facts?: Record<string, unknown>): void;
}

const nothing = (): void => {};

export const silentProbe: Probe = {
  operation: nothing,
  vote: nothing,
  waiters: nothing,
  waited: nothing,
  kept: nothing,
  held: nothing,
  batch: nothing,
  nodeState: nothing,
  undosOwed: nothing,
  ownershipViolation: nothing,
  happened: nothing,
  acted: nothing,
  notice: nothing,
};
