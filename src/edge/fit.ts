/** Long answers are cut to fit into one message: a shorter list serves a caller better than an error. */
import type { Lease } from '../domain/lease.ts';
import { limits } from '../domain/limits.ts';
import type { Busy, HolderView, LockEvent, WaiterView } from '../locks/locks.ts';

/** A third of a message, because an Inspect carries three such lists and its nodes besides. */
const BUDGET_BYTES = (limits.messageBytes - 128 * 1024) / 3;
/** Numbers, times, tags and lengths of one entry. */
const FIXED_BYTES = 96;
/** UTF-8 takes at most three bytes for a UTF-16 code unit. */
const UTF8_BYTES = 3;

export function bytesOfHolder(holder: HolderView): number {
  let characters = holder.resource.length + holder.owner.length + holder.progress.length;
  for (const key of Object.keys(holder.labels)) characters += key.length + holder.labels[key]!.length + 4;
  return FIXED_BYTES + UTF8_BYTES * characters;
}

export function bytesOfBusy({ holders }: Pick<Busy, 'holders'>): number {
  return holders.reduce((sum, holder) => sum + bytesOfHolder(holder), 0);
}

/** An id is never shorter than the names it carries, which travel once more beside it. */
export function bytesOfLease({ leaseId, owner, labels }: Lease): number {
  let characters = owner.length;
  for (const key in labels) characters += key.length + labels[key]!.length + 4;
  return FIXED_BYTES + 2 * leaseId.length + UTF8_BYTES * characters;
}

export function bytesOfWaiter(waiter: WaiterView): number {
  return FIXED_BYTES + UTF8_BYTES * waiter.owner.length;
}

export function bytesOfEvent(event: LockEvent): number {
  return FIXED_BYTES + UTF8_BYTES * (event.resource.length + event.owner.length + event.reason.length);
}

/** As many of `items` from the front as surely fit, at least one. */
export function fitting<Item>(
  items: readonly Item[],
  bytesOf: (item: Item) => number,
  budgetBytes = BUDGET_BYTES,
): readonly Item[] {
  if (items.length <= 1) return items;
  let bytes = 0;
  for (let at = 0; at < items.length; at += 1) {
    bytes += bytesOf(items[at]!);
    if (bytes > budgetBytes && at > 0) return items.slice(0, at);
  }
  return items;
}
