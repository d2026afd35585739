/** A lock node as its cluster tends it: who the process behind it is, what its meta says, and whether it may vote. */
import type { AdminAnswer, AdminOp, NodeFacts } from './admin.ts';
import type { LockNode, Stamp } from './node.ts';

export interface MemberNode extends LockNode {
  /** The connection came up and its process said who it is. */
  onReady: (facts: NodeFacts) => void;
  onLost: (detail: string) => void;
  /** The node's clock jumped by so many milliseconds. */
  onClockJump: (ms: number) => void;
  /** How long its answers take, smoothed; 0 before the first. */
  readonly latencyMs: number;
  /** Node time less our wall clock, by the last reading. */
  readonly clockOffsetMs: number;
  /** Resolves once the process behind the connection is known, or with nothing after `withinMs`. */
  ready(withinMs?: number): Promise<NodeFacts | undefined>;
  /** Who the process is; asked anew, since its settings may change while it runs. Undefined: it did not answer. */
  facts(): Promise<NodeFacts | undefined>;
  admin(op: AdminOp): Promise<AdminAnswer>;
  /** Lets the node vote as `stamp`, or, without one, keeps it silent for the given reason. */
  admit(stamp: Stamp | undefined, detail?: string): void;
  close(): void;
}
