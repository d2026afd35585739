/** What locks see of the nodes: the majority's vote, undos that arrive, tokens, and time. */
import type { Probe } from '../domain/probe.ts';
import type { LockNode } from '../nodes/node.ts';
import type { Clock } from '../std/clock.ts';
import { majorityOf } from './ballot.ts';
import { Majority } from './redlock.ts';
import { TicketClock } from './ticket-clock.ts';
import { TokenClock } from './token-clock.ts';
import { Undo } from './undo.ts';
import { Wakeups } from './wakeups.ts';

export interface QuorumOptions {
  readonly nodes: readonly LockNode[];
  readonly clock: Clock;
  readonly probe: Probe;
  readonly longestTtlMs: number;
  /** When a caller may try again after too few nodes answered. */
  readonly retryAfterMs: number;
  /** Whether a majority of nodes has been ready yet; absent: it has. */
  readonly mayPropose?: () => boolean;
  /** Names this replica to the nodes: no other may have the same name. */
  readonly replica: string;
}

export interface Quorum {
  readonly size: number;
  readonly majority: number;
  readonly votes: Majority;
  readonly undo: Undo;
  readonly tokens: TokenClock;
  readonly tickets: TicketClock;
  readonly wakeups: Wakeups;
  readonly clock: Clock;
  /** Nodes end whatever is held at the latest after this time. */
  readonly longestTtlMs: number;
  readonly retryAfterMs: number;
  readonly nodeIds: readonly string[];
  mayPropose(): boolean;
}

export function makeQuorum(options: QuorumOptions): Quorum {
  const { nodes, clock, probe, longestTtlMs, retryAfterMs } = options;
  return {
    size: nodes.length,
    majority: majorityOf(nodes.length),
    votes: new Majority(nodes, probe),
    // Twice: the vote that an undo chases may itself have been on its way for one ttl.
    undo: new Undo(nodes, clock, probe, 2 * longestTtlMs),
    tokens: new TokenClock(clock),
    tickets: new TicketClock(nodes, clock),
    wakeups: new Wakeups(nodes, options.replica),
    clock,
    longestTtlMs,
    retryAfterMs,
    nodeIds: nodes.map(({ id }) => id),
    mayPropose: options.mayPropose ?? (() => true),
  };
}
