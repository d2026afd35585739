/** What the path announces: void, synchronous calls that can neither throw nor wait; `control` listens. */

/** How an operation ended, for counters and latencies. Never carries a lock's name: names are unbounded. */
export type Outcome = 'granted' | 'busy' | 'renewed' | 'released' | 'gone' | 'forced' | 'read' | 'refused';

/** One vote as a trace shows it: it goes on after the decision until every node has answered or fallen silent. */
export interface VoteTrace {
  answered(node: string, answer: string): void;
  decided(carried: boolean): void;
  complete(): void;
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
  notice: nothing,
};
