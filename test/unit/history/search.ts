/** Tries all orders of a few operations, after Wing & Gong, remembering what was tried: slow, and plainly right. */
import { after, type Op, START, type State } from '../../harness/history/lock-object.ts';

/** Whether an order that keeps to real time explains them all. */
export function hasOrder(ops: readonly Op[]): boolean {
  const tried = new Set<string>();
  const from = (state: State, left: readonly Op[]): boolean => {
    if (left.length === 0) return true;
    const key = `${keyOf(state)}|${left.map((op) => ops.indexOf(op))}`;
    if (tried.has(key)) return false;
    tried.add(key);
    return left.some((op) => {
      // Whatever was answered before this one was called comes first.
      if (left.some((other) => other.answeredMs < op.calledMs)) return false;
      const then = after(state, op);
      return (
        then !== undefined &&
        from(
          then,
          left.filter((other) => other !== op),
        )
      );
    });
  };
  return from(START, ops);
}

function keyOf({ last, standing, released }: State): string {
  return `${last}|${[...standing.keys()].sort()}|${[...released].sort()}`;
}
