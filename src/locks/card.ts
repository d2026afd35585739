/** The card: what nodes keep of a holder for others to read, and never read themselves. */
import type { Lease, Mode } from '../domain/lease.ts';
import type { NodeHolder } from '../nodes/node.ts';
import type { AcquireAsk, HolderView } from './locks.ts';

interface Card {
  readonly resources: readonly string[];
  readonly mode: Mode;
  readonly ttlMs: number;
  readonly acquireTimeMs: number;
  readonly labels: Readonly<Record<string, string>>;
}

export function writeCard({ resources, mode, ttlMs, labels }: AcquireAsk, acquireTimeMs: number): string {
  const usual = `"ttlMs":${ttlMs},"acquireTimeMs":${Math.round(acquireTimeMs)}`;
  const many = resources.length === 1 ? '' : `,"resources":${JSON.stringify(resources)}`;
  const shared = mode === 'exclusive' ? '' : `,"mode":${JSON.stringify(mode)}`;
  const text = JSON.stringify(labels);
  return `{${usual}${many}${shared}${text === '{}' ? '' : `,"labels":${text}`}}`;
}

/** What is usual stays unwritten: every byte of a card costs each node, at every vote. */
export function readCard({ card, resource }: NodeHolder): Card {
  const written = JSON.parse(card) as Partial<Card>;
  return {
    resources: written.resources ?? [resource],
    mode: written.mode ?? 'exclusive',
    ttlMs: written.ttlMs ?? 0,
    acquireTimeMs: written.acquireTimeMs ?? 0,
    labels: written.labels ?? {},
  };
}

/** What others may see of a holder; `nowMs` is our wall clock, by which its end is told. */
export function viewOf(holder: NodeHolder, nowMs: number): HolderView {
  const card = readCard(holder);
  return {
    resource: holder.resource,
    owner: holder.owner,
    leaseRef: holder.leaseRef,
    token: holder.token,
    mode: card.mode,
    acquireTimeMs: card.acquireTimeMs,
    expireTimeMs: nowMs + holder.remainingMs,
    labels: card.labels,
    progress: holder.progress,
  };
}

/** The lease as its own holder sees it, from what a node keeps of it. */
export function leaseOf(
  holder: NodeHolder,
  more: Pick<Lease, 'leaseId' | 'ttlMs' | 'expireTimeMs' | 'replayed'>,
): Lease {
  const card = readCard(holder);
  return {
    kind: 'lease',
    leaseRef: holder.leaseRef,
    resources: card.resources,
    token: holder.token,
    owner: holder.owner,
    mode: card.mode,
    acquireTimeMs: card.acquireTimeMs,
    labels: card.labels,
    ...more,
  };
}
