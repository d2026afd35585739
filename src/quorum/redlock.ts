/** The vote of a majority, counted by the `redlock` package; the only file that knows it. */
import Redlock, { Lock } from 'redlock';
import type { Probe, VoteTrace } from '../domain/probe.ts';
import type { Answer, LockNode, NodeOp } from '../nodes/node.ts';
import { assert } from '../std/assert.ts';
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

type IsFor = (answer: Answer) => boolean;

/** Redlock counts any rejection as a vote against; one constant error, since a stack trace for each would cost more than the vote. */
const AGAINST = new Error('AGAINST');
const KEYS = ['vote'];
const NONE: [] = [];
const SKIPPED: Reply = { kind: 'skipped' };
const NOBODY: Promise<undefined> = Promise.resolve(undefined);

class OpenBallot {
  readonly answers: (Reply | undefined)[];
  carried = false;
  readonly #op: NodeOp;
  readonly #isFor: IsFor;
  readonly #ordered: boolean;
  readonly #trace: VoteTrace | undefined;
  #last: Promise<Reply | undefined> = NOBODY;
  #outstanding: number;
  #completion: PromiseWithResolvers<void> | undefined;

  constructor(op: NodeOp, isFor: IsFor, nodes: number, ordered: boolean, traced: VoteTrace | undefined) {
    this.#op = op;
    this.#isFor = isFor;
    this.#ordered = ordered;
    this.#trace = traced;
    this.#outstanding = nodes;
    this.answers = new Array(nodes).fill(undefined);
  }

  /** Made when asked for: a grant never needs it. */
  get complete(): Promise<void> {
    if (this.#outstanding === 0) return Promise.resolve();
    this.#completion ??= Promise.withResolvers();
    return this.#completion.promise;
  }

  /** One node's vote in the form in which redlock counts it: as many keys as it was given, or a rejection. */
  cast(node: LockNode, index: number, probe: Probe): Promise<number> {
    const asked = this.#ordered ? this.#askInTurn(node) : node.ask(this.#op);
    return asked.then((reply) => {
      this.answers[index] = reply;
      const told = reply.kind === 'silent' ? reply.why : reply.kind;
      probe.vote(this.#op.kind, node.id, told);
      this.#trace?.answered(node.id, told);
      this.#outstanding -= 1;
      if (this.#outstanding === 0) this.#completion?.resolve();
      if (reply.kind !== 'skipped' && this.#isFor(reply)) return KEYS.length;
      throw AGAINST;
    });
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

export class Majority {
  readonly nodes: readonly LockNode[];
  readonly #probe: Probe;
  readonly #redlock: Redlock;

  /** An even number would let a tie hang for ever (redlock waits for one side to reach a majority). */
  constructor(nodes: readonly LockNode[], probe: Probe) {
    assert(nodes.length % 2 === 1, `an odd number of nodes, not ${nodes.length}`);
    this.nodes = nodes;
    this.#probe = probe;
    const clients = nodes.map((node, index) => ({
      // The package hands a lock's value through unread, so the ballot itself can be that value.
      evalsha: (_sha: string, _keys: number, args: readonly unknown[]) =>
        (args[KEYS.length] as OpenBallot).cast(node, index, probe),
      eval: () => Promise.reject(AGAINST),
      quit: () => Promise.resolve(),
    }));
    this.#redlock = new Redlock(clients as unknown as ConstructorParameters<typeof Redlock>[0], {
      retryCount: 0,
      automaticExtensionThreshold: 0,
      driftFactor: 0,
    });
  }

  /**
   * Puts `op` to all nodes at once, or, `ordered`, to one after the other, so that attempts which meet again and
   * again meet at the first node. Resolves at the majority; `extend` is the one call of the package that takes our
   * own value and exactly one script a node.
   */
  async vote(op: NodeOp, isFor: IsFor, ordered = false): Promise<Ballot> {
    const traced = this.#probe.traceVote?.(op.kind);
    const ballot = new OpenBallot(op, isFor, this.nodes.length, ordered, traced);
    const value = ballot as unknown as string;
    try {
      await this.#redlock.extend(new Lock(this.#redlock, KEYS, value, NONE, Number.POSITIVE_INFINITY), 1);
      ballot.carried = true;
    } catch {
      // Against: the ballot knows why.
    }
    if (traced !== undefined) {
      traced.decided(ballot.carried);
      void ballot.complete.then(() => traced.complete());
    }
    return ballot;
  }

  /** Asks every node and waits for all of them: for views, which show each node's opinion. */
  async all(op: NodeOp): Promise<readonly Answer[]> {
    return Promise.all(this.nodes.map((node) => node.ask(op)));
  }
}
