/** What nodes tell unasked, by node: whose turn it is, what was ended by force, and what happens while somebody watches. */
import type { News, Wake } from '../nodes/line.ts';
import type { LockNode } from '../nodes/node.ts';

/** One listener for each kind of news, set by whoever cares; none may throw. */
export class Wakeups {
  /** Names this replica to the nodes. */
  readonly replica: string;
  onWake: (node: number, wake: Wake) => void = () => {};
  onNews: (node: number, news: News) => void = () => {};
  onForced: (leaseRef: string) => void = () => {};
  onMissed: (node: number) => void = () => {};

  constructor(nodes: readonly LockNode[], replica: string) {
    this.replica = replica;
    nodes.forEach((node, index) => {
      node.hear?.({
        replica,
        wake: (wake) => this.onWake(index, wake),
        news: (news) => this.onNews(index, news),
        forced: (leaseRef) => this.onForced(leaseRef),
        missed: () => this.onMissed(index),
      });
    });
  }
}
