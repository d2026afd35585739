/** What happened to leases, as those who asked saw it: simulated and real runs write it, the checker reads it. */

/**
 * Milliseconds of one monotonic clock that all processes of a run share; in a simulation, true time. A `calledMs` is
 * read before anything is sent, an `answeredMs` after the answer has been read: what happened lies between.
 */
export type Ms = number;

/**
 * Somebody asked for a lease. `unknown`: no answer came, or one that leaves it open (a deadline, a lost connection,
 * NO_QUORUM): it may still take effect at any later moment, and then nobody holds what it took.
 */
export interface Asked {
  readonly kind: 'acquire';
  readonly client: string;
  readonly owner: string;
  readonly resources: readonly string[];
  readonly mode: 'exclusive' | 'shared';
  /** How many of `resources` will do; 0: all of them. */
  readonly any: number;
  readonly priority: number;
  /** '' for none. Repeats of one request carry the same. */
  readonly requestId: string;
  readonly waits: boolean;
  readonly calledMs: Ms;
  readonly answeredMs?: Ms;
  readonly outcome: 'granted' | 'busy' | 'refused' | 'unknown';
  /** Of a refusal; of an `unknown` what was told, `CANCELLED` where the caller itself gave up or died. */
  readonly reason?: string;
  readonly grant?: Grant;
  /** When it was first told that it stands in line; it stood there by then, and keeps its place until it is answered. */
  readonly queuedMs?: Ms;
}

export interface Grant {
  readonly leaseRef: string;
  readonly token: bigint;
  /** What was given of what was asked for. */
  readonly resources: readonly string[];
  /** An earlier answer of the same request once more. */
  readonly replayed: boolean;
}

/**
 * A holder relied on its lease. From when it read the grant to the first of: its own count of validity ended, it was
 * told of the loss, it called release. A holder that stood still (paused, blocked) relies no longer than its count.
 */
export interface Held {
  readonly kind: 'held';
  readonly client: string;
  readonly owner: string;
  readonly leaseRef: string;
  readonly token: bigint;
  readonly resources: readonly string[];
  readonly mode: 'exclusive' | 'shared';
  readonly fromMs: Ms;
  readonly untilMs: Ms;
  readonly end: 'released' | 'expired' | 'lost' | 'open';
}

export interface Renewed {
  readonly kind: 'renew';
  readonly client: string;
  readonly leaseRef: string;
  readonly calledMs: Ms;
  readonly answeredMs?: Ms;
  readonly outcome: 'renewed' | 'lost' | 'unknown';
}

export interface Released {
  readonly kind: 'release';
  readonly client: string;
  readonly leaseRef: string;
  readonly calledMs: Ms;
  readonly answeredMs?: Ms;
  /** `gone`: it was not there any more. */
  readonly outcome: 'released' | 'gone' | 'unknown';
}

/** An operator took a lease away; of its holder's belief in it only the token protects. */
export interface Forced {
  readonly kind: 'force';
  readonly resource: string;
  readonly calledMs: Ms;
  readonly answeredMs?: Ms;
  readonly leaseRefs: readonly string[];
}

/**
 * A holder read a register and wrote it: `read` is the value it saw, `wrote` one that nobody else writes. The fenced
 * register installs the token at the read and refuses what is older; its unfenced twin takes everything.
 */
export interface Wrote {
  readonly kind: 'write';
  readonly client: string;
  readonly resource: string;
  readonly register: 'fenced' | 'twin';
  readonly token: bigint;
  readonly read: string;
  readonly wrote: string;
  readonly calledMs: Ms;
  readonly answeredMs?: Ms;
  readonly outcome: 'written' | 'stale' | 'unknown';
}

/** A fault was injected; for counting, and so that a reader sees what was going on. */
export interface Fault {
  readonly kind: 'fault';
  readonly name: string;
  readonly where: string;
  readonly atMs: Ms;
  readonly untilMs?: Ms;
}

/** All faults are over: from here on everything that is asked has to be answered, and every resource to be had. */
export interface Healed {
  readonly kind: 'healed';
  readonly atMs: Ms;
  /**
   * Until when each resource that was asked for must have been granted once more. Half of that time must be enough for
   * what the faults left (leases of the dead, nodes that do not vote yet), and all of it for the longest wait.
   */
  readonly aliveByMs: Ms;
}

/** What the nodes bear of a resource when nobody asks any more and every lease and wait has ended or must have ended. */
export interface Rest {
  readonly kind: 'rest';
  readonly resource: string;
  readonly atMs: Ms;
  /** Leases that any node still holds unexpired. */
  readonly leaseRefs: readonly string[];
  /** Ids of waiters that any node has in line. */
  readonly waiters: readonly string[];
}

export type Entry = Asked | Held | Renewed | Released | Forced | Wrote | Fault | Healed | Rest;

/** In no particular order. */
export type History = readonly Entry[];

/** The guarantees of docs/guarantees.md that a history can break, and two of the harness itself. */
export type Rule =
  /** G1: two conflicting leases both relied on at one moment (forced ones excepted). */
  | 'overlap'
  /** G2: a grant answered before another was asked for has the larger or the same token, or two grants share one. */
  | 'token'
  /** G6: one request id gave two leases, or a repeat after the release locked again. */
  | 'twice'
  /** G5: somebody who stood in line was passed by one who came later with no higher priority. */
  | 'order'
  /** G4: at rest a node holds a lease, or has a waiter, that nobody has. */
  | 'orphan'
  /** G5, G9: after the heal somebody was not served. */
  | 'stuck'
  /** The fenced register lost an update. */
  | 'fenced-lost'
  /** No order of the operations on one resource explains their answers. */
  | 'unexplained';

export interface Violation {
  readonly rule: Rule;
  readonly resource: string;
  readonly atMs: Ms;
  /** One line for people: who, which lease, which token, when. */
  readonly detail: string;
  /** The entries that show it. */
  readonly entries: readonly Entry[];
}

/** What a run did, beside what it broke. */
export interface Tally {
  readonly operations: number;
  readonly granted: number;
  readonly refused: Readonly<Record<string, number>>;
  readonly unknown: number;
  readonly faults: Readonly<Record<string, number>>;
  /** From the heal to the next grant of each resource. */
  readonly recoveryMs: readonly number[];
  /** Updates that the unfenced twin lost: without any, the faults had no teeth. */
  readonly twinLost: number;
}
