/** Finds what faults have left behind on the nodes, a page of names at a time, and mends it: for the janitor. */

import { leaseRefOf, splitValue } from '../domain/lease.ts';
import { limits } from '../domain/limits.ts';
import type { Finding } from '../domain/operations.ts';
import { noQuorum, type Refusal } from '../domain/refusals.ts';
import type { Answer, NodeHolder } from '../nodes/node.ts';
import { answeredCount } from '../quorum/ballot.ts';
import type { Quorum } from '../quorum/quorum.ts';
import { leftMs, Stopwatch } from '../quorum/validity.ts';
import { readCard, viewOf } from './card.ts';
import { mergePages } from './inspect.ts';
import type { HolderView, LockEvent, WaiterView } from './locks.ts';
import { endOf } from './release.ts';
import { hasElder, type Leftover, leftoversIn, unforgottenIn } from './remains.ts';
import { historyOf, holdersIn, type Look, lengthOf, standingOf, waitersOf } from './views.ts';

export const FINDINGS = ['orphaned_waiter', 'undone_vote', 'stale_history'] as const;
export type FindingKind = (typeof FINDINGS)[number];

/** Names that a page of every node shows; a node takes well below a millisecond for it. */
const PAGE = limits.pageSizeDefault;
/** Events that tell whether the last leases have ended; each costs the node a command. */
const RECENT = 16;
/** What a living replica may take to repeat an undo, beside the votes themselves. */
const UNDO_REPEATED_MS = 2500;
const REASON = 'left behind by a replica that is gone';

/** One name as a page shows it. */
export interface Glance {
  readonly resource: string;
  /** Leases that a majority holds. */
  readonly holders: readonly HolderView[];
  readonly queueLength: number;
  /** Somebody stands in line at some node, be it somebody dead. */
  readonly lined: boolean;
  /** Changes when a fence or a holder at some node does: while it stays, so does what a closer look at leases shows. */
  readonly mark: string;
  /** Some node holds what no majority does. */
  readonly split: boolean;
}

export interface Page {
  readonly kind: 'page';
  readonly glances: readonly Glance[];
  /** Empty at the end. */
  readonly next: string;
}

/** A closer look at one name. */
export interface Sight {
  readonly kind: 'sight';
  readonly resource: string;
  readonly waiters: readonly WaiterView[];
  /** What the nodes remember of granted leases, newest first. */
  readonly events: readonly LockEvent[];
  readonly remains: readonly Remain[];
}

/** One thing left behind at one node. */
export interface Remain {
  readonly finding: Omit<Finding, 'mended'> & { readonly kind: FindingKind };
  readonly node: number;
  /** Absent: the node only has to tidy up. */
  readonly leftover?: Leftover;
}

export interface Mend {
  page(after: string): Promise<Page | Refusal>;
  /** `deep`: also for what fewer nodes hold than a lease needs, by all that the nodes remember. */
  look(resource: string, deep: boolean): Promise<Sight | Refusal>;
  /** Acts on what a look has found; everything is judged anew by the nodes themselves. */
  mend(sight: Sight): Promise<readonly Finding[]>;
}

export interface MendOptions {
  readonly quorum: Quorum;
  /** How old a leftover is at least. */
  readonly minAgeMs: number;
  /** TEST HOOK: rule 5 of remains.ts is switched off, to show what it prevents. */
  readonly barOff?: boolean;
}

/** What a vote, and the undo of it, may take at a replica that lives. */
export function leftoverAgeMs(nodeTimeoutMs: number): number {
  return 2 * nodeTimeoutMs + UNDO_REPEATED_MS;
}

export function makeMend({ quorum, minAgeMs, barOff = false }: MendOptions): Mend {
  return {
    page: (after) => pageOf(quorum, after),
    look: (resource, deep) => look(quorum, resource, deep ? minAgeMs : undefined),
    mend: (sight) => mend(quorum, sight, barOff),
  };
}

function tooFew(quorum: Quorum, answers: readonly Answer[]): Refusal | undefined {
  const answered = answeredCount(answers);
  if (answered >= quorum.majority) return undefined;
  return noQuorum(answered, quorum.size, quorum.retryAfterMs);
}

async function pageOf(quorum: Quorum, after: string): Promise<Page | Refusal> {
  const answers = await quorum.votes.all({ kind: 'list', prefix: '', after, limit: PAGE });
  const refusal = tooFew(quorum, answers);
  if (refusal !== undefined) return refusal;
  const { names, more } = mergePages(answers);
  const glances = names.map(([resource, looks]) => glanceOf(quorum, resource, looks));
  return { kind: 'page', glances, next: more ? (names.at(-1)?.[0] ?? '') : '' };
}

function glanceOf(quorum: Quorum, resource: string, looks: readonly Look[]): Glance {
  const nowMs = quorum.clock.wallMicros() / 1000;
  const { state, holders } = standingOf(looks, quorum.majority);
  const standing = new Set(state === 'held' ? holders.map(({ leaseRef }) => leaseRef) : []);
  const refs = looks.flatMap(holdersIn).map(({ leaseRef }) => leaseRef);
  return {
    resource,
    holders: state === 'held' ? holders.map((holder) => viewOf(holder, nowMs)) : [],
    queueLength: lengthOf(looks),
    lined: looks.some((look) => look?.line !== undefined),
    mark: looks.map(markOf).join(' '),
    split: refs.some((ref) => !standing.has(ref)),
  };
}

function markOf(look: Look): string {
  if (look === undefined) return '?';
  const { token = 0n, state = '' } = look?.fence ?? {};
  return [`${token}${state[0] ?? ''}`, ...holdersIn(look).map(({ leaseRef }) => leaseRef)].join('+');
}

async function look(
  quorum: Quorum,
  resource: string,
  minAgeMs: number | undefined,
): Promise<Sight | Refusal> {
  const history = minAgeMs === undefined ? RECENT : limits.historyPerResource;
  // In one tick, so in one script: a line's length tells the dead ones only beside the length of those who live.
  const [all, answers] = await Promise.all([
    quorum.votes.all({ kind: 'look', resource, history: 0 }),
    quorum.votes.all({ kind: 'look', resource, history, line: limits.waitersShown }),
  ]);
  const refusal = tooFew(quorum, answers);
  if (refusal !== undefined) return refusal;
  const looks = looksOf(answers);
  const stood = looksOf(all);
  const remains = looks.flatMap((seen, node) => [
    ...orphansAt(quorum, resource, node, (stood[node]?.line?.length ?? 0) - (seen?.line?.length ?? 0)),
    ...staleAt(quorum, resource, node, seen),
  ]);
  const leftovers = minAgeMs === undefined ? [] : leftoversIn(looks, quorum.majority, minAgeMs);
  for (const leftover of leftovers) {
    for (const node of leftover.heldAt) remains.push(leftAt(quorum, resource, node, leftover));
  }
  return {
    kind: 'sight',
    resource,
    waiters: waitersOf(looks, quorum.majority),
    events: historyOf(resource, looks, quorum.majority, history),
    remains,
  };
}

function looksOf(answers: readonly Answer[]): Look[] {
  return answers.map((answer) => (answer.kind === 'seen' ? answer.view : undefined));
}

function orphansAt(quorum: Quorum, resource: string, node: number, dead: number): Remain[] {
  if (dead <= 0) return [];
  const detail = `${dead} in line whose time is over`;
  return [{ node, finding: { kind: 'orphaned_waiter', node: quorum.nodeIds[node]!, resource, detail } }];
}

function staleAt(quorum: Quorum, resource: string, node: number, seen: Look): Remain[] {
  return unforgottenIn(seen).map(({ leaseRef, owner }) => {
    const detail = `lease ${leaseRef} of ${owner} is over, and nothing says so`;
    return { node, finding: { kind: 'stale_history', node: quorum.nodeIds[node]!, resource, detail } };
  });
}

function leftAt(quorum: Quorum, resource: string, node: number, leftover: Leftover): Remain {
  const { holder, heldAt, ageMs, why } = leftover;
  const age = `${Math.round(ageMs / 1000)} s old`;
  const detail = `lease ${holder.leaseRef} of ${holder.owner} at ${heldAt.length} of ${quorum.size} nodes, ${why}, ${age}`;
  const finding = { kind: 'undone_vote', node: quorum.nodeIds[node]!, resource, detail } as const;
  return { node, finding, leftover };
}

async function mend(quorum: Quorum, { resource, remains }: Sight, barOff: boolean): Promise<Finding[]> {
  const ended = new Map<Leftover, Promise<ReadonlySet<number>>>();
  const tidied = new Map<number, Promise<boolean>>();
  const done = ({ node, leftover }: Remain): Promise<boolean> => {
    if (leftover === undefined) {
      const known = tidied.get(node) ?? tidy(quorum, resource, node);
      tidied.set(node, known);
      return known;
    }
    const known = ended.get(leftover) ?? end(quorum, leftover, barOff);
    ended.set(leftover, known);
    return known.then((nodes) => nodes.has(node));
  };
  return Promise.all(remains.map(async (remain) => ({ ...remain.finding, mended: await done(remain) })));
}

async function tidy(quorum: Quorum, resource: string, node: number): Promise<boolean> {
  const answer = await quorum.votes.nodes[node]!.ask({ kind: 'settle', resources: [resource], deep: true });
  return answer.kind === 'settled';
}

/** Rule 5 of remains.ts, and the end of it; which nodes hold it no more. */
async function end(quorum: Quorum, leftover: Leftover, barOff: boolean): Promise<ReadonlySet<number>> {
  const { holder, heldAt, freeAt, why } = leftover;
  const values = await Promise.all(heldAt.map((node) => revealed(quorum, holder, node)));
  // Another resource of the same lease may have been looked at first, or its time is over.
  const gone = new Set(heldAt.filter((_, at) => values[at] === ''));
  const value = values.find((one) => one !== undefined && one !== '');
  if (value === undefined) return gone;
  const { resources, mode } = readCard(holder);
  if (await hasElders(quorum, holder, resources, freeAt)) return gone;
  const { secret, token } = splitValue(value);
  const shared = mode === 'shared' ? { mode } : {};
  const asked = barOff ? [] : freeAt;
  const watch = new Stopwatch(quorum.clock);
  const answers = await askEach(quorum, asked, { kind: 'bar', secret, token, value, resources, ...shared });
  const barred = answers.filter((answer) => answer.kind === 'barred' && answer.barred).length;
  if (barred < quorum.majority && !barOff) return gone;
  // A node that forgot its bar votes again after the longest ttl: bars count together only within less than that.
  if (leftMs(readCard(holder).ttlMs, watch.elapsedMs()) <= 0) return gone;
  const ends = await quorum.undo.send(endOf({ secret, token, value, resources }, why, REASON, true), heldAt);
  return new Set(heldAt.filter((_, at) => ends[at]?.kind === 'released'));
}

/** Its value, which goes to nodes and nowhere else; '' where it is held no more, undefined where that cannot be told. */
async function revealed(
  quorum: Quorum,
  { resource, leaseRef }: NodeHolder,
  node: number,
): Promise<string | undefined> {
  const [answer] = await askEach(quorum, [node], { kind: 'reveal', resource, leaseRef });
  if (answer?.kind !== 'revealed' || answer.value === '') return answer?.kind === 'revealed' ? '' : undefined;
  // What others may have written to a node's keys must name itself truly.
  return leaseRefOf(answer.value) === leaseRef ? answer.value : undefined;
}

/** Rule 4 for all resources of a lease: the look was at one of them. */
async function hasElders(
  quorum: Quorum,
  holder: NodeHolder,
  resources: readonly string[],
  nodes: readonly number[],
): Promise<boolean> {
  const others = resources.filter((resource) => resource !== holder.resource);
  const answers = await Promise.all(
    others.map((resource) => askEach(quorum, nodes, { kind: 'look', resource, history: 0 })),
  );
  return hasElder(looksOf(answers.flat()), holder);
}

function askEach(
  quorum: Quorum,
  nodes: readonly number[],
  op: Parameters<Quorum['votes']['all']>[0],
): Promise<Answer[]> {
  return Promise.all(nodes.map((node) => quorum.votes.nodes[node]!.ask(op)));
}
