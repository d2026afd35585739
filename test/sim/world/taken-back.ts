/** What a node was told to take back and has confirmed: nothing of that attempt may be accepted there any more (G4). */
import { tokenLeadMicros } from '../../../src/domain/limits.ts';
import type { Answer, NodeOp } from '../../../src/nodes/node.ts';

export class TakenBack {
  /** By the attempt's value. */
  readonly #values = new Set<string>();

  /** The node lost its memory, or a part of it. */
  forget(): void {
    this.#values.clear();
  }

  /** What is wrong with this answer, if anything is. */
  fault(op: NodeOp, answer: Answer, nowMicros: number): string | undefined {
    if (op.kind === 'release' && answer.kind === 'released' && op.closing) {
      // What is further ahead of the node's clock leaves no trace: the exception of G4.
      if (op.token <= nowMicros + tokenLeadMicros) this.#values.add(op.value);
    }
    if (op.kind !== 'hold' && op.kind !== 'repair') return undefined;
    const accepted = answer.kind === 'held' && this.#values.has(op.value);
    return accepted ? `a ${op.kind} of ${op.leaseRef} was accepted after it had been taken back` : undefined;
  }
}
