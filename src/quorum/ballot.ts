/** Why a hold was not granted, from what the nodes said. Pure: tested by enumeration over all vote vectors. */
import type { LostWhy } from '../domain/refusals.ts';
import { maxToken, type Token } from '../domain/token.ts';
import type { LineView } from '../nodes/line.ts';
import type { Answer, NodeHolder } from '../nodes/node.ts';

/** `skipped`: an ordered vote met a holder at an earlier node and did not go on to this one. */
export type Reply = Answer | { readonly kind: 'skipped' };

/** A reply that has not come yet is undefined and weighs as silence. */
export type Answers = readonly (Reply | undefined)[];

export type Verdict =
  /** Fewer than a majority answered. */
  | { readonly kind: 'no-quorum'; readonly answered: number }
  /** A majority would vote for a token above `fence`. */
  | { readonly kind: 'stale'; readonly fence: Token }
  /** A majority would vote for a token near `nowMicros`, the median of the answering nodes' time. */
  | { readonly kind: 'ahead'; readonly nowMicros: number }
  /** A majority holds one other lease on some resource, or has others ahead in line. */
  | { readonly kind: 'held'; readonly holders: readonly NodeHolder[] }
  /** A node's line is full. */
  | { readonly kind: 'crowded' }
  /** Nobody has a majority: attempts met each other. */
  | { readonly kind: 'split'; readonly holders: readonly NodeHolder[] }
  /** The request id is known: the majority holds `value`. */
  | { readonly kind: 'replayed'; readonly value: string; readonly holders: readonly NodeHolder[] }
  /** The request id is known, and its lease is over. */
  | { readonly kind: 'ended'; readonly why: LostWhy }
  /** The request id is known by a minority: whether its lease stands cannot be told now. */
  | { readonly kind: 'unsure' }
  /** The request id was used with other arguments. */
  | { readonly kind: 'mismatch' };

export function majorityOf(nodes: number): number {
  return Math.floor(nodes / 2) + 1;
}

export function isSilent(answer: Reply | undefined): boolean {
  return answer === undefined || answer.kind === 'silent';
}

export function answeredCount(answers: Answers): number {
  return answers.filter((answer) => !isSilent(answer)).length;
}

/** Nodes that voted for, may have, or may yet: an attempt that is not granted must be undone there. */
export function undoTargets(answers: Answers): number[] {
  return answers.flatMap((answer, index) =>
    isSilent(answer) || answer?.kind === 'held' || answer?.kind === 'dup' ? [index] : [],
  );
}

/** True while answers that are still out could change what the verdict would be. */
export function worthWaiting(answers: Answers): boolean {
  const out = answers.filter((answer) => answer === undefined).length;
  if (out === 0) return false;
  const verdict = judge(answers);
  if (verdict === undefined) return true;
  // A node may have ended the lease alone (its clock, a missed renewal): the others may still back it.
  if (verdict.kind === 'ended') {
    const most = Math.max(0, ...[...replaysOf(answers).values()].map((holders) => holders.length));
    return most + out >= majorityOf(answers.length);
  }
  return verdict.kind === 'no-quorum' || verdict.kind === 'split' || verdict.kind === 'unsure';
}

/**
 * Judges the answers to a hold. Undefined: a majority voted for and nothing objects. What is known of the request
 * id comes first, even against a majority for: a repeat must never become a second lease.
 */
export function judge(answers: Answers): Verdict | undefined {
  const majority = majorityOf(answers.length);
  const answered = answeredCount(answers);
  return (
    judgeRequest(answers, majority) ??
    (answered < majority ? { kind: 'no-quorum', answered } : judgeVotes(answers, majority))
  );
}

/** Who still holds a lease of this request id, by its value. */
function replaysOf(answers: Answers): Map<string, NodeHolder[]> {
  const replays = new Map<string, NodeHolder[]>();
  for (const answer of answers) {
    if (answer?.kind !== 'replay') continue;
    replays.set(answer.value, [...(replays.get(answer.value) ?? []), answer.holder]);
  }
  return replays;
}

function judgeRequest(answers: Answers, majority: number): Verdict | undefined {
  let ended: LostWhy | undefined;
  for (const answer of answers) {
    if (answer?.kind === 'mismatch') return { kind: 'mismatch' };
    if (answer?.kind === 'ended' && ended !== 'forced') ended = answer.why;
  }
  const replays = replaysOf(answers);
  for (const [value, holders] of replays) {
    if (holders.length >= majority) return { kind: 'replayed', value, holders };
  }
  if (ended !== undefined) return { kind: 'ended', why: ended };
  return replays.size > 0 ? { kind: 'unsure' } : undefined;
}

function judgeVotes(answers: Answers, majority: number): Verdict | undefined {
  let votes = 0;
  let fence: Token | undefined;
  const clocks: number[] = [];
  const conflicts: NodeHolder[][] = [];
  let stale = 0;
  let behind = 0;
  for (const answer of answers) {
    if (answer?.kind === 'wait') behind += 1;
    if (answer?.kind === 'held' || answer?.kind === 'dup') votes += 1;
    if (answer?.kind === 'stale') {
      stale += 1;
      fence = fence === undefined ? answer.fence : maxToken(fence, answer.fence);
    }
    if (answer?.kind === 'ahead') clocks.push(answer.nowMicros);
    if (answer?.kind === 'conflict') conflicts.push([...answer.holders]);
  }
  if (votes >= majority) return undefined;
  // Those that object to the token alone would vote for a better one.
  if (votes + stale + clocks.length >= majority) {
    return fence === undefined ? { kind: 'ahead', nowMicros: median(clocks) } : { kind: 'stale', fence };
  }
  if (answers.some((answer) => answer?.kind === 'crowded')) return { kind: 'crowded' };
  const holders = distinct(conflicts.flat());
  // Whoever stands ahead at one node and is met by a vote at another is about to get it: no reason to try again.
  const overtakes = behind > 0 && behind + conflicts.length >= majority;
  return overtakes || backedHolders(conflicts, majority)
    ? { kind: 'held', holders }
    : { kind: 'split', holders };
}

/** Does any one lease stand in the way at a majority? */
function backedHolders(conflicts: readonly (readonly NodeHolder[])[], majority: number): boolean {
  const counts = new Map<string, number>();
  for (const holders of conflicts) {
    for (const ref of new Set(holders.map(({ leaseRef }) => leaseRef))) {
      counts.set(ref, (counts.get(ref) ?? 0) + 1);
    }
  }
  return [...counts.values()].some((count) => count >= majority);
}

/** One entry for each resource and lease, with the longest remaining time that any node saw. */
export function distinct(holders: readonly NodeHolder[]): NodeHolder[] {
  const byKey = new Map<string, NodeHolder>();
  for (const holder of holders) {
    const key = `${holder.resource} ${holder.leaseRef}`;
    const known = byKey.get(key);
    if (known === undefined || known.remainingMs < holder.remainingMs) byKey.set(key, holder);
  }
  return [...byKey.values()];
}

export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)] ?? 0;
}

/** The lines that nodes showed with their answers, as one: a place is told as most of them see it. */
export function lineOf(answers: Answers): LineView | undefined {
  const lines = answers.flatMap((answer) =>
    answer !== undefined && 'line' in answer && answer.line !== undefined ? [answer.line] : [],
  );
  const [first] = lines;
  if (first === undefined) return undefined;
  return {
    position: median(lines.map(({ position }) => position)),
    length: Math.max(...lines.map(({ length }) => length)),
    ticket: Math.min(...lines.map(({ ticket }) => ticket)),
    order: Math.min(...lines.map(({ order }) => order)),
    free: first.free,
    tangled: lines.some(({ tangled }) => tangled),
  };
}
