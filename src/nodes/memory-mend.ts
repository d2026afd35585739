/** REVEAL and BAR of a memory node: what whoever mends may ask (node.ts). */
import { NO_TOKEN } from '../domain/token.ts';
import { prepare } from './memory-line.ts';
import { holdersIn, shown, type Turn } from './memory-record.ts';
import { close, holdsAny, readsBelow, refusingFence } from './memory-vote.ts';
import type { Answer, BarOp, RevealOp } from './node.ts';

export function reveal(turn: Turn, op: RevealOp): Answer {
  prepare(turn, [op.resource]);
  const holder = holdersIn(turn.store.record(op.resource)).find(({ leaseRef }) => leaseRef === op.leaseRef);
  if (holder === undefined) return { kind: 'revealed', value: '', holder: null };
  return { kind: 'revealed', value: holder.value, holder: shown(turn, holder) };
}

export function bar(turn: Turn, op: BarOp): Answer {
  prepare(turn, op.resources);
  if (holdsAny(turn, op)) return { kind: 'barred', held: true, barred: false };
  for (const resource of op.resources) close(turn, { ...op, why: 'undone', seen: NO_TOKEN }, resource);
  const barred = op.resources.every((resource) => {
    const record = turn.store.record(resource);
    const refusing = refusingFence(turn, { ...op, kind: 'repair' }, record?.fence);
    return refusing !== undefined && !readsBelow(turn, op, record);
  });
  return { kind: 'barred', held: false, barred };
}
