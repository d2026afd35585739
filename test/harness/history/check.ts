/** Judges a history: every rule of docs/guarantees.md that what was seen can break, and what the run did. */
import { stuck } from './alive.ts';
import type { History, Violation } from './history.ts';
import { unexplained } from './linear.ts';
import { type OrderOptions, passed } from './order.ts';
import { overlaps } from './overlap.ts';
import { fencedLost } from './register.ts';
import { requests } from './requests.ts';
import { orphans } from './rest.ts';
import { tokens } from './tokens.ts';

export type { Window } from './order.ts';
export { tally } from './tally.ts';

/** Absent options leave the rules unjudged that need them. */
export interface CheckOptions {
  /** For rule `order`. */
  readonly order?: OrderOptions;
}

/** O(n log n) in the number of entries. */
export function check(history: History, { order }: CheckOptions = {}): Violation[] {
  return [
    ...overlaps(history),
    ...tokens(history),
    ...requests(history),
    ...(order === undefined ? [] : passed(history, order)),
    ...orphans(history),
    ...stuck(history),
    ...fencedLost(history),
    ...unexplained(history),
  ];
}
