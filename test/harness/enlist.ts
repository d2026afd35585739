/** Gives an empty node its first meta, by the same two steps as a bootstrap: a claim, and its end. */
import type { AdminAnswer, AdminOp, NewMeta } from '../../src/nodes/admin.ts';

interface Administered {
  admin(op: AdminOp): Promise<AdminAnswer>;
}

/** Does nothing where a meta of this run stands already. */
export async function enlist(node: Administered, meta: NewMeta): Promise<void> {
  const { runId, cluster, longestTtlMs } = meta;
  await node.admin({ kind: 'quarantine', runId, id: 'first', cluster, why: 'a test begins', longestTtlMs });
  await node.admin({ kind: 'create', quarantineId: 'first', meta });
}
