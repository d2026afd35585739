/** Adoption: the explicit act that hands a cluster over to another node list, or to another longest ttl. */
import { type AdminAnswer, detailOf } from '../nodes/admin.ts';
import type { MemberNode } from '../nodes/member.ts';
import { newQuarantineId } from '../nodes/quarantine.ts';
import type { Random } from '../std/random.ts';
import { majorityOf } from './ballot.ts';
import { contact, type Report } from './bootstrap.ts';
import { bring, type Peer } from './takeover.ts';

export interface AdoptOptions {
  readonly oldNodes: readonly MemberNode[];
  readonly oldCluster: string;
  readonly nodes: readonly MemberNode[];
  readonly cluster: string;
  readonly longestTtlMs: number;
  readonly random: Random;
}

const PAGE = 500;
const SEEDED = 'in quarantine with the old fences';

/**
 * Turns the nodes of a new list into quarantined ones that know the fences of a majority of the old list. Old
 * proposers are shut out first: afterwards no grant can raise a fence that has been read already. May be tried again.
 */
export async function adopt(options: AdoptOptions): Promise<Report> {
  const { nodes, oldNodes } = options;
  const runs = await Promise.all(nodes.map((node) => contact(node)));
  const away = nodes.filter((_, index) => runs[index] === undefined);
  // Before anything is changed: once the old nodes are retired there is no way back.
  if (away.length > 0) {
    return { ok: false, lines: away.map(({ id }) => `${id} cannot be reached; nothing was changed`) };
  }
  const old = await retire(options);
  const needed = majorityOf(oldNodes.length);
  if (old.peers.length < needed) {
    const short = `${old.peers.length} of the old nodes retired, ${needed} are needed`;
    return { ok: false, lines: [...old.lines, short] };
  }
  const pages = await readFences(old.peers);
  if (pages === undefined) {
    return { ok: false, lines: [...old.lines, 'the old fences could not be read; run it again'] };
  }
  const seeded: string[] = [];
  for (const [index, node] of nodes.entries()) {
    seeded.push(await seed(options, { node, runId: runs[index]! }, old.longestTtlMs, pages));
  }
  return {
    ok: seeded.every((outcome) => outcome === SEEDED),
    lines: [...old.lines, ...seeded.map((outcome, index) => `${nodes[index]!.id}: ${outcome}`)],
  };
}

interface Retired {
  readonly peers: readonly Peer[];
  readonly lines: readonly string[];
  /** Of the leases that may still be alive, under the old settings or the new. */
  readonly longestTtlMs: number;
}

async function retire(options: AdoptOptions): Promise<Retired> {
  const { oldNodes, oldCluster, cluster } = options;
  const runs = await Promise.all(oldNodes.map((node) => contact(node)));
  const peers: Peer[] = [];
  const lines: string[] = [];
  let { longestTtlMs } = options;
  for (const [index, node] of oldNodes.entries()) {
    const runId = runs[index];
    if (runId === undefined) {
      lines.push(`${node.id}: cannot be reached`);
      continue;
    }
    const read = await node.admin({ kind: 'read' });
    if (read.kind === 'state') {
      const { meta, quarantine } = read;
      longestTtlMs = Math.max(longestTtlMs, meta?.longestTtlMs ?? 0, quarantine?.longestTtlMs ?? 0);
    }
    const answer = await node.admin({ kind: 'retire', runId, oldCluster, newCluster: cluster });
    if (answer.kind === 'done') peers.push({ node, runId });
    lines.push(`${node.id}: ${answer.kind === 'done' ? 'retired' : detailOf(answer)}`);
  }
  return { peers, lines, longestTtlMs };
}

type Pages = readonly Extract<AdminAnswer, { kind: 'fences' }>[];

async function readFences(peers: readonly Peer[]): Promise<Pages | undefined> {
  const pages: Extract<AdminAnswer, { kind: 'fences' }>[] = [];
  for (const { node, runId } of peers) {
    for (let after = ''; ; ) {
      const page = await node.admin({ kind: 'fences', runId, after, limit: PAGE });
      if (page.kind !== 'fences') return undefined;
      pages.push(page);
      if (page.next === '') break;
      after = page.next;
    }
  }
  return pages;
}

async function seed(
  { cluster, random }: AdoptOptions,
  { node, runId }: Peer,
  longestTtlMs: number,
  pages: Pages,
): Promise<string> {
  const id = newQuarantineId(random);
  const why = 'adopted by a new node list';
  const placed = await node.admin({ kind: 'adopt', runId, id, cluster, why, longestTtlMs });
  if (placed.kind !== 'done') return detailOf(placed);
  for (const { entries, floor } of pages) {
    if (!(await bring(node, runId, id, entries, floor))) return 'was lost while the fences were brought';
  }
  return SEEDED;
}
