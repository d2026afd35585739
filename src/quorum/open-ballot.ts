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
}

export type IsFor = (answer: Answer) => boolean;

const SKIPPED: Reply = { kind: 'skipped' };
const NOBODY: Promise<undefined> = Promise.resolve(undefined);

export class OpenBallot implements Ballot {
  readonly answers: (Reply | undefined)[];
  carried = false;
  readonly #op: NodeOp;
  readonly #isFor: IsFor;
  readonly #probe: Probe;
  readonly #trace: VoteTrace | undefined;
  readonly #ordered: boolean;
  #last: Promise<Reply | undefined> = NOBODY;
  #outstanding: number;
  #completion: PromiseWithResolvers<void> | undefined;

  constructor(op: NodeOp, isFor: IsFor, nodes: number, probe: Probe, ordered = false) {
    this.#op = op;
    this.#isFor = isFor;
    this.#probe = probe;
    this.#trace = probe.traceVote?.(op.kind);
    this.#ordered = ordered;
    this.#outstanding = nodes;
    this.answers = new Array(nodes).fill(undefined);
  }

  /** Made when asked for: a grant never needs it. */
  get complete(): Promise<void> {
    if (this.#outstanding === 0) return Promise.resolve();
    this.#completion ??= Promise.withResolvers();
    return this.#completion.promise;
  }

  /** Notes the node's answer and hands on what `count` makes of its being for or against. */
  ask<Counted>(node: LockNode, index: number, count: (isFor: boolean) => Counted): Promise<Counted> {
    const asked = this.#ordered ? this.#askInTurn(node) : node.ask(this.#op);
    return asked.then((reply) => {
      this.answers[index] = reply;
      const told = reply.kind === 'silent' ? reply.why : reply.kind;
      this.#probe.vote(this.#op.kind, node.id, told);
      this.#trace?.answered(node.id, told);
      this.#outstanding -= 1;
      if (this.#outstanding === 0) this.#completion?.resolve();
      return count(reply.kind !== 'skipped' && this.#isFor(reply));
    });
  }

  decide(carried: boolean): this {
    this.carried = carried;
    const trace = this.#trace;
    if (trace !== undefined) {
      trace.decided(carried);
      void this.complete.then(() => trace.complete());
    }
    return this;
  }

  #askInTurn(node: LockNode): Promise<Reply> {
    this.#last = this.#last.then((before) => {
      if (before === undefined || before.kind === 'silent') return node.ask(this.#op);
      // Whoever meets an objection at an earlier node must not go on: it would only split the later ones again.
      if (before.kind === 'conflict' || before.kind === 'skipped') return SKIPPED;
      // A fence is a fact that one node may tell for all; a clock is not, and the median needs every node's own.
      return before.kind === 'stale' ? before : node.ask(this.#op);
    });
    return this.#last as Promise<Reply>;
  }
}
