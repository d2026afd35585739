/** LOOK, LIST and SWEEP of a memory node: what it shows of its records, and which it drops (node.ts). */
import type { Mode } from '../domain/lease.ts';
import { fenceAgeMicros } from '../domain/limits.ts';
import { maxToken, NO_TOKEN } from '../domain/token.ts';
import { lineShown, prepare } from './memory-line.ts';
import { cutExpiry, holdersIn, isPast, shown, type Turn } from './memory-record.ts';
import { nextPage, type ResourceRecord } from './memory-store.ts';
import type { Answer, ListOp, LookOp, NodeHolder, NodeView, SweepOp } from './node.ts';

export function look(turn: Turn, op: LookOp): Answer {
  const record = turn.store.record(op.resource);
  return { kind: 'seen', view: record === undefined ? null : viewOf(turn, record, op.history, op.line ?? 0) };
}

export function list(turn: Turn, op: ListOp): Answer {
  const { names, more } = turn.store.page(op.after, op.limit, op.prefix);
  return { kind: 'listed', views: names.map((name) => viewOf(turn, turn.store.record(name)!, 0, 0)), more };
}

/** LOOK: reads only, so an expired holder is left out rather than forgotten, and an expiry too far away cut in the copy. */
function viewOf(turn: Turn, record: ResourceRecord, events: number, waiters: number): NodeView {
  const { resource, fence, history } = record;
  const live = holdersIn(record).filter((holder) => !isPast(turn, holder));
  const of = (mode: Mode): NodeHolder[] =>
    live
      .filter((holder) => holder.mode === mode)
      .map((holder) => shown(turn, { ...holder, expiryMicros: cutExpiry(turn, holder) }));
  const [holder] = of('exclusive');
  const readers = of('shared');
  const line = lineShown(turn, record, waiters);
  return {
    resource,
    ...(holder && { holder }),
    ...(readers.length > 0 && { readers }),
    ...(line && { line }),
    ...(fence && { fence: { token: fence.token, state: fence.state } }),
    history: history.slice(Math.max(0, history.length - events)).reverse(),
  };
}

export function sweep(turn: Turn, op: SweepOp): Answer {
  const { store } = turn;
  const { names } = store.page(op.after, op.limit);
  const expired = prepare(turn, names);
  const past = names.filter((name) => isDroppable(turn, store.record(name)!));
  for (const name of past) {
    // Fence and floor change together: at no moment may a token below the dropped fence be admitted.
    store.floor = maxToken(store.floor, store.record(name)?.fence?.token ?? NO_TOKEN);
    store.drop(name);
  }
  store.dropPastMarkers(turn.nowMicros);
  store.dropPastWaiters(turn.nowMicros);
  return { kind: 'swept', next: nextPage(names, op.limit), expired, dropped: past.length };
}

function isDroppable({ nowMicros }: Turn, record: ResourceRecord): boolean {
  if (record.line.length > 0 || holdersIn(record).length > 0) return false;
  return record.fence === undefined || record.fence.token + BigInt(fenceAgeMicros) < BigInt(nowMicros);
}
