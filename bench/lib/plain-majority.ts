/** The same vote counted by a plain loop instead of the redlock package: shows what the package costs our path. */

import type { Probe } from '../../src/domain/probe.ts';
import type { Answer, LockNode, NodeOp } from '../../src/nodes/node.ts';
import { majorityOf } from '../../src/quorum/ballot.ts';
import type { Ballot } from '../../src/quorum/open-ballot.ts';
import type { Majority } from '../../src/quorum/redlock.ts';

class PlainMajority {
  readonly nodes: readonly LockNode[];
  readonly #probe: Probe;

  constructor(nodes: readonly LockNode[], probe: Probe) {
    this.nodes = nodes;
    this.#probe = probe;
  }

  vote(op: NodeOp, isFor: (answer: Answer) => boolean): Promise<Ballot> {
    const { nodes } = this;
    const majority = majorityOf(nodes.length);
    const answers: (Answer | undefined)[] = new Array(nodes.length).fill(undefined);
    let close: () => void = () => {};
    const complete = new Promise<void>((resolve) => {
      close = resolve;
    });
    const whenComplete = (act: () => void): void => void complete.then(act);
    return new Promise((resolve) => {
      let votes = 0;
      let against = 0;
      nodes.forEach((node, index) => {
        void node.ask(op).then((answer) => {
          answers[index] = answer;
          this.#probe.vote(op.kind, node.id, answer.kind === 'silent' ? answer.why : answer.kind);
          if (isFor(answer)) votes += 1;
          else against += 1;
          if (votes === majority) resolve({ carried: true, answers, complete, whenComplete });
          if (against === majority) resolve({ carried: false, answers, complete, whenComplete });
          if (votes + against === nodes.length) close();
        });
      });
    });
  }

  tell(op: NodeOp, isDone: (answer: Answer) => boolean): Promise<Ballot> {
    return this.vote(op, isDone);
  }

  async all(op: NodeOp): Promise<readonly Answer[]> {
    return Promise.all(this.nodes.map((node) => node.ask(op)));
  }
}

/** Its private fields make Majority a type that nothing else can be; the public face is the same. */
export function plainMajority(nodes: readonly LockNode[], probe: Probe): Majority {
  return new PlainMajority(nodes, probe) as unknown as Majority;
}
