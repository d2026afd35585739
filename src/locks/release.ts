/** Release and ForceRelease: frees exactly one lease, and shuts the door behind its token. */

import { type LeaseName, splitValue } from '../domain/lease.ts';
import { noQuorum, type Refusal } from '../domain/refusals.ts';
import { NO_TOKEN } from '../domain/token.ts';
import type { Answer, ClosedWhy, ForceOp, NodeHolder, ReleaseOp } from '../nodes/node.ts';
import { answeredCount, isSilent, type Reply } from '../quorum/ballot.ts';
import type { Quorum } from '../quorum/quorum.ts';
import { readCard, viewOf } from './card.ts';
import { lookAt } from './inspect.ts';
import type { ForceAsk, HolderView, ReleaseAsk } from './locks.ts';

export type Released = { readonly kind: 'released'; readonly released: boolean };

const executed = (reply: Reply | undefined): boolean => reply?.kind === 'released';
const matched = (reply: Reply | undefined): boolean => reply?.kind === 'released' && reply.matched;

type Held = Pick<LeaseName, 'secret' | 'token' | 'value' | 'resources'>;

/** The end of one lease as a node is told it; `closing` as in ReleaseOp. */
export function endOf(
  { secret, token, value, resources }: Held,
  why: ClosedWhy,
  reason: string,
  closing: boolean,
): ReleaseOp {
  return { kind: 'release', secret, token, value, resources, why, reason, closing, seen: NO_TOKEN };
}

/** With a `binding`, the end of the stream that has it: it does nothing where a newer stream has the lease. */
export async function release(
  quorum: Quorum,
  { lease, reason }: ReleaseAsk,
  binding?: number,
): Promise<Released | Refusal> {
  // Until one node has matched, the id may be forged, and a forged id must move no fence.
  const end = endOf(lease, 'released', reason, false);
  const op: ReleaseOp = binding === undefined ? end : { ...end, binding };
  const ballot = await quorum.votes.tell(op, executed);
  if (!ballot.answers.some(matched)) await ballot.complete;
  const genuine = ballot.answers.some(matched);
  ballot.whenComplete(() => finish(quorum, op, ballot.answers));
  if (ballot.carried) return { kind: 'released', released: genuine };
  return noQuorum(answeredCount(ballot.answers), quorum.size, quorum.retryAfterMs, 'the release is retried');
}

/**
 * After the last answer: nodes that did not match are closed once another did; nodes that were silent are told until
 * they confirm, without closing while nobody has matched.
 */
function finish(quorum: Quorum, op: ReleaseOp, replies: readonly (Reply | undefined)[]): void {
  if (replies.every(matched)) return;
  const matches = replies.filter(matched).length;
  // Where most nodes know a newer stream, the lease lives on, and must find no door shut where it is repaired.
  const genuine = op.binding === undefined ? matches > 0 : matches >= quorum.majority;
  const closing: ReleaseOp = genuine ? closingOf(op) : op;
  const unmatched = replies.flatMap((reply, index) => (executed(reply) && !matched(reply) ? [index] : []));
  if (genuine && unmatched.length > 0) void quorum.undo.send(closing, unmatched);
  replies.forEach((reply, index) => {
    if (isSilent(reply)) quorum.undo.owe(closing, index);
  });
}

/** After a majority matched it names no binding: nobody newer can have the lease, and a resumer that gave up minds none. */
function closingOf({ binding: _, ...op }: ReleaseOp): ReleaseOp {
  return { ...op, closing: true };
}

export async function giveBack(quorum: Quorum, lease: LeaseName): Promise<boolean> {
  const op = { ...endOf(lease, 'undone', 'the caller was gone', true), binding: 0 };
  const answers = await quorum.undo.send(op, [...quorum.nodeIds.keys()]);
  return answers.some(matched);
}

export type Forced = { readonly kind: 'forced'; readonly freed: readonly HolderView[] };

export async function forceRelease(quorum: Quorum, ask: ForceAsk): Promise<Forced | Refusal> {
  const op: ForceOp = { kind: 'force', resource: ask.resource, leaseRef: ask.leaseRef, reason: ask.reason };
  const answers = await quorum.votes.all(op);
  const freed = new Map<string, NodeHolder>();
  for (const answer of answers) {
    if (answer.kind === 'forced' && answer.holder !== null) freed.set(answer.value, answer.holder);
  }
  for (const [value, holder] of freed) closeElsewhere(quorum, value, holder, ask.reason, answers);
  const answered = answeredCount(answers);
  if (answered < quorum.majority) {
    return noQuorum(answered, quorum.size, quorum.retryAfterMs, 'the nodes that answered have let go');
  }
  if (freed.size === 0) {
    const seen = await lookAt(quorum, ask.resource, 0);
    return seen.kind === 'refusal' ? seen : { kind: 'forced', freed: [] };
  }
  const nowMs = quorum.clock.wallMicros() / 1000;
  const views = [...freed.values()].flatMap((holder) =>
    readCard(holder).resources.map((resource) => viewOf({ ...holder, resource }, nowMs)),
  );
  return { kind: 'forced', freed: views };
}

/** The value came from a node and goes to nodes only: it never leaves the service. */
function closeElsewhere(
  quorum: Quorum,
  value: string,
  holder: NodeHolder,
  reason: string,
  answers: readonly Answer[],
): void {
  const { secret, token } = splitValue(value);
  const { resources } = readCard(holder);
  const op = endOf({ secret, token, value, resources }, 'forced', reason, true);
  const others = answers.flatMap((answer, index) =>
    answer.kind === 'forced' && answer.value === value ? [] : [index],
  );
  void quorum.undo.send(op, others);
}
