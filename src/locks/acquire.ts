/** Acquire: proposes a token, asks for a majority, and leaves nothing behind when it does not get one. */
import { hash } from 'node:crypto';
import { formatLeaseId, type Lease, leaseRefOf, leaseValue, newSecret, splitValue } from '../domain/lease.ts';
import { limits } from '../domain/limits.ts';
import { invalidField, leaseLost, noQuorum, type Refusal, refuse } from '../domain/refusals.ts';
import { NO_TOKEN, type Token } from '../domain/token.ts';
import type { Answer, HoldOp, Marker, NodeHolder, ReleaseOp } from '../nodes/node.ts';
import { answeredCount, isSilent, judge, undoTargets, type Verdict, worthWaiting } from '../quorum/ballot.ts';
import type { Ballot } from '../quorum/open-ballot.ts';
import type { Quorum } from '../quorum/quorum.ts';
import { backedMs, leftMs, Stopwatch } from '../quorum/validity.ts';
import { pause } from '../std/clock.ts';
import type { Random } from '../std/random.ts';
import { leaseOf, viewOf, writeCard } from './card.ts';
import type { AcquireAsk, Busy, Caller } from './locks.ts';
import { endOf } from './release.ts';

/** After so many split votes the nodes are asked one after the other: attempts then meet at the first node. */
const SPLITS_BEFORE_ORDER = 2;
const JITTER_MS = 16;

type Ended = Lease | Busy | Refusal;
/** Undefined: try again. */
type Next = Ended | undefined;

interface Attempt {
  readonly op: HoldOp;
  readonly watch: Stopwatch;
}

const isFor = (answer: Answer): boolean => answer.kind === 'held' || answer.kind === 'dup';

export function acquire(quorum: Quorum, random: Random, ask: AcquireAsk, caller: Caller): Promise<Ended> {
  return new Acquisition(quorum, random, ask, caller).run();
}

/** One request; its attempts share the lease's secret, and each has a token and so a value of its own. */
class Acquisition {
  readonly #quorum: Quorum;
  readonly #random: Random;
  readonly #ask: AcquireAsk;
  readonly #caller: Caller;
  readonly #secret: string;
  readonly #marker: Marker | undefined;
  #seen: Token = NO_TOKEN;
  #splits = 0;

  constructor(quorum: Quorum, random: Random, ask: AcquireAsk, caller: Caller) {
    this.#quorum = quorum;
    this.#random = random;
    this.#ask = ask;
    this.#caller = caller;
    this.#secret = newSecret(random);
    this.#marker = ask.requestId === '' ? undefined : markerOf(ask, caller.principal);
  }

  async run(): Promise<Ended> {
    const { size, retryAfterMs } = this.#quorum;
    if (!this.#quorum.mayPropose()) return noQuorum(0, size, retryAfterMs, 'no majority has been ready yet');
    let last: Verdict | undefined;
    for (let tried = 0; tried < limits.attempts; tried += 1) {
      const attempt = this.#propose();
      const ballot = await this.#quorum.votes.vote(attempt.op, isFor, this.#splits > SPLITS_BEFORE_ORDER);
      if (!ballot.carried && worthWaiting(ballot.answers)) await ballot.complete;
      // Without a request id nothing can object to a majority.
      last = ballot.carried && this.#marker === undefined ? undefined : judge(ballot.answers);
      if (ballot.carried && last === undefined && this.#stands(attempt)) return this.#grant(attempt);
      const end = await this.#settle(attempt, ballot, last);
      if (end !== undefined) return end;
      if (this.#caller.gone()) return callerGone();
    }
    const holders = last !== undefined && 'holders' in last ? last.holders : [];
    return this.#busy(holders);
  }

  #propose(): Attempt {
    const watch = new Stopwatch(this.#quorum.clock);
    const token = this.#quorum.tokens.propose(this.#seen);
    const value = leaseValue(this.#secret, token);
    const { resources, ttlMs, owner } = this.#ask;
    const op = {
      kind: 'hold',
      secret: this.#secret,
      token,
      value,
      leaseRef: leaseRefOf(value),
      resources,
      ttlMs,
      owner,
      card: writeCard(this.#ask, watch.startedWallMs, token),
      seen: this.#seen,
    } as const;
    return { op: this.#marker === undefined ? op : { ...op, marker: this.#marker }, watch };
  }

  /** Whether a grant still has somebody to go to and validity left. */
  #stands({ watch }: Attempt): boolean {
    return !this.#caller.gone() && leftMs(this.#ask.ttlMs, watch.elapsedMs()) > 0;
  }

  /** Ends an attempt that was not granted, or prepares the next one: whatever it left is undone here. */
  async #settle(attempt: Attempt, ballot: Ballot, verdict: Verdict | undefined): Promise<Next> {
    if (ballot.carried && verdict === undefined) {
      await this.#undo(attempt, ballot, verdict);
      return this.#caller.gone() ? callerGone() : this.#refuseQuorum(ballot, 'the votes came too late');
    }
    await this.#undo(attempt, ballot, verdict);
    return verdict === undefined ? undefined : this.#conclude(attempt, ballot, verdict);
  }

  async #conclude(attempt: Attempt, ballot: Ballot, verdict: Verdict): Promise<Next> {
    switch (verdict.kind) {
      case 'held':
        return this.#busy(verdict.holders);
      case 'stale':
        this.#seen = verdict.fence;
        return undefined;
      case 'ahead':
        this.#quorum.tokens.correct(verdict.nowMicros);
        return undefined;
      case 'split':
        this.#splits += 1;
        await pause(this.#quorum.clock, this.#random.fraction() * JITTER_MS * this.#splits);
        return undefined;
      case 'no-quorum':
        return this.#refuseQuorum(ballot);
      case 'unsure':
        return this.#refuseQuorum(ballot, 'an earlier attempt of this request_id has not ended yet');
      case 'mismatch':
        return invalidField('request_id', 'was used with other arguments');
      case 'ended':
        return leaseLost(verdict.why, `the lease of this request_id is gone: ${verdict.why}`);
      case 'replayed':
        return this.#replay(attempt, verdict.value, verdict.holders);
    }
  }

  #grant({ op, watch }: Attempt): Lease {
    const { ttlMs, resources, owner, mode, labels } = this.#ask;
    return {
      kind: 'lease',
      leaseId: formatLeaseId({ secret: this.#secret, token: op.token, ttlMs, resources }),
      leaseRef: op.leaseRef,
      resources,
      token: op.token,
      owner,
      mode,
      ttlMs,
      acquireTimeMs: watch.startedWallMs,
      expireTimeMs: watch.startedWallMs + leftMs(ttlMs, 0),
      labels,
      replayed: false,
    };
  }

  /** The lease that this request already has; valid for what a majority of nodes still promise. */
  #replay({ watch }: Attempt, value: string, holders: readonly NodeHolder[]): Ended {
    const backed = backedMs(
      holders.map(({ remainingMs }) => remainingMs),
      this.#quorum.majority,
    );
    if (leftMs(backed, watch.elapsedMs()) <= 0) return leaseLost('expired');
    const { ttlMs, resources } = this.#ask;
    return leaseOf(holders[0]!, {
      leaseId: formatLeaseId({ ...splitValue(value), ttlMs, resources }),
      ttlMs,
      expireTimeMs: watch.startedWallMs + leftMs(backed, 0),
      replayed: true,
    });
  }

  /**
   * The closing undo, to every node that voted for or may have. Waits for one answer from those that voted for: they
   * can be reached, and the caller may be told only when nothing of this attempt stands there.
   * Where a majority holds another lease, nodes that have not answered yet will most likely refuse as well; an undo
   * would close our token there and so shut out that lease's repair. They are left to answer first.
   */
  async #undo({ op }: Attempt, ballot: Ballot, verdict: Verdict | undefined): Promise<void> {
    const targets = undoTargets(ballot.answers);
    if (targets.length === 0) return;
    const undo = undoOf(op);
    const voted = targets.filter((index) => !isSilent(ballot.answers[index]));
    const unheard = targets.filter((index) => isSilent(ballot.answers[index]));
    if (verdict?.kind === 'held') {
      void ballot.complete.then(() => {
        const still = undoTargets(ballot.answers).filter((index) => unheard.includes(index));
        void this.#quorum.undo.send(undo, still);
      });
    } else {
      void this.#quorum.undo.send(undo, unheard);
    }
    await this.#quorum.undo.send(undo, voted);
  }

  #busy(holders: readonly NodeHolder[]): Busy {
    const nowMs = this.#quorum.clock.wallMicros() / 1000;
    return {
      kind: 'busy',
      holders: holders.map((holder) => viewOf(holder, nowMs)),
      queueLength: 0,
      position: 0,
      waitElapsed: false,
      retryAfterMs: Math.max(JITTER_MS, ...holders.map(({ remainingMs }) => remainingMs)),
    };
  }

  #refuseQuorum(ballot: Ballot, detail = ''): Refusal {
    return noQuorum(answeredCount(ballot.answers), this.#quorum.size, this.#quorum.retryAfterMs, detail);
  }
}

/**
 * Names binding 0: a repeat of the request that was answered meanwhile has raised the binding, and the lease is
 * then the repeater's. docs/decisions/0005-replay-binds.md
 */
function undoOf(op: HoldOp): ReleaseOp {
  return {
    ...endOf(op, 'undone', '', true),
    binding: 0,
    seen: op.seen,
    ...(op.marker === undefined ? {} : { markerKey: op.marker.key }),
  };
}

/** Nobody reads this refusal: the edge finds the call cancelled. */
function callerGone(): Refusal {
  return refuse('INTERNAL', 'the caller went away before the answer');
}

/** Scope of a request id: identity and owner; the digest covers everything else that was asked. */
function markerOf(ask: AcquireAsk, principal: string): Marker {
  const { resources, ttlMs, mode, any, priority, labels } = ask;
  const sorted = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  const asked = JSON.stringify([resources, ttlMs, mode, any, priority, sorted]);
  return {
    key: hash('sha256', JSON.stringify([principal, ask.owner, ask.requestId]), 'base64url').slice(0, 22),
    digest: hash('sha256', asked, 'base64url').slice(0, 16),
  };
}
