/** One message to one channel, what became of a try to deliver it, and who tries. */
import { type Alert, type Kind, SEVERITIES, type Severity, type Status } from './alert.ts';
import type { Bundle } from './outbox.ts';

export interface Message {
  /** The same for every try, so that a receiver can tell a repetition. */
  readonly id: string;
  readonly timeMs: number;
  readonly kind: Kind;
  readonly status: Status;
  readonly severity: Severity;
  readonly count: number;
  readonly alerts: readonly Alert[];
  /** Which installation speaks. */
  readonly source: string;
  /** Where its page is. */
  readonly runbook: string;
}

export type Tried =
  | { readonly kind: 'delivered' }
  /** `afterMs`: not before, says the receiver. */
  | { readonly kind: 'again'; readonly why: string; readonly afterMs?: number }
  | { readonly kind: 'never'; readonly why: string };

/** One try. `signal` ends it; what it tells as `why` names no address, since those may be secrets. */
export type Send = (message: Message, signal: AbortSignal) => Promise<Tried>;

export function messageOf(
  { kind, status, count, alerts }: Bundle,
  about: { readonly id: string; readonly timeMs: number; readonly source: string; readonly runbooks: string },
): Message {
  const { id, timeMs, source, runbooks } = about;
  const severity = SEVERITIES[kind];
  const runbook = `${runbooks}${runbooks.endsWith('/') ? '' : '/'}${kind}.md`;
  return { id, timeMs, kind, status, severity, count, alerts, source, runbook };
}

const TITLES: Readonly<Record<Kind, string>> = {
  force_release: 'A lease was ended by force',
  lease_lost: 'A lease was lost',
  held_too_long: 'A lock is held for too long',
  silent_holder: 'A holder shows no progress',
  starving_waiter: 'A waiter waits for too long',
  node_quarantined: 'A lock node is quarantined',
  quorum_margin_zero: 'No lock node may fail any more',
  archive_gap: 'The history has a gap',
  audit_failed: 'The audit log cannot be written',
  sink_failing: 'Events do not reach a sink',
  auth_failures: 'Many callers are not known',
};

/** Of a message, as text: a mail's subject, the head of a chat's message. */
export function titleOf({ kind, status, count, source }: Message): string {
  const many = count === 1 ? '' : ` (${count} of them)`;
  return `${status === 'resolved' ? 'Over: ' : ''}${TITLES[kind]}${many} [${source}]`;
}

/** One line each, and one for those that are not shown. */
export function linesOf({ alerts, count }: Message): string[] {
  const more = count - alerts.length;
  return [...alerts.map(({ summary }) => summary), ...(more > 0 ? [`and ${more} more`] : [])];
}
