/** What a look tells somebody who waits, or wants to: whether it could have a resource, and when that may change. Pure. */
import { hash } from 'node:crypto';
import { conflict } from '../domain/lease.ts';
import type { NodeView, Place } from '../nodes/node.ts';
import { goesBefore } from './places.ts';

/** Would this node let `who` hold the resource? Whoever has no place yet comes after all that wait. */
export function obtainableAt(
  view: NodeView | null,
  who: Pick<Place, 'mode'> & Partial<Pick<Place, 'id' | 'order'>>,
): boolean {
  if (view === null) return true;
  if (view.holder !== undefined) return false;
  if (who.mode === 'exclusive' && view.readers !== undefined) return false;
  const { id, order } = who;
  return !(view.line?.waiters ?? []).some((other) => {
    if (other.id === id || !conflict(other.mode, who.mode)) return false;
    return id === undefined || order === undefined || goesBefore(other, { id, order });
  });
}

/** After how long a majority may be without their present holders, whose ends some or all nodes have shown. */
export function majorityEndsMs(endsMs: readonly number[], majority: number): number {
  return [...endsMs].sort((a, b) => a - b)[majority - 1] ?? Number.POSITIVE_INFINITY;
}

/**
 * In which order an owner who wants any of them tries resources: another one for each, so that callers spread, and
 * always the same, so that nodes cannot pick differently.
 */
export function preference(owner: string, resources: readonly string[]): readonly string[] {
  const weight = (name: string): string => hash('sha1', `${owner} ${name}`);
  return [...resources].sort((a, b) => (weight(a) < weight(b) ? -1 : 1));
}
