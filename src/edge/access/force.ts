/** Ending leases by force: one's own always, others' by the rules, and what became of it. */
import { type Refusal, refuse } from '../../domain/refusals.ts';
import type { ForceAsk, HolderView, Inspection, Locks } from '../../locks/locks.ts';
import type { Acts } from './acts.ts';

/** An identity may always end what it holds itself. Whether it does, only the nodes know. */
export async function unlessOwn(
  locks: Locks,
  { resource, leaseRef }: ForceAsk,
  principal: string,
  refusal: Refusal,
): Promise<Refusal | undefined> {
  if (leaseRef === '') return refusal;
  const seen = await locks.inspect(resource, 0);
  if (seen.kind === 'refusal') return seen.reason === 'NO_QUORUM' ? seen : refusal;
  const own = seen.holders.some((one) => one.leaseRef === leaseRef && one.principal === principal);
  return own ? undefined : refusal;
}

export async function forceRelease(
  locks: Locks,
  acts: Acts,
  ask: ForceAsk,
): ReturnType<Locks['forceRelease']> {
  const answer = await locks.forceRelease(ask);
  if (!acts.kept) return answer;
  const facts = { resources: [ask.resource], leaseRef: ask.leaseRef, why: ask.reason };
  const { nowMs } = acts;
  if (answer.kind === 'refusal') {
    acts.refused('force_release', answer, facts);
  } else {
    // The caller need not wait for what stands there now.
    const acted = (after: Inspection | Refusal): void => {
      const detail = forcedText(answer.freed, after);
      if (answer.freed.length > 0) acts.acted('force_release', 'forced', { ...facts, detail }, nowMs);
      else acts.idle('force_release', 'not_held', { ...facts, detail }, nowMs);
    };
    // Whatever becomes of the look, the act is written down.
    void locks
      .inspect(ask.resource, 0)
      .then(acted, () => acted(refuse('INTERNAL', 'it could not be looked at')));
  }
  return answer;
}

const holderText = ({ resource, owner, leaseRef, token, principal }: HolderView): string =>
  `${resource} by ${owner}${principal === undefined ? '' : ` of ${principal}`} (${leaseRef}, token ${token})`;

/** Who held it before, and who does now. */
function forcedText(freed: readonly HolderView[], after: Inspection | Refusal): string {
  const before = freed.length === 0 ? 'nobody held it' : `freed ${freed.map(holderText).join(', ')}`;
  if (after.kind === 'refusal') return `${before}; now unknown: ${after.message}`;
  const now = after.holders.length === 0 ? after.state : `held: ${after.holders.map(holderText).join(', ')}`;
  return `${before}; now ${now}`;
}
