/** Gathers what one tick asks of a node, so that it leaves as one script instead of many commands. */
import { limits } from '../domain/limits.ts';
import type { Answer, NodeOp, Silent } from './node.ts';

interface Pending {
  readonly op: NodeOp;
  readonly settle: (answer: Answer) => void;
}

/** Sends one batch; resolves with an answer for each operation, in order, and never rejects. */
export type Send = (operations: readonly NodeOp[]) => Promise<readonly Answer[] | Silent>;

const OVERLOADED: Silent = { kind: 'silent', why: 'overloaded', detail: 'too many unanswered operations' };

const TOO_FEW: Silent = { kind: 'silent', why: 'error', detail: 'the node answered too little' };

export class Batch {
  readonly #send: Send;
  #pending: Pending[] = [];
  #inFlight = 0;

  constructor(send: Send) {
    this.#send = send;
  }

  /** Joins the batch of this tick. A node that owes too many answers gets no more work: memory is bounded. */
  ask(op: NodeOp): Promise<Answer> {
    if (this.#inFlight >= limits.operationsInFlight) return Promise.resolve(OVERLOADED);
    this.#inFlight += 1;
    return new Promise((resolve) => {
      // setImmediate, not a microtask: all that this turn of the loop read from its sockets shall travel together.
      if (this.#pending.length === 0) setImmediate(() => this.#flush());
      this.#pending.push({ op, settle: resolve });
    });
  }

  #flush(): void {
    const pending = this.#pending;
    this.#pending = [];
    if (pending.length <= limits.operationsPerBatch) {
      void this.#sendSome(pending);
      return;
    }
    for (let start = 0; start < pending.length; start += limits.operationsPerBatch) {
      void this.#sendSome(pending.slice(start, start + limits.operationsPerBatch));
    }
  }

  async #sendSome(some: readonly Pending[]): Promise<void> {
    const answers = await this.#send(some.map(({ op }) => op));
    this.#inFlight -= some.length;
    for (let index = 0; index < some.length; index += 1) {
      some[index]!.settle('kind' in answers ? answers : (answers[index] ?? TOO_FEW));
    }
  }
}
