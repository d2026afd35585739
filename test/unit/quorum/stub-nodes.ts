/** Nodes that answer when and what a test tells them. */
import type { Answer, LockNode, NodeOp } from '../../../src/nodes/node.ts';

interface Asked {
  readonly op: NodeOp;
  readonly answer: (answer: Answer) => void;
}

/** Keeps every question until the test answers it. */
export class StubNode implements LockNode {
  readonly id: string;
  readonly asked: Asked[] = [];

  constructor(id: string) {
    this.id = id;
  }

  ask(op: NodeOp): Promise<Answer> {
    return new Promise((resolve) => {
      this.asked.push({ op, answer: resolve });
    });
  }

  /** Answers the oldest question that is still open. */
  answer(answer: Answer): void {
    const oldest = this.asked.find((_, index) => index >= this.#answered);
    if (oldest === undefined) throw new Error(`nobody asked ${this.id}`);
    this.#answered += 1;
    oldest.answer(answer);
  }

  #answered = 0;
}

/** Answers every question at once as `respond` says. */
export class QuickNode implements LockNode {
  readonly id: string;
  readonly ops: NodeOp[] = [];
  respond: (op: NodeOp) => Answer;

  constructor(id: string, respond: (op: NodeOp) => Answer) {
    this.id = id;
    this.respond = respond;
  }

  async ask(op: NodeOp): Promise<Answer> {
    this.ops.push(op);
    return this.respond(op);
  }
}

/** Lets every promise that can settle do so: ten turns of the event loop. */
export async function settled(turns = 10): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
