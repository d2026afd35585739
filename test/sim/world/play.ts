/** Plays one plan over the very code of locks and quorum: virtual time, one thread, everything a function of the plan. */
import type { Entry } from '../../harness/history/history.ts';
import type { Plan } from '../plan.ts';
import { longestOf } from '../stable.ts';
import { armAdoption } from './adoption.ts';
import { arm } from './faults.ts';
import type { Mended } from './mender.ts';
import { World } from './world.ts';

export interface Played {
  readonly history: Entry[];
  readonly simulatedMs: number;
  /** Clients times the seconds they lived through. */
  readonly clientSeconds: number;
  /** Carried between replicas and nodes, and between clients and replicas. */
  readonly messages: number;
  readonly mended: readonly Mended[];
  /** A defect: a thrown assertion, an unhandled rejection, a call that never settled. */
  readonly crash?: Error;
}

/** Answers are owed by then at the latest, whatever was in the way. */
const OVERDUE_MS = 5000;
/** Twice the clock skew and the lead, which quarantine.ts adds where clocks stand in for fences; and looks that notice. */
const CLOCKS_MS = 3500;

/** After the last client was stopped every lease, wait, quarantine and retry is over after that. */
function restMs(plan: Plan): number {
  return 4 * longestOf(plan) + plan.livenessMs + OVERDUE_MS;
}

/**
 * After the heal nodes may sit out a quarantine, the longer one without peers, then holders that died their ttl and dead
 * waiters their liveness: all that within the first half, as the checker has it.
 */
function aliveMs(plan: Plan): number {
  return 2 * (2.1 * longestOf(plan) + plan.livenessMs + CLOCKS_MS);
}

/** `visit`: sees the world before it begins. */
export async function play(plan: Plan, visit: (world: World) => void = () => {}): Promise<Played> {
  const world = new World(plan);
  visit(world);
  const { timeline, history } = world;
  const onRejection = (cause: unknown): void => timeline.fail(cause);
  process.on('unhandledRejection', onRejection);
  try {
    await run(world, plan);
  } finally {
    process.off('unhandledRejection', onRejection);
  }
  const crash = timeline.defect;
  return {
    history,
    simulatedMs: timeline.nowMs,
    clientSeconds: (plan.clients.length * Math.min(stopMs(plan), timeline.nowMs)) / 1000,
    messages: world.network.messages,
    mended: world.mended,
    ...(crash === undefined ? {} : { crash }),
  };
}

function stopMs(plan: Plan): number {
  return Math.max(plan.endMs, plan.healMs + aliveMs(plan));
}

async function run(world: World, plan: Plan): Promise<void> {
  const { timeline, history, replicas, clients } = world;
  for (const replica of replicas) replica.start();
  await timeline.run(-1);
  if (!replicas.every(({ ready, door }) => ready && door !== undefined)) {
    timeline.fail(new Error('the cluster was not bootstrapped in time'));
    return;
  }
  arm(world, plan);
  armAdoption(world, plan);
  for (const client of clients) client.start();
  timeline.at(plan.healMs, () => {
    const atMs = plan.healMs;
    history.push({ kind: 'healed', atMs, aliveByMs: atMs + aliveMs(plan) });
  });
  const stop = stopMs(plan);
  timeline.at(stop, () => {
    for (const client of clients) client.stop();
  });
  timeline.at(stop + 1.5 * longestOf(plan), () => {
    for (const client of clients) client.abandon();
  });
  await timeline.run(stop + restMs(plan));
  if (timeline.defect === undefined) atRest(world, plan);
}

/** Nobody asks any more, and everything must be over. */
function atRest(world: World, plan: Plan): void {
  const { timeline, history, nodes, replicas } = world;
  for (const [index, replica] of replicas.entries()) {
    const overdue = replica.door?.overdue(OVERDUE_MS) ?? [];
    if (overdue.length > 0)
      timeline.fail(new Error(`replica ${index} never answered: ${overdue.join('; ')}`));
  }
  for (const resource of plan.resources) {
    const views = nodes.map((node, index) => node.look(resource, world.stamp(index)));
    const silent = views.indexOf(undefined);
    if (silent >= 0) timeline.fail(new Error(`node ${silent} never came back to voting`));
    const seen = views.filter((view) => view !== undefined && view !== null);
    const holders = seen.flatMap(({ holder, readers }) => [
      ...(holder === undefined ? [] : [holder]),
      ...(readers ?? []),
    ]);
    const waiters = seen.flatMap(({ line }) => line?.waiters ?? []);
    history.push({
      kind: 'rest',
      resource,
      atMs: timeline.nowMs,
      leaseRefs: [...new Set(holders.map(({ leaseRef }) => leaseRef))],
      waiters: [...new Set(waiters.map(({ id }) => id))],
    });
  }
}
