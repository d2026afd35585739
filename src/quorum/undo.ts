/** What must be taken back everywhere: an undo or a leave is sent again until its node confirms it, or it cannot matter any more. */
import { limits } from '../domain/limits.ts';
import type { Probe } from '../domain/probe.ts';
import type { Answer, LeaveOp, LockNode, ReleaseOp } from '../nodes/node.ts';
import type { Clock } from '../std/clock.ts';

const RETRY_MS_MIN = 50;
const RETRY_MS_MAX = 2000;

/** An undo of one attempt, or a waiter that leaves its place. */
export type TakeBack = ReleaseOp | LeaveOp;

interface Owed {
  readonly op: TakeBack;
  readonly untilMs: number;
}

/**
 * One list for each node, keyed by lease value or waiter. An entry leaves when the node confirmed it, when its time is over
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
  async send(op: TakeBack, targets: readonly number[]): Promise<readonly Answer[]> {
    return Promise.all(
      targets.map(async (index) => {
        const answer = await this.#nodes[index]!.ask(op);
        if (!confirmed(answer)) this.owe(op, index);
        return answer;
      }),
    );
  }

  /** Puts `op` on the list of a node that is known not to have answered. */
  owe(op: TakeBack, index: number): void {
    const owed = this.#owed[index]!;
    const key = keyOf(op);
    // A closing undo does all that another one would.
    if (closes(owed.get(key)?.op) && !closes(op)) return;
    const full = owed.size >= limits.undosPerNode && !owed.has(key);
    const oldest = full ? owed.keys().next().value : undefined;
    if (oldest !== undefined) {
      owed.delete(oldest);
      this.#probe.notice('error', 'undo list full: the oldest undo was dropped', {
        node: this.#nodes[index]!.id,
      });
    }
    owed.set(key, { op, untilMs: this.#clock.monotonicMs() + this.#memoryMs });
    this.#probe.undosOwed(this.#nodes[index]!.id, owed.size);
    this.#retryLater(index, RETRY_MS_MIN);
  }

  /** The waiter has come back: what it left it must not lose again. */
  forgiveLeave(id: string): void {
    for (const owed of this.#owed) owed.delete(`leave ${id}`);
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
      if (owed.get(keyOf(entry.op)) === entry) owed.delete(keyOf(entry.op));
    });
    this.#probe.undosOwed(node.id, owed.size);
    this.#retrying[index] = false;
    this.#retryLater(index, progress ? RETRY_MS_MIN : Math.min(RETRY_MS_MAX, delayMs * 2));
  }
}

/** An error reply or silence is no confirmation. */
function confirmed(answer: Answer): boolean {
  return answer.kind === 'released' || answer.kind === 'left';
}

/** What names a binding does less than what names none, or another: neither may stand in for the other. */
function keyOf(op: TakeBack): string {
  if (op.kind === 'leave') return `leave ${op.id}`;
  return op.binding === undefined ? op.value : `${op.value} ${op.binding}`;
}

function closes(op: TakeBack | undefined): boolean {
  return op?.kind === 'release' && op.closing;
}
