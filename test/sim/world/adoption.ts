/** The operator of a plan: stops all replicas, hands the nodes over to another longest ttl, and starts the replicas with it. */
import { adopt } from '../../../src/quorum/adopt.ts';
import { pause } from '../../../src/std/clock.ts';
import type { Plan } from '../plan.ts';
import { Chance } from './chance.ts';
import { MachineClock } from './clocks.ts';
import { Member } from './member.ts';
import { Network } from './network.ts';
import { Process } from './process.ts';
import type { World } from './world.ts';

const AGAIN_MS = 200;
/** A node that came back is taken in by the replicas within that. */
const SETTLES_MS = 3000;

/** Sets the alarm for what the plan says, if it says anything. */
export function armAdoption(world: World, plan: Plan): void {
  const { adoption } = plan;
  if (adoption === undefined || meetsRestarts(plan)) return;
  const { atMs, untilMs, longestTtlMs } = adoption;
  const { timeline, replicas, history } = world;
  timeline.at(atMs, () => {
    for (const replica of replicas) replica.bar();
    const started = new Promise<void>((resolve) => {
      timeline.at(untilMs, resolve);
    });
    Promise.all([handOver(world, plan, longestTtlMs), started]).then(
      () => {
        history.push({ kind: 'fault', name: 'adoption', where: '', atMs, untilMs: timeline.nowMs });
        for (const replica of replicas) replica.admit(longestTtlMs);
      },
      (cause: unknown) => timeline.fail(cause),
    );
  });
}

/**
 * A node that restarts while no replica runs, or between two tries, is no longer one that an adoption can retire: it
 * would need a replica of the old setting first. An operator does not begin then.
 */
function meetsRestarts({ adoption, faults }: Plan): boolean {
  const fromMs = (adoption?.atMs ?? 0) - SETTLES_MS;
  const untilMs = (adoption?.untilMs ?? 0) + SETTLES_MS;
  return faults.some(
    (fault) =>
      (fault.kind === 'crash' || (fault.kind === 'pause' && fault.who === 'node')) &&
      fault.atMs < untilMs &&
      fault.untilMs > fromMs,
  );
}

/** `config adopt`, tried again until it has worked, as docs/operations.md tells operators to. */
async function handOver(world: World, plan: Plan, longestTtlMs: number): Promise<void> {
  const { timeline, nodes } = world;
  // By a way without faults: an adoption that goes on for long meets nodes that restart, and then ends only by hand.
  const network = new Network(timeline, { ...plan, faults: [] });
  const operator = new Process(timeline, new MachineClock(timeline));
  const random = new Chance(plan.seed, 'operator');
  const members = nodes.map(
    (node, at) =>
      new Member({
        timeline,
        network,
        process: operator,
        chance: random,
        link: { replica: 0, node: at },
        node,
        timeoutMs: plan.nodeTimeoutMs,
        replica: 'operator',
        onDefect: (cause) => timeline.fail(cause),
      }),
  );
  const { cluster } = world.stamp(0);
  const both = { oldNodes: members, nodes: members, oldCluster: cluster, cluster, longestTtlMs, random };
  while (!(await adopt(both)).ok) await pause(operator, AGAIN_MS);
  for (const member of members) member.close();
  operator.kill();
}
