/** One question put to every node, and the answers as they come in. */
import type { Probe, VoteTrace } from '../domain/probe.ts';
import type { Answer, LockNode, NodeOp } from '../nodes/node.ts';
import type { Reply } from './ballot.ts';

/** What was asked of every node, and what has come back so far. */
export interface Ballot {
  /** True once a majority voted for; decided as soon as it is certain either way. */
  readonly carried: boolean;
  /** By node, in the order of the list; filled as answers come, also after the decision. */
  readonly answers: readonly (Reply | undefined)[];
  /** Resolves when every node has answered or fallen silent. */
  readonly complete: Promise<void>;
  /** Calls `act` once, when `complete` would resolve or at once if that is over. */
  whenComplete(act: () => void): void;
}

export type IsFor = (answer: Answer) => boolean;

const SKIPPED: Reply = { kind: 'skipped' };
const NOBODY: Promise<undefined> = Promise.resolve(undefined);

export class OpenBallot implements Ballot {
  readonly answers: (Reply | undefined)[] = [];
  carried = false;
  readonly #op: NodeOp;
  readonly #isFor: IsFor;
  readonly #probe: Probe;
  readonly #trace: VoteTrace | undefined;
  readonly #ordered: boolean;
  #last: Promise<Reply | undefined> = NOBODY;
  #outstanding: number;
  #waiting: (() => void)[] | undefined;

  constructor(op: NodeOp, isFor: IsFor, nodes: number, probe: Probe, ordered = false) {
    this.#op = op;
    this.#isFor = isFor;
    this.#probe = probe;
    this.#trace = probe.traceVote?.(op.kind);
    this.#ordered = ordered;
    this.#outstanding = nodes;
    for (let index = 0; index < nodes; index += 1) this.answers.push(undefined);
  }

  /** Made when asked for: a grant never needs it. */
  get complete(): Promise<void> {
    return new Promise((resolve) => this.whenComplete(resolve));
  }

  whenComplete(act: () => void): void {
    if (this.#outstanding === 0) act();
    else if (this.#waiting === undefined) this.#waiting = [act];
    else this.#waiting.push(act);
  }

  /** Puts the question to one node; notes its answer and tells `count` whether that is for or against. */
  put(node: LockNode, index: number, count: (isFor: boolean) => void): void {
    const heard = (reply: Reply): void => {
      this.#note(reply, node.id, index);
      count(reply.kind !== 'skipped' && this.#isFor(reply));
      if (this.#outstanding === 0) this.#finish();
    };
    if (this.#ordered) void this.#askInTurn(node).then(heard);
    else if (node.post === undefined) void node.ask(this.#op).then(heard);
    else node.post(this.#op, heard);
  }

  decide(carried: boolean): this {
    this.carried = carried;
    this.#trace?.decided(carried);
    return this;
  }

  #note(reply: Reply, node: string, index: number): void {
    this.answers[index] = reply;
    const told = reply.kind === 'silent' ? reply.why : reply.kind;
    this.#probe.vote(this.#op.kind, node, told);
    this.#trace?.answered(node, told);
    this.#outstanding -= 1;
  }

  /** After the last answer was counted, so that whoever waits for all finds the decision made. */
  #finish(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting !== undefined) for (const act of waiting) act();
  }

  #askInTurn(node: LockNode): Promise<Reply> {
    this.#last = this.#last.then((before) => {
      if (before === undefined || before.kind === 'silent') return node.ask(this.#op);
      // Whoever meets an objection at an earlier node must not go on: it would only split the later ones again.
      if (before.kind === 'conflict' || before.kind === 'wait' || before.kind === 'skipped') return SKIPPED;
      // A fence is a fact that one node may tell for all; a clock is not, and the median needs every node's own.
      return before.kind === 'stale' ? before : node.ask(this.#op);
    });
    return this.#last as Promise<Reply>;
  }
}
