/** The one-shot acts that change what a cluster is: bootstrap of a new one, adoption by another node list. */
import type { AdminAnswer } from '../nodes/admin.ts';
import { SCHEMA } from '../nodes/node.ts';
import { factsFault } from '../nodes/quarantine.ts';
import type { RedisNode } from '../nodes/redis-node.ts';
import { type Clock, pause } from '../std/clock.ts';
import type { Random } from '../std/random.ts';
import { majorityOf } from './ballot.ts';
import { bring } from './takeover.ts';

export interface Report {
  readonly ok: boolean;
  readonly lines: readonly string[];
}

/** How long a bootstrap waits for nodes that start beside it. */
const CONTACT_MS = 15_000;
/** Another replica may be bootstrapping at this moment: a half-written cluster is looked at again. */
const LOOKS = 15;
const LOOK_AGAIN_MS = 200;

type State = Extract<AdminAnswer, { kind: 'state' }>;

async function contact(node: RedisNode): Promise<string | undefined> {
  return (await node.ready(CONTACT_MS))?.runId;
}

/**
 * Writes the first meta of every node: only when all can be reached and none bears a meta or a quarantine, each only
 * if still absent on the same process. Anything else may be a cluster that lost its memory.
 */
export async function bootstrap(options: {
  readonly nodes: readonly RedisNode[];
  readonly cluster: string;
  readonly longestTtlMs: number;
  readonly clock: Clock;
}): Promise<Report> {
  const { nodes, clock } = options;
  const runs = await Promise.all(nodes.map((node) => contact(node)));
  const missing = nodes.filter((_, index) => runs[index] === undefined);
  if (missing.length > 0) {
    return { ok: false, lines: missing.map(({ id }) => `${id} cannot be reached; every node must be`) };
  }
  for (let look = 0; look < LOOKS; look += 1) {
    const states = await Promise.all(nodes.map((node) => node.admin({ kind: 'read' })));
    const read = states.filter((state): state is State => state.kind === 'state');
    if (read.length < nodes.length)
      return { ok: false, lines: ['a node did not answer; nothing was written'] };
    if (read.every(({ meta }) => meta !== undefined)) {
      return { ok: true, lines: ['every node bears a meta already; nothing to do'] };
    }
    const quarantined = nodes.filter((_, index) => read[index]!.quarantine !== undefined);
    if (quarantined.length > 0) {
      return { ok: false, lines: quarantined.map(({ id }) => `${id} is in quarantine and must sit it out`) };
    }
    if (read.every(({ meta }) => meta === undefined)) return writeFirst(options, runs as string[]);
    await pause(clock, LOOK_AGAIN_MS);
  }
  return { ok: false, lines: ['some nodes bear a meta and some do not: those may have lost their memory'] };
}

async function writeFirst(
  { nodes, cluster, longestTtlMs }: Parameters<typeof bootstrap>[0],
  runs: readonly string[],
): Promise<Report> {
  const facts = await Promise.all(nodes.map((node) => node.facts()));
  const unfit = nodes.flatMap((node, index) => {
    const fact = facts[index];
    const twin = runs.indexOf(runs[index]!) !== index ? 'is listed twice' : undefined;
    const fault = fact === undefined ? 'did not answer' : (factsFault(fact) ?? twin);
    return fault === undefined ? [] : [`${node.id} ${fault}`];
  });
  if (unfit.length > 0) return { ok: false, lines: unfit };
  const answers = await Promise.all(
    nodes.map((node, index) =>
      node.admin({
        kind: 'bootstrap',
        meta: {
          schema: SCHEMA,
          nodeId: node.id,
          cluster,
          runId: runs[index]!,
          durable: facts[index]!.durable,
          longestTtlMs,
        },
      }),
    ),
  );
  const lines = nodes.map((node, index) => {
    const answer = answers[index]!;
    return `${node.id}: ${answer.kind === 'done' ? 'ready' : 'detail' in answer ? answer.detail : answer.kind}`;
  });
  return { ok: answers.every(({ kind }) => kind === 'done'), lines };
}

/**
 * Turns the nodes of a new list into quarantined ones that know the fences of a majority of the old list. Old
 * proposers are shut out first: afterwards no grant can raise a fence that has been read already.
 */
export async function adopt(options: {
  readonly oldNodes: readonly RedisNode[];
  readonly oldCluster: string;
  readonly nodes: readonly RedisNode[];
  readonly cluster: string;
  readonly longestTtlMs: number;
  readonly random: Random;
}): Promise<Report> {
  const { oldNodes, oldCluster, nodes, cluster } = options;
  const runs = await Promise.all(nodes.map((node) => contact(node)));
  const away = nodes.filter((_, index) => runs[index] === undefined);
  // Before anything is changed: once the old nodes are retired there is no way back.
  if (away.length > 0)
    return { ok: false, lines: away.map(({ id }) => `${id} cannot be reached; nothing was changed`) };
  const oldRuns = await Promise.all(oldNodes.map((node) => contact(node)));
  const retired: { node: RedisNode; runId: string }[] = [];
  const lines: string[] = [];
  let longestTtlMs = options.longestTtlMs;
  for (const [index, node] of oldNodes.entries()) {
    const runId = oldRuns[index];
    if (runId === undefined) {
      lines.push(`${node.id}: cannot be reached`);
      continue;
    }
    const read = await node.admin({ kind: 'read' });
    if (read.kind === 'state') longestTtlMs = Math.max(longestTtlMs, read.meta?.longestTtlMs ?? 0);
    const answer = await node.admin({ kind: 'retire', runId, oldCluster, newCluster: cluster });
    lines.push(
      `${node.id}: ${answer.kind === 'done' ? 'retired' : 'detail' in answer ? answer.detail : answer.kind}`,
    );
    if (answer.kind === 'done') retired.push({ node, runId });
  }
  const needed = majorityOf(oldNodes.length);
  if (retired.length < needed) {
    return {
      ok: false,
      lines: [...lines, `${retired.length} of the old nodes retired, ${needed} are needed`],
    };
  }
  const pages = await readFences(retired);
  if (pages === undefined)
    return { ok: false, lines: [...lines, 'the old fences could not be read; run it again'] };
  for (const [index, node] of nodes.entries()) {
    const line = await seed(node, runs[index]!, options.random, longestTtlMs, pages);
    lines.push(`${node.id}: ${line}`);
  }
  const ok = lines.slice(-nodes.length).every((line) => line.endsWith('in quarantine with the old fences'));
  return { ok, lines };
}

type Pages = readonly Extract<AdminAnswer, { kind: 'fences' }>[];

async function readFences(peers: readonly { node: RedisNode; runId: string }[]): Promise<Pages | undefined> {
  const pages: Extract<AdminAnswer, { kind: 'fences' }>[] = [];
  for (const { node, runId } of peers) {
    for (let after = ''; ; ) {
      const page = await node.admin({ kind: 'fences', runId, after, limit: 500 });
      if (page.kind !== 'fences') return undefined;
      pages.push(page);
      if (page.next === '') break;
      after = page.next;
    }
  }
  return pages;
}

async function seed(
  node: RedisNode,
  runId: string,
  random: Random,
  longestTtlMs: number,
  pages: Pages,
): Promise<string> {
  const id = random.bytes(12).toString('base64url');
  const placed = await node.admin({
    kind: 'adopt',
    runId,
    id,
    why: 'adopted by a new node list',
    longestTtlMs,
  });
  if (placed.kind !== 'done') return 'detail' in placed ? placed.detail : placed.kind;
  for (const { entries, floor } of pages) {
    if (!(await bring(node, runId, id, entries, floor))) return 'was lost while the fences were brought';
  }
  return 'in quarantine with the old fences';
}
