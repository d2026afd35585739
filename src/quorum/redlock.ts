/** The vote of a majority, counted by the `redlock` package; the only file that knows it. */
import Redlock, { Lock } from 'redlock';
import type { Probe } from '../domain/probe.ts';
import type { Answer, LockNode, NodeOp } from '../nodes/node.ts';
import { assert } from '../std/assert.ts';
import { majorityOf } from './ballot.ts';
import { type Ballot, type IsFor, OpenBallot } from './open-ballot.ts';

/** Redlock counts any rejection as a vote against; one constant error, for a stack trace each would cost more than the vote. */
const AGAINST = new Error('AGAINST');
const KEYS = ['vote'];
const NONE: [] = [];

/** One node's vote in the form in which redlock counts it: as many keys as it was given, or a rejection. */
function voteOf(ballot: OpenBallot, node: LockNode, index: number): Promise<number> {
  return new Promise((resolve, reject) => {
    ballot.put(node, index, (isFor) => {
      if (isFor) resolve(KEYS.length);
      else reject(AGAINST);
    });
  });
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
        voteOf(args[KEYS.length] as OpenBallot, node, index),
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
    const ballot = new OpenBallot(op, isFor, this.nodes.length, this.#probe, ordered);
    const value = ballot as unknown as string;
    try {
      await this.#redlock.extend(new Lock(this.#redlock, KEYS, value, NONE, Number.POSITIVE_INFINITY), 1);
      return ballot.decide(true);
    } catch {
      // Against: the ballot knows why.
      return ballot.decide(false);
    }
  }

  /**
   * Tells all nodes to let go; resolves when a majority has, or can no longer. No vote: nothing is granted by it, and
   * every node does it alone, so the package, a third of the cost of a vote, has nothing to count here.
   */
  tell(op: NodeOp, isDone: IsFor): Promise<Ballot> {
    const { nodes } = this;
    const majority = majorityOf(nodes.length);
    const ballot = new OpenBallot(op, isDone, nodes.length, this.#probe);
    return new Promise((resolve) => {
      let done = 0;
      let failed = 0;
      const count = (isFor: boolean): void => {
        if (isFor) done += 1;
        else failed += 1;
        if (done === majority && isFor) resolve(ballot.decide(true));
        if (failed === majority && !isFor) resolve(ballot.decide(false));
      };
      for (let index = 0; index < nodes.length; index += 1) ballot.put(nodes[index]!, index, count);
    });
  }

  /** Asks every node and waits for all of them: for views, which show each node's opinion. */
  async all(op: NodeOp): Promise<readonly Answer[]> {
    return Promise.all(this.nodes.map((node) => node.ask(op)));
  }
}
