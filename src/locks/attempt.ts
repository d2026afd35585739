/** The attempts of one Acquire: each proposes a token, asks for a majority, and leaves nothing behind without one. */
import { hash } from 'node:crypto';
import { formatLeaseId, type Lease, leaseRefOf, leaseValue, newSecret, splitValue } from '../domain/lease.ts';
import { invalidField, leaseLost, noQuorum, type Refusal, refuse } from '../domain/refusals.ts';
import { maxToken, NO_TOKEN, type Token } from '../domain/token.ts';
import type { Answer, HoldOp, Marker, NodeHolder, Place, ReleaseOp } from '../nodes/node.ts';
import {
  type Answers,
  answeredCount,
  isSilent,
  judge,
  undoTargets,
  type Verdict,
  worthWaiting,
} from '../quorum/ballot.ts';
import type { Ballot } from '../quorum/open-ballot.ts';
import type { Quorum } from '../quorum/quorum.ts';
import { assertKept, backedMs, leftMs, Stopwatch } from '../quorum/validity.ts';
import type { Random } from '../std/random.ts';
import { leaseOf, writeCard } from './card.ts';
import type { AcquireAsk, Caller } from './locks.ts';
import { endOf } from './release.ts';

/** How one attempt ended, when whatever it left has been taken back. */
export type Outcome =
  | { readonly kind: 'granted'; readonly lease: Lease; readonly ballot: Ballot }
  /** Final, whoever waits or not. */
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  /** A better token may do. */
  | { readonly kind: 'again' }
  /** Others hold it, or stand ahead. */
  | { readonly kind: 'held'; readonly holders: readonly NodeHolder[]; readonly answers: Answers }
  | { readonly kind: 'split'; readonly holders: readonly NodeHolder[]; readonly answers: Answers }
  | { readonly kind: 'crowded' };

export interface Manner {
  /** All of them, or those that were picked. */
  readonly resources: readonly string[];
  /** One node after the other. */
  readonly ordered?: boolean;
  /** Where to stand if it cannot be had. */
  readonly place?: Place;
  /** A fence that the token should pass. Not told to the nodes as seen: it did not refuse us. */
  readonly fence?: Token;
  /** Called with the leaseRef before the first send. */
  readonly onPropose?: (leaseRef: string) => void;
  /** Called in the tick in which the undo leaves for these nodes. */
  readonly onUndo?: (nodes: readonly number[]) => void;
}

interface Attempt {
  readonly op: HoldOp;
  readonly watch: Stopwatch;
  readonly manner: Manner;
}

const isFor = (answer: Answer): boolean => answer.kind === 'held' || answer.kind === 'dup';

/** They share the lease's secret, and each has a token and so a value of its own. */
export class Attempts {
  readonly #quorum: Quorum;
  readonly #ask: AcquireAsk;
  readonly #caller: Caller;
  readonly #secret: string;
  readonly #marker: Marker | undefined;
  readonly #traceparent: string | undefined;
  #seen: Token = NO_TOKEN;
  #tooFar = false;
  readonly #proposed: Token[] = [];

  /** `traceparent`: of the call, if it is sampled; whoever is made to wait by the lease finds it on the nodes. */
  constructor(quorum: Quorum, random: Random, ask: AcquireAsk, caller: Caller, traceparent?: string) {
    this.#quorum = quorum;
    this.#ask = ask;
    this.#caller = caller;
    this.#traceparent = traceparent;
    this.#secret = newSecret(random, caller.seal);
    this.#marker = ask.requestId === '' ? undefined : markerOf(ask, caller.principal);
  }

  /** The same at every replica when the request is repeated; undefined without a request id. */
  get requestKey(): string | undefined {
    return this.#marker?.key;
  }

  async attempt(manner: Manner): Promise<Outcome> {
    const attempt = this.#propose(manner);
    manner.onPropose?.(attempt.op.leaseRef);
    const ballot = await this.#quorum.votes.vote(attempt.op, isFor, manner.ordered);
    if (!ballot.carried && worthWaiting(ballot.answers)) await ballot.complete;
    // Without a request id nothing can object to a majority.
    const verdict = ballot.carried && this.#marker === undefined ? undefined : judge(ballot.answers);
    if (ballot.carried && verdict === undefined && this.#stands(attempt)) {
      return { kind: 'granted', lease: this.#grant(attempt), ballot };
    }
    await this.#undo(attempt, ballot, verdict);
    if (verdict !== undefined) return this.#conclude(attempt, ballot, verdict);
    const refusal = this.#caller.gone() ? callerGone : this.#refuseQuorum(ballot, 'the votes came too late');
    return { kind: 'refused', refusal };
  }

  #propose(manner: Manner): Attempt {
    const watch = new Stopwatch(this.#quorum.clock);
    const hint = this.#tooFar ? NO_TOKEN : (manner.fence ?? NO_TOKEN);
    const token = this.#newToken(maxToken(this.#seen, hint));
    const value = leaseValue(this.#secret, token);
    const { ttlMs, owner, mode } = this.#ask;
    assertKept(ttlMs, this.#quorum.longestTtlMs);
    const { resources, place } = manner;
    const op = {
      kind: 'hold',
      secret: this.#secret,
      token,
      value,
      leaseRef: leaseRefOf(value),
      resources,
      ttlMs,
      owner,
      card: writeCard(this.#ask, resources, watch.startedWallMs, token, {
        traceparent: this.#traceparent,
        principal: this.#caller.principal,
      }),
      seen: this.#seen,
    } as const;
    if (this.#marker === undefined && place === undefined && mode === 'exclusive')
      return { op, watch, manner };
    const among = this.#ask.any === 0 ? {} : { among: this.#ask.resources };
    const more = {
      ...op,
      ...(this.#marker === undefined ? {} : { marker: this.#marker, ...among }),
      ...(place === undefined ? {} : { place }),
      ...(mode === 'shared' ? { mode } : {}),
    };
    return { op: more, watch, manner };
  }

  /**
   * Above a fence that is ahead of our clock the next token is always the same, and the clock may be set back between:
   * with a token that an earlier attempt had, that attempt's undo, on its way still, would free this one.
   */
  #newToken(seen: Token): Token {
    let token = this.#quorum.tokens.propose(seen);
    while (this.#proposed.includes(token)) token = this.#quorum.tokens.propose(token);
    this.#proposed.push(token);
    return token;
  }

  /** Whether a grant still has somebody to go to and validity left. */
  #stands({ watch }: Attempt): boolean {
    return !this.#caller.gone() && leftMs(this.#ask.ttlMs, watch.elapsedMs()) > 0;
  }

  #conclude(attempt: Attempt, ballot: Ballot, verdict: Verdict): Outcome {
    switch (verdict.kind) {
      case 'held':
      case 'split':
        return { kind: verdict.kind, holders: verdict.holders, answers: ballot.answers };
      case 'crowded':
        return { kind: 'crowded' };
      case 'stale':
        this.#seen = verdict.fence;
        return { kind: 'again' };
      case 'ahead':
        // A fence that did not refuse us excuses no token beyond the nodes' time: with it we would be ahead for ever.
        this.#tooFar = true;
        this.#quorum.tokens.correct(verdict.nowMicros);
        return { kind: 'again' };
      case 'no-quorum':
        return { kind: 'refused', refusal: this.#refuseQuorum(ballot) };
      case 'unsure':
        return {
          kind: 'refused',
          refusal: this.#refuseQuorum(ballot, 'an earlier attempt of this request_id has not ended yet'),
        };
      case 'mismatch':
        return { kind: 'refused', refusal: invalidField('request_id', 'was used with other arguments') };
      case 'ended': {
        const refusal = leaseLost(verdict.why, `the lease of this request_id is gone: ${verdict.why}`);
        return { kind: 'refused', refusal };
      }
      case 'replayed':
        return this.#replay(attempt, ballot, verdict.value, verdict.holders);
    }
  }

  #grant({ op, watch }: Attempt): Lease {
    const { ttlMs, owner, mode, labels } = this.#ask;
    const { resources } = op;
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
  #replay({ watch }: Attempt, ballot: Ballot, value: string, holders: readonly NodeHolder[]): Outcome {
    const backed = backedMs(
      holders.map(({ remainingMs }) => remainingMs),
      this.#quorum.majority,
    );
    if (leftMs(backed, watch.elapsedMs()) <= 0) return { kind: 'refused', refusal: leaseLost('expired') };
    const { ttlMs } = this.#ask;
    const lease = leaseOf(holders[0]!, { leaseId: '', ttlMs, expireTimeMs: 0, replayed: true });
    return {
      kind: 'granted',
      ballot,
      lease: {
        ...lease,
        // Which of several were picked, only the lease itself can say.
        leaseId: formatLeaseId({ ...splitValue(value), ttlMs, resources: lease.resources }),
        expireTimeMs: watch.startedWallMs + leftMs(backed, 0),
      },
    };
  }

  /**
   * The closing undo, to every node that voted for or may have. Waits for one answer from those that voted for: they
   * can be reached, and the caller may be told only when nothing of this attempt stands there.
   * Where a majority holds another lease, nodes that have not answered yet will most likely refuse as well; an undo
   * would close our token there and so shut out that lease's repair. They are left to answer first.
   */
  async #undo({ op, manner }: Attempt, ballot: Ballot, verdict: Verdict | undefined): Promise<void> {
    const targets = undoTargets(ballot.answers);
    if (targets.length === 0) return;
    const undo = undoOf(op, verdict?.kind === 'replayed');
    const voted = targets.filter((index) => !isSilent(ballot.answers[index]));
    const unheard = targets.filter((index) => isSilent(ballot.answers[index]));
    if (verdict?.kind === 'held') {
      void ballot.complete.then(() => {
        const still = undoTargets(ballot.answers).filter((index) => unheard.includes(index));
        void this.#takeBack(undo, still, manner);
      });
    } else {
      void this.#takeBack(undo, unheard, manner);
    }
    await this.#takeBack(undo, voted, manner);
  }

  #takeBack(undo: ReleaseOp, nodes: readonly number[], { onUndo }: Manner): Promise<unknown> {
    const confirmed = this.#quorum.undo.send(undo, nodes);
    if (nodes.length > 0 && !this.#caller.gone()) onUndo?.(nodes);
    return confirmed;
  }

  #refuseQuorum(ballot: Ballot, detail = ''): Refusal {
    return noQuorum(answeredCount(ballot.answers), this.#quorum.size, this.#quorum.retryAfterMs, detail);
  }
}

/**
 * Names binding 0: a repeat of the request that was answered meanwhile has raised the binding, and the lease is
 * then the repeater's. `lost`: a majority holds another lease of this request. Then this attempt can be nobody's, and a
 * repeat that met it at one node has bound it for nothing. docs/decisions/0005-replay-binds.md
 */
function undoOf(op: HoldOp, lost: boolean): ReleaseOp {
  return {
    ...endOf(op, 'undone', '', true),
    ...(lost ? {} : { binding: 0 }),
    seen: op.seen,
    ...(op.marker === undefined ? {} : { markerKey: op.marker.key }),
  };
}

/** Nobody reads this refusal: the edge finds the call cancelled. */
export const callerGone: Refusal = refuse('INTERNAL', 'the caller went away before the answer');

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
