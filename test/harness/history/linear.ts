/**
 * Is there an order of the operations on one resource that explains all answers? Each operation has its effect at one
 * moment between its call and its answer; what effects mean, and which may follow which, says lock-object.ts.
 *
 * In general that takes a search (Wing & Gong, Lowe). Here none is needed, and no stretch of time is too long:
 *   - what changes nothing (a touch) has its effect as soon as it can: that is in nobody's way;
 *   - what enables nothing (a release) has it as late as it can, at its answer;
 *   - grants have it as late as they can, in the order of their tokens, for there is no other: at their own answer, or
 *     when the answer to a later one, or to something about a later one, needs it.
 * So one picture of the present is enough, and where it fails every order does; a test compares it with the search.
 *
 * Does not see: leases that ended too early (`overlap`), whether a busy or refused caller could have been granted, what
 * the calls without an answer did, and how the resources of one lease hang together: each is judged alone.
 */
import type { History, Violation } from './history.ts';
import { after, type Op, operationsOf, START, type State, without } from './lock-object.ts';

/** At most one violation for each lease and resource. */
export function unexplained(history: History): Violation[] {
  return [...operationsOf(history)].flatMap(([resource, ops]) => new Replay(resource, ops).play());
}

/** How many answers before an unexplained one are shown, of those that matter. */
const SHOWN = 4;

const WORDS = { grant: 'granted', touch: 'renewed or repeated', released: 'released' } as const;

class Replay {
  readonly #resource: string;
  readonly #ops: readonly Op[];
  readonly #violations: Violation[] = [];
  #state: State = START;
  /** Under way and without effect; grants by their tokens, the smallest first. */
  #grants: Op[] = [];
  readonly #touches = new Set<Op>();
  readonly #done = new Set<Op>();
  /** Of a lease that was found wrong nothing more is judged. */
  readonly #ignored = new Set<string>();
  /** How much is still to come of each lease: what nobody speaks of any more is forgotten. */
  readonly #left = new Map<string, number>();
  #answered: Op[] = [];

  constructor(resource: string, ops: readonly Op[]) {
    this.#resource = resource;
    this.#ops = ops;
    for (const { leaseRef } of ops) this.#left.set(leaseRef, (this.#left.get(leaseRef) ?? 0) + 1);
  }

  /** Calls come before answers of the same moment: what touches may be in either order. */
  play(): Violation[] {
    const events = this.#ops.flatMap((op) => [
      { atMs: op.calledMs, op, ends: false },
      { atMs: op.answeredMs, op, ends: true },
    ]);
    events.sort((one, other) => one.atMs - other.atMs || Number(one.ends) - Number(other.ends));
    for (const { op, ends } of events) {
      if (!this.#ignored.has(op.leaseRef)) {
        if (ends) this.#end(op);
        else this.#begin(op);
      }
      if (ends) this.#forget(op.leaseRef);
    }
    return this.#violations;
  }

  #begin(op: Op): void {
    if (op.kind === 'touch' && !this.#effect(op)) this.#touches.add(op);
    if (op.kind !== 'grant') return;
    let low = 0;
    let high = this.#grants.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#grants[middle]!.token <= op.token) low = middle + 1;
      else high = middle;
    }
    this.#grants.splice(low, 0, op);
  }

  #end(op: Op): void {
    if (!this.#done.delete(op) && !this.#effect(op)) {
      this.#grantUpTo(op.token);
      if (!this.#done.delete(op) && !this.#effect(op)) this.#wrong(op);
    }
    this.#touches.delete(op);
    this.#done.delete(op);
    this.#answered.push(op);
    if (this.#answered.length > 20 * SHOWN) this.#answered = this.#answered.slice(-10 * SHOWN);
  }

  #forget(leaseRef: string): void {
    const left = this.#left.get(leaseRef)! - 1;
    this.#left.set(leaseRef, left);
    if (left === 0) this.#state = without(this.#state, leaseRef);
  }

  /** A grant only in its turn. */
  #effect(op: Op): boolean {
    if (op.kind === 'grant' && this.#grants[0] !== op) return false;
    const then = after(this.#state, op);
    if (then === undefined) return false;
    this.#state = then;
    this.#done.add(op);
    if (op.kind !== 'grant') return true;
    this.#grants.shift();
    for (const touch of this.#touches) if (this.#effect(touch)) this.#touches.delete(touch);
    return true;
  }

  #grantUpTo(token: bigint): void {
    for (let next = this.#grants[0]; next !== undefined && next.token <= token; next = this.#grants[0]) {
      // It is told at its own answer.
      if (!this.#effect(next)) this.#grants.shift();
    }
  }

  #wrong(op: Op): void {
    const { leaseRef, token, kind, calledMs, answeredMs } = op;
    this.#ignored.add(leaseRef);
    this.#grants = this.#grants.filter((grant) => grant.leaseRef !== leaseRef);
    for (const touch of this.#touches) if (touch.leaseRef === leaseRef) this.#touches.delete(touch);
    const matters = this.#answered.filter((other) => other.leaseRef === leaseRef || other.token >= token);
    this.#violations.push({
      rule: 'unexplained',
      resource: this.#resource,
      atMs: answeredMs,
      detail:
        `lease ${leaseRef} (token ${token}) was ${WORDS[kind]} between ${calledMs} and ${answeredMs}; ` +
        'no order of what was answered before explains it',
      entries: [...new Set([...matters.slice(-SHOWN), op].map(({ entry }) => entry))],
    });
  }
}
