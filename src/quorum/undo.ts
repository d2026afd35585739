/** Undos that must arrive: what a node has not confirmed is sent again until it does, or no vote of it can still matter. */
import { limits } from '../domain/limits.ts';
import type { Probe } from '../domain/probe.ts';
import type { Answer, LockNode, ReleaseOp } from '../nodes/node.ts';
import type { Clock } from '../std/clock.ts';

const RETRY_MS_MIN = 50;
const RETRY_MS_MAX = 2000;

interface Owed {
  readonly op: ReleaseOp;
  readonly untilMs: number;
}

/**
 * One list for each node, keyed by lease value. An entry leaves when the node confirmed it, when its time is over
 * (a vote still on its way would expire by then), or when the list is full (oldest first, counted).
 * The list dies with the process; the leases' ttl covers that.
 */
export class Undo {
  readonly #nodes: readonly LockNode[];
  readonly #clock: Clock;
  readonly #probe: Probe;
  readonly #memoryMs: number;
  readonly #owed: Map<string, Owed>[];
  readonly #retrying: boolean[];

  /** `memoryMs`: how long an unconfirmed undo is kept; at least the longest ttl. */
  constructor(nodes: readonly LockNode[], clock: Clock, probe: Probe, memoryMs: number) {
    this.#nodes = nodes;
    this.#clock = clock;
    this.#probe = probe;
    this.#memoryMs = memoryMs;
    this.#owed = nodes.map(() => new Map());
    this.#retrying = nodes.map(() => false);
  }

  /** Sends `op` to the nodes of `targets`; resolves when each has confirmed or has fallen silent once. */
  async send(op: ReleaseOp, targets: readonly number[]): Promise<readonly Answer[]> {
    return Promise.all(
      targets.map(async (index) => {
        const answer = await this.#nodes[index]!.ask(op);
        if (!confirmed(answer)) this.owe(op, index);
        return answer;
      }),
    );
  }

  /** Puts `op` on the list of a node that is known not to have answered. */
  owe(op: ReleaseOp, index: number): void {
    const owed = this.#owed[index]!;
    // A closing undo does all that another one would.
    if (owed.get(op.value)?.op.closing === true && !op.closing) return;
    const full = owed.size >= limits.undosPerNode && !owed.has(op.value);
    const oldest = full ? owed.keys().next().value : undefined;
    if (oldest !== undefined) {
      owed.delete(oldest);
      this.#probe.notice('error', 'undo list full: the oldest undo was dropped', {
        node: this.#nodes[index]!.id,
      });
    }
    owed.set(op.value, { op, untilMs: this.#clock.monotonicMs() + this.#memoryMs });
    this.#probe.undosOwed(this.#nodes[index]!.id, owed.size);
    this.#retryLater(index, RETRY_MS_MIN);
  }

  /** How many confirmations `index` owes. */
  count(index: number): number {
    return this.#owed[index]!.size;
  }

  #retryLater(index: number, delayMs: number): void {
    if (this.#retrying[index] === true || this.#owed[index]!.size === 0) return;
    this.#retrying[index] = true;
    this.#clock.after(delayMs, () => void this.#retry(index, delayMs));
  }

  async #retry(index: number, delayMs: number): Promise<void> {
    const node = this.#nodes[index]!;
    const owed = this.#owed[index]!;
    const nowMs = this.#clock.monotonicMs();
    const some = [...owed.values()].slice(0, limits.operationsPerBatch);
    const answers = await Promise.all(some.map(({ op }) => node.ask(op)));
    let progress = false;
    some.forEach((entry, at) => {
      if (!confirmed(answers[at]!) && entry.untilMs > nowMs) return;
      progress = true;
      if (owed.get(entry.op.value) === entry) owed.delete(entry.op.value);
    });
    this.#probe.undosOwed(node.id, owed.size);
    this.#retrying[index] = false;
    this.#retryLater(index, progress ? RETRY_MS_MIN : Math.min(RETRY_MS_MAX, delayMs * 2));
  }
}

/** An error reply or silence is no confirmation. */
function confirmed(answer: Answer): boolean {
  return answer.kind === 'released';
}
