/** Gathers what one tick asks of a node, so that it leaves as one script instead of many commands. */
import { limits } from '../domain/limits.ts';
import type { Answer, NodeOp, Silent } from './node.ts';

type Heard = (answer: Answer) => void;

/** Sends one batch; resolves with an answer for each operation, in order, and never rejects. */
export type Send = (operations: readonly NodeOp[]) => Promise<readonly Answer[] | Silent>;

const OVERLOADED: Silent = { kind: 'silent', why: 'overloaded', detail: 'too many unanswered operations' };

const TOO_FEW: Silent = { kind: 'silent', why: 'error', detail: 'the node answered too little' };

/**
 * A busy loop serves one socket after the other, and what it answers makes callers ask again at once: while a turn
 * brings more, the batch waits for the next one, this often at most. A lone operation waits for one empty poll.
 */
const TURNS = 2;

export class Batch {
  readonly #send: Send;
  readonly #onDefect: (cause: unknown) => void;
  #operations: NodeOp[] = [];
  #heard: Heard[] = [];
  #inFlight = 0;

  /** `onDefect` is told what a listener threw: the others of its batch must hear their answers all the same. */
  constructor(send: Send, onDefect: (cause: unknown) => void) {
    this.#send = send;
    this.#onDefect = onDefect;
  }

  ask(op: NodeOp): Promise<Answer> {
    return new Promise((resolve) => this.post(op, resolve));
  }

  /** Joins the batch of this tick. A node that owes too many answers gets no more work: memory is bounded. */
  post(op: NodeOp, heard: Heard): void {
    if (this.#inFlight >= limits.operationsInFlight) {
      queueMicrotask(() => heard(OVERLOADED));
      return;
    }
    this.#inFlight += 1;
    if (this.#operations.length === 0) this.#flushLater(0, 0);
    this.#operations.push(op);
    this.#heard.push(heard);
  }

  /** setImmediate, not a microtask: all that this turn of the loop read from its sockets shall travel together. */
  #flushLater(before: number, turns: number): void {
    setImmediate(() => {
      const { length } = this.#operations;
      if (length > before && turns < TURNS) this.#flushLater(length, turns + 1);
      else this.#flush();
    });
  }

  #flush(): void {
    const operations = this.#operations;
    const heard = this.#heard;
    this.#operations = [];
    this.#heard = [];
    if (operations.length <= limits.operationsPerBatch) {
      void this.#sendSome(operations, heard);
      return;
    }
    for (let start = 0; start < operations.length; start += limits.operationsPerBatch) {
      const end = start + limits.operationsPerBatch;
      void this.#sendSome(operations.slice(start, end), heard.slice(start, end));
    }
  }

  async #sendSome(operations: readonly NodeOp[], heard: readonly Heard[]): Promise<void> {
    const answers = await this.#send(operations);
    this.#inFlight -= operations.length;
    for (let index = 0; index < heard.length; index += 1) {
      try {
        heard[index]!('kind' in answers ? answers : (answers[index] ?? TOO_FEW));
      } catch (cause) {
        this.#onDefect(cause);
      }
    }
  }
}
