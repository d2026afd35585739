/** Takes fences over from other nodes, a page at a time, before a forgetful node votes again. */
import type { FenceEntry } from '../nodes/admin.ts';
import type { MemberNode } from '../nodes/member.ts';

const PAGE = 500;

export interface Peer {
  readonly node: MemberNode;
  readonly runId: string;
}

/**
 * Brings every fence and the floor of each peer to `node`; answers how many peers were read to their end. Peers are
 * read one after the other while they go on voting: a fence that rises behind the reader belongs to a grant that
 * this node had no part in (docs/model, rejoin).
 */
export async function takeOver(
  node: MemberNode,
  runId: string,
  quarantineId: string,
  peers: readonly Peer[],
): Promise<number> {
  const whole = await Promise.all(peers.map((peer) => takeFrom(node, runId, quarantineId, peer)));
  return whole.filter(Boolean).length;
}

async function takeFrom(node: MemberNode, runId: string, quarantineId: string, peer: Peer): Promise<boolean> {
  for (let after = ''; ; ) {
    const page = await peer.node.admin({ kind: 'fences', runId: peer.runId, after, limit: PAGE });
    if (page.kind !== 'fences') return false;
    if (!(await bring(node, runId, quarantineId, page.entries, page.floor))) return false;
    if (page.next === '') return true;
    after = page.next;
  }
}

/** Raises what `node` knows to `entries` and `floor`; false when it is no longer in that quarantine. */
export async function bring(
  node: MemberNode,
  runId: string,
  quarantineId: string,
  entries: readonly FenceEntry[],
  floor: bigint,
): Promise<boolean> {
  const taken = await node.admin({ kind: 'takeover', runId, quarantineId, entries, floor });
  return taken.kind === 'done';
}
