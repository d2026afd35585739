/** Heartbeat: renews what a node still holds, repairs the nodes that lack it, and never acquires. */
import type { Lease } from '../domain/lease.ts';
import { type LostWhy, leaseLost, noQuorum, type Refusal } from '../domain/refusals.ts';
import type { Answer, LockNode, RenewOp, RepairOp } from '../nodes/node.ts';
import { answeredCount, type Reply } from '../quorum/ballot.ts';
import type { Quorum } from '../quorum/quorum.ts';
import { assertKept, backedMs, leftMs, Stopwatch } from '../quorum/validity.ts';
import { leaseOf, readCard } from './card.ts';
import type { HeartbeatAsk } from './locks.ts';

type Extended = Extract<Answer, { kind: 'extended' }>;

/** A Heartbeat, or the renewal by a stream that keeps the lease. */
export interface Renewal extends HeartbeatAsk {
  /** Of the stream; absent: whoever knows the lease may renew it. */
  readonly binding?: number;
  /** Takes the lease over from whatever stream has an older binding. */
  readonly binds?: boolean;
  /** Asked before nodes that lack the lease are repaired: nothing may be put back behind a release. */
  readonly isOver?: () => boolean;
}

export interface Extension {
  readonly kind: 'extension';
  readonly lease: Lease;
  /** How long the lease is good for, counted from the moment before this was asked. */
  readonly promisedMs: number;
  /** Of the holder; 0 where the nodes do not remember it. */
  readonly priority: number;
  /** Somebody stands in line for one of its resources. */
  readonly waited: boolean;
}

/** Another stream has the lease now, by this binding. */
export interface Bound {
  readonly kind: 'bound';
  readonly binding: number;
}

/** What the nodes that lacked the lease made of the repair. */
interface Repaired {
  readonly keptMs: readonly number[];
  readonly silent: number;
}

const NOTHING: Repaired = { keptMs: [], silent: 0 };

const isFor = (answer: Answer): boolean => answer.kind === 'extended';

export async function heartbeat(
  quorum: Quorum,
  ask: Renewal,
  leaseId: string,
): Promise<Extension | Bound | Refusal> {
  const watch = new Stopwatch(quorum.clock);
  const { lease } = ask;
  const ttlMs = ask.ttlMs ?? lease.ttlMs;
  assertKept(ttlMs, quorum.longestTtlMs);
  const op: RenewOp = {
    kind: 'renew',
    value: lease.value,
    leaseRef: lease.leaseRef,
    token: lease.token,
    resources: lease.resources,
    ttlMs,
    ...(ask.progress === '' ? {} : { progress: ask.progress }),
    ...(ask.binding === undefined ? {} : { binding: ask.binding }),
    ...(ask.binds === true ? { binds: true } : {}),
  };
  const ballot = await quorum.votes.vote(op, isFor);
  if (!ballot.carried) await ballot.complete;
  const bound = boundBy(ballot.answers, quorum.majority, ask);
  if (bound !== undefined) return bound;
  const match = ballot.answers.find((answer): answer is Extended => answer?.kind === 'extended');
  if (match === undefined) return nobodyMatched(quorum, ballot.answers);

  const repairs = ballot.complete.then(() => repair(quorum, ask, match, op, ballot.answers));
  // A majority was extended: the rest is repaired behind the caller's back.
  const repaired = ballot.carried ? NOTHING : await repairs;
  const backed = backedMs([...extensions(ballot.answers), ...repaired.keptMs], quorum.majority);
  if (leftMs(backed, watch.elapsedMs()) > 0) {
    const promisedMs = leftMs(backed, 0);
    const expireTimeMs = watch.startedWallMs + promisedMs;
    return {
      kind: 'extension',
      lease: leaseOf(match.holder, { leaseId, ttlMs, expireTimeMs, replayed: false }),
      promisedMs,
      priority: readCard(match.holder).priority,
      waited: ballot.answers.some((answer) => answer?.kind === 'extended' && answer.waited),
    };
  }
  const refusal = notBacked(quorum, ballot.answers, repaired);
  if (refusal.reason === 'LEASE_LOST') announceLoss(quorum, match, op);
  return refusal;
}

/**
 * A majority has heard of a newer stream; or, for one that would take the lease over, any node has: it then needs a
 * binding that no node has given yet.
 */
function boundBy(
  replies: readonly (Reply | undefined)[],
  majority: number,
  { binds }: Renewal,
): Bound | undefined {
  const bindings = replies.flatMap((reply) => (reply?.kind === 'bound' ? [reply.binding] : []));
  const enough = binds === true ? 1 : majority;
  const taken = binds === true && replies.filter((reply) => reply?.kind === 'extended').length >= majority;
  return bindings.length < enough || taken ? undefined : { kind: 'bound', binding: Math.max(...bindings) };
}

/** To whoever watches: no node knows alone that a lease has no majority any more. */
function announceLoss(quorum: Quorum, { holder }: Extended, { resources, token, leaseRef }: RenewOp): void {
  const { owner } = holder;
  void quorum.votes.all({ kind: 'tell', resources, token, leaseRef, owner, reason: 'no majority' });
}

function extensions(replies: readonly (Reply | undefined)[]): number[] {
  return replies.flatMap((reply) => (reply?.kind === 'extended' ? [reply.holder.remainingMs] : []));
}

/** Where a newer stream was heard of the lease stands, be it that that stream has given up since. */
function boundAt(replies: readonly (Reply | undefined)[]): number {
  return replies.filter((reply) => reply?.kind === 'bound').length;
}

/** Sent only after a match, which proves the lease genuine; how long each node that holds it again will keep it. */
async function repair(
  quorum: Quorum,
  { lease, progress, binding = 0, isOver }: Renewal,
  match: Extended,
  renewal: RenewOp,
  replies: readonly (Reply | undefined)[],
): Promise<Repaired> {
  const missing = replies.flatMap((reply, index) => (reply?.kind === 'missing' ? [index] : []));
  if (missing.length === 0 || isOver?.() === true) return NOTHING;
  const { ttlMs } = renewal;
  const { mode } = readCard(match.holder);
  const op: RepairOp = {
    kind: 'repair',
    ...(mode === 'shared' ? { mode } : {}),
    secret: lease.secret,
    token: lease.token,
    value: lease.value,
    leaseRef: lease.leaseRef,
    resources: lease.resources,
    ttlMs,
    owner: match.holder.owner,
    card: match.holder.card,
    binding: Math.max(binding, match.holder.binding),
    progress: progress === '' ? match.holder.progress : progress,
    ...(match.markerKey === '' ? {} : { marker: { key: match.markerKey, digest: match.markerDigest } }),
  };
  const ends = await Promise.all(missing.map((index) => repairOne(quorum.votes.nodes[index]!, op, renewal)));
  return {
    keptMs: ends.filter((end) => typeof end === 'number'),
    silent: ends.filter((end) => end === 'silent').length,
  };
}

/** For how long the node keeps it. `dup`: a message that came in between made it hold, for a ttl of its own. */
async function repairOne(
  node: LockNode,
  op: RepairOp,
  renewal: RenewOp,
): Promise<number | 'silent' | 'refused'> {
  const answer = await node.ask(op);
  if (answer.kind === 'held') return op.ttlMs;
  if (answer.kind !== 'dup') return answer.kind === 'silent' ? 'silent' : 'refused';
  const extended = await node.ask(renewal);
  return extended.kind === 'extended' ? extended.holder.remainingMs : 'silent';
}

/**
 * Some node holds it, yet no majority does: lost if the answering nodes say so, unknown if they are too few. What
 * matched is left to its ttl: another Heartbeat of the same lease may be winning a majority at this very moment, and
 * an undo would break what it was told (docs/decisions/0003-what-the-model-says.md, C4).
 */
function notBacked(quorum: Quorum, replies: readonly (Reply | undefined)[], repaired: Repaired): Refusal {
  const answered = answeredCount(replies) - repaired.silent;
  const mine = extensions(replies).length + repaired.keptMs.length + boundAt(replies);
  if (mine + quorum.size - answered >= quorum.majority) {
    return noQuorum(answered, quorum.size, quorum.retryAfterMs, 'the lease may still stand');
  }
  return leaseLost(whyOf(replies, 'expired'));
}

function nobodyMatched(quorum: Quorum, replies: readonly (Reply | undefined)[]): Refusal {
  const answered = answeredCount(replies);
  const bound = boundAt(replies);
  const mayStand = bound > 0 && bound + quorum.size - answered >= quorum.majority;
  if (answered < quorum.majority || mayStand) return noQuorum(answered, quorum.size, quorum.retryAfterMs);
  return leaseLost(whyOf(replies, 'unknown'));
}

/** The most telling reason that any node gave: force leaves a trace at fewer nodes than time does. */
function whyOf(replies: readonly (Reply | undefined)[], otherwise: LostWhy): LostWhy {
  const given = replies.flatMap((reply) => (reply?.kind === 'missing' ? [reply.why] : []));
  return (['forced', 'released', 'expired'] as const).find((why) => given.includes(why)) ?? otherwise;
}
