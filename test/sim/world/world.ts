/** Everything a plan names, alive: nodes, replicas, clients, the network between them, and the history they leave. */

import { fingerprint } from '../../../src/quorum/cluster.ts';
import type { Entry } from '../../harness/history/history.ts';
import type { Fault, Plan } from '../plan.ts';
import { Chance } from './chance.ts';
import { Client } from './client.ts';
import { MachineClock } from './clocks.ts';
import { durableRuns } from './faults.ts';
import type { Mended } from './mender.ts';
import { isOn, Network } from './network.ts';
import { NodeProcess } from './node-process.ts';
import { Registers } from './registers.ts';
import { NAMESPACE, Replica } from './replica.ts';
import { Timeline } from './timeline.ts';

/** Before time 0 the cluster is bootstrapped, without faults and clients. */
export const BEFORE_MS = 10_000;
const SKEW_MS = 50;
/** A replica's clock may show anything, unless nodes forget: then clocks may have to stand in for fences. */
const FAR_SHARE = 0.15;
const FAR_MS = [3_000, 30_000, 3_600_000, 20 * 365 * 86_400_000] as const;

export class World {
  readonly timeline = new Timeline(-BEFORE_MS);
  readonly history: Entry[] = [];
  /** What menders say that they have ended. */
  readonly mended: Mended[] = [];
  readonly network: Network;
  readonly nodes: readonly NodeProcess[];
  readonly replicas: readonly Replica[];
  readonly clients: readonly Client[];
  /** How often each process is paused at the moment. */
  readonly standing = new Map<string, number>();
  readonly #plan: Plan;

  constructor(plan: Plan) {
    this.#plan = plan;
    const { timeline, history, mended } = this;
    const network = new Network(timeline, plan);
    this.network = network;
    this.nodes = Array.from({ length: plan.nodes }, (_, index) => this.#node(index));
    const { nodes } = this;
    this.replicas = Array.from({ length: plan.replicas }, (_, index) => {
      const clock = new MachineClock(timeline, replicaSkewMs(plan, index));
      return new Replica({ plan, index, timeline, network, nodes, clock, mended });
    });
    const stage = { timeline, network, replicas: this.replicas, history, registers: new Registers() };
    this.clients = plan.clients.map((_, index) => new Client(stage, plan, index, new MachineClock(timeline)));
  }

  /** What the nodes' meta says, less the run. */
  stamp(node: number): { nodeId: string; cluster: string; longestTtlMs: number } {
    const addresses = this.nodes.map(({ id }) => ({ id, url: '' }));
    const { longestTtlMs } = this.replicas[0] ?? this.#plan;
    return { nodeId: this.nodes[node]!.id, cluster: fingerprint(addresses, NAMESPACE), longestTtlMs };
  }

  /** Breaks every connection that the fault is on. */
  reset(fault: Extract<Fault, { kind: 'cut' }>): void {
    const touches = (link: Parameters<typeof isOn>[1]): boolean =>
      isOn(fault, link, 'in') || isOn(fault, link, 'out');
    this.replicas.forEach((replica, at) => {
      this.nodes.forEach((_, node) => {
        if (touches({ replica: at, node })) replica.reset(node);
      });
      for (const served of [...(replica.door?.calls ?? [])]) {
        if (touches(served.talk.link)) served.talk.reset(served);
      }
    });
  }

  #node(index: number): NodeProcess {
    const plan = this.#plan;
    const chance = new Chance(plan.seed, `node ${index}`);
    const clock = new MachineClock(this.timeline, chance.between([-SKEW_MS, SKEW_MS]));
    const journal = plan.faults.some(
      (fault) => fault.kind === 'crash' && fault.node === index && fault.memory === 'tail',
    );
    const id = `node-${index}:6379`;
    return new NodeProcess({
      id,
      timeline: this.timeline,
      clock,
      chance,
      durable: durableRuns(plan, index),
      journal,
    });
  }
}

function replicaSkewMs(plan: Plan, index: number): number {
  const chance = new Chance(plan.seed, `skew ${index}`);
  const nearMs = chance.between([-SKEW_MS, SKEW_MS]);
  const forgets = plan.faults.some(
    (fault) => fault.kind === 'flush' || (fault.kind === 'crash' && fault.memory !== 'durable'),
  );
  if (forgets || !chance.happens(FAR_SHARE)) return nearMs;
  return chance.pick(FAR_MS) * chance.pick([-1, 1] as const) + nearMs;
}
