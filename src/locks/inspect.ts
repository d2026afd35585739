/** Inspect, List and CheckToken: reads of every node, added up as a majority sees it. */
import { limits } from '../domain/limits.ts';
import { invalidField, noQuorum, type Refusal, refuse } from '../domain/refusals.ts';
import { NO_TOKEN, type Token } from '../domain/token.ts';
import type { Answer, NodeView } from '../nodes/node.ts';
import { answeredCount } from '../quorum/ballot.ts';
import type { Quorum } from '../quorum/quorum.ts';
import { viewOf } from './card.ts';
import type {
  HistoryAsk,
  HistoryPage,
  HolderView,
  Inspection,
  ListAsk,
  ListPage,
  LockSummary,
  NodeOpinion,
  TokenCheck,
  Unknown,
} from './locks.ts';
import {
  historyOf,
  type Look,
  lastTokenOf,
  lengthOf,
  type Standing,
  standingOf,
  waitersOf,
} from './views.ts';

function looksOf(answers: readonly Answer[]): Look[] {
  return answers.map((answer) => (answer.kind === 'seen' ? answer.view : undefined));
}

/** All nodes' looks, or why they cannot be had. */
export async function lookAt(
  quorum: Quorum,
  resource: string,
  history: number,
  line = 0,
): Promise<
  { readonly kind: 'looks'; readonly answers: readonly Answer[]; readonly looks: Look[] } | Unknown | Refusal
> {
  const answers = await quorum.votes.all({ kind: 'look', resource, history, line });
  const answered = answeredCount(answers);
  if (answered < quorum.majority) return noQuorum(answered, quorum.size, quorum.retryAfterMs);
  const looks = looksOf(answers);
  // Not even a fence: no vote for it was ever counted or undone here.
  if (looks.every((look) => look === null || look === undefined)) {
    const refusal = refuse('UNKNOWN_RESOURCE', `no node has ever seen ${resource}`, {
      metadata: { resource },
    });
    return { ...refusal, nodes: opinionsOf(quorum, answers) };
  }
  return { kind: 'looks', answers, looks };
}

export async function inspect(
  quorum: Quorum,
  resource: string,
  historyLimit: number,
): Promise<Inspection | Unknown | Refusal> {
  // Always the whole ring: the last granted token is read from it even when no history was asked for.
  const seen = await lookAt(quorum, resource, limits.historyPerResource, limits.waitersShown);
  if (seen.kind === 'refusal') return seen;
  const standing = standingOf(seen.looks, quorum.majority);
  const waiters = waitersOf(seen.looks, quorum.majority);
  return {
    kind: 'inspection',
    resource,
    state: standing.state,
    holders: holderViews(quorum, standing),
    waiters,
    lastToken: lastTokenOf(seen.looks, quorum.majority),
    source: standing.holders.length > 0 || waiters.length > 0 ? 'live' : 'history',
    nodes: opinionsOf(quorum, seen.answers),
    history: historyLimit === 0 ? [] : historyOf(resource, seen.looks, quorum.majority, historyLimit),
  };
}

/** As far as the nodes remember it; who keeps more of the past wraps this. */
export async function history(quorum: Quorum, ask: HistoryAsk): Promise<HistoryPage | Refusal> {
  if (ask.resource === '') return refuse('NOT_SERVED', 'what an owner did is known to an archive only');
  if (ask.after !== '') return invalidField('page_token', 'is of an archive, and there is none');
  const { resource, pageSize } = ask;
  const seen = await lookAt(quorum, resource, limits.historyPerResource);
  if (seen.kind === 'refusal') return seen;
  const events = historyOf(resource, seen.looks, quorum.majority, pageSize);
  return { kind: 'past', events, gaps: [], next: '' };
}

function holderViews(quorum: Quorum, standing: Standing): HolderView[] {
  const nowMs = quorum.clock.wallMicros() / 1000;
  return standing.holders.map((holder) => viewOf(holder, nowMs));
}

function opinionsOf(quorum: Quorum, answers: readonly Answer[]): NodeOpinion[] {
  return answers.map((answer, index) => opinionOf(quorum.nodeIds[index]!, answer));
}

function opinionOf(node: string, answer: Answer): NodeOpinion {
  const nothing = { fence: NO_TOKEN, fenceClosed: false, leaseRef: '', remainingMs: 0 };
  if (answer.kind === 'silent') {
    const vote = answer.why === 'amnesia' ? 'quarantined' : 'silent';
    return { node, vote, ...nothing, detail: `${answer.why}: ${answer.detail}` };
  }
  const view = answer.kind === 'seen' ? answer.view : null;
  if (view === null) return { node, vote: 'free', ...nothing, detail: 'never seen here' };
  const holder = view.holder ?? view.readers?.[0];
  return {
    node,
    vote: holder === undefined ? 'free' : 'held',
    fence: view.fence?.token ?? NO_TOKEN,
    fenceClosed: view.fence !== undefined && view.fence.state !== 'open',
    leaseRef: holder?.leaseRef ?? '',
    remainingMs: holder?.remainingMs ?? 0,
    detail: view.fence === undefined || view.fence.state === 'open' ? '' : `closed: ${view.fence.state}`,
  };
}

export async function checkToken(
  quorum: Quorum,
  resource: string,
  token: Token,
): Promise<TokenCheck | Refusal> {
  const seen = await lookAt(quorum, resource, limits.historyPerResource);
  if (seen.kind === 'refusal') return seen;
  const standing = standingOf(seen.looks, quorum.majority);
  if (standing.state === 'unknown') {
    const answered = answeredCount(seen.answers);
    return noQuorum(answered, quorum.size, quorum.retryAfterMs, 'the holder cannot be told');
  }
  const current = standing.state === 'held' && standing.holders.some((holder) => holder.token === token);
  return { kind: 'check', current, lastToken: lastTokenOf(seen.looks, quorum.majority) };
}

/** Pages of names that one List may walk before it answers with what it has. */
const WALKS = 20;

/** Live locks only, in byte order of their names; a page may be short while `next` says that more follow. */
export async function list(quorum: Quorum, ask: ListAsk): Promise<ListPage | Refusal> {
  const locks: LockSummary[] = [];
  let after = ask.after;
  for (let walked = 0; walked < WALKS; walked += 1) {
    const answers = await quorum.votes.all({
      kind: 'list',
      prefix: ask.prefix,
      after,
      limit: limits.pageSizeDefault,
    });
    const answered = answeredCount(answers);
    if (answered < quorum.majority) return noQuorum(answered, quorum.size, quorum.retryAfterMs);
    const page = mergePages(answers);
    for (const [resource, looks] of page.names) {
      if (locks.length === ask.pageSize) return { kind: 'page', locks, next: after };
      after = resource;
      const summary = summaryOf(quorum, resource, looks);
      if (summary.state === 'free' && summary.queueLength === 0) continue;
      if (ask.owner !== '' && !summary.holders.some(({ owner }) => owner === ask.owner)) continue;
      locks.push(summary);
    }
    if (!page.more) return { kind: 'page', locks, next: '' };
  }
  return { kind: 'page', locks, next: after };
}

function summaryOf(quorum: Quorum, resource: string, looks: readonly Look[]): LockSummary {
  const standing = standingOf(looks, quorum.majority);
  return {
    resource,
    state: standing.state,
    holders: holderViews(quorum, standing),
    queueLength: lengthOf(looks),
    lastToken: lastTokenOf(looks, quorum.majority),
  };
}

/**
 * Joins the nodes' pages. Each node lists its own names, so only names up to the shortest node's last one are
 * complete: beyond it that node may know more that it has not told yet.
 */
export function mergePages(answers: readonly Answer[]): {
  readonly names: readonly (readonly [string, readonly Look[]])[];
  readonly more: boolean;
} {
  const pages = answers.map((answer) => (answer.kind === 'listed' ? answer : undefined));
  const ends = pages.flatMap((page) => (page?.more === true ? [page.views.at(-1)!.resource] : []));
  const end = ends.sort()[0];
  const byNode = pages.map(
    (page) => new Map((page?.views ?? []).map((view): [string, NodeView] => [view.resource, view])),
  );
  const all = new Set(byNode.flatMap((views) => [...views.keys()]));
  const names = [...all].filter((name) => end === undefined || name <= end).sort((a, b) => (a < b ? -1 : 1));
  return {
    names: names.map((name) => [
      name,
      byNode.map((views, index) => (pages[index] === undefined ? undefined : (views.get(name) ?? null))),
    ]),
    more: end !== undefined,
  };
}
