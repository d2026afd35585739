/** The card: what nodes keep of a holder for others to read, and never read themselves. */
import type { Lease, Mode } from '../domain/lease.ts';
import type { Token } from '../domain/token.ts';
import type { NodeHolder } from '../nodes/node.ts';
import type { AcquireAsk, HolderView } from './locks.ts';

interface Card {
  readonly resources: readonly string[];
  readonly mode: Mode;
  readonly ttlMs: number;
  readonly acquireTimeMs: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly priority: number;
  readonly traceparent: string;
  readonly principal: string;
}

/** Who holds it, and in which span it was granted, where that is known. */
export interface CardSource {
  readonly traceparent?: string | undefined;
  /** Empty where callers are not authenticated. */
  readonly principal?: string;
}

/** A card as it is stored. Nodes read the `resources` of it, nothing else. */
interface Written {
  readonly t: number;
  readonly a?: number;
  readonly resources?: readonly string[];
  readonly mode?: Mode;
  readonly labels?: Readonly<Record<string, string>>;
  /** Absent: 0. */
  readonly p?: number;
  /** Absent: not sampled. */
  readonly tp?: string;
  /** The identity; absent: callers are not authenticated. */
  readonly i?: string;
}

/**
 * What is usual stays unwritten, and what is written is short: every byte of a card costs each node, at every vote.
 * A token is the microsecond in which it was proposed unless a fence or a clock that ran ahead has moved it.
 */
export function writeCard(
  { mode, ttlMs, labels, priority }: Pick<AcquireAsk, 'mode' | 'ttlMs' | 'labels' | 'priority'>,
  resources: readonly string[],
  acquireTimeMs: number,
  token: Token,
  { traceparent, principal = '' }: CardSource = {},
): string {
  const usual = mode === 'exclusive' && priority === 0 && traceparent === undefined && principal === '';
  const plain = usual && resources.length === 1 && isEmpty(labels);
  if (plain && tellsTime(token, acquireTimeMs)) {
    return `{"t":${ttlMs}}`;
  }
  const written: Written = {
    t: ttlMs,
    ...(tellsTime(token, acquireTimeMs) ? {} : { a: Math.round(acquireTimeMs) }),
    ...(resources.length === 1 ? {} : { resources }),
    ...(mode === 'exclusive' ? {} : { mode }),
    ...(isEmpty(labels) ? {} : { labels }),
    ...(priority === 0 ? {} : { p: priority }),
    ...(traceparent === undefined ? {} : { tp: traceparent }),
    ...(principal === '' ? {} : { i: principal }),
  };
  return JSON.stringify(written);
}

function isEmpty(labels: Readonly<Record<string, string>>): boolean {
  for (const _ in labels) return false;
  return true;
}

function tellsTime(token: Token, acquireTimeMs: number): boolean {
  return Math.abs(Number(token) / 1000 - acquireTimeMs) < 1;
}

export function readCard({ card, resource, token }: NodeHolder): Card {
  const written = JSON.parse(card) as Partial<Written>;
  return {
    resources: written.resources ?? [resource],
    mode: written.mode ?? 'exclusive',
    ttlMs: written.t ?? 0,
    acquireTimeMs: written.a ?? Math.floor(Number(token) / 1000),
    labels: written.labels ?? {},
    priority: written.p ?? 0,
    traceparent: written.tp ?? '',
    principal: written.i ?? '',
  };
}

/** The spans in which these leases were granted, where they were sampled. */
export function grantsOf(holders: readonly NodeHolder[]): string[] {
  return holders.flatMap((holder) => {
    try {
      const { traceparent } = readCard(holder);
      return traceparent === '' ? [] : [traceparent];
    } catch {
      // Others may have written to the node's keys, and a trace is no reason to fail a wait.
      return [];
    }
  });
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
    traceparent: card.traceparent,
    ...(card.principal === '' ? {} : { principal: card.principal }),
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
