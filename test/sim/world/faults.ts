/** Makes the faults of a plan happen that are not of the network alone: to nodes, replicas, clients and their clocks. */
import type { Fault as FaultEntry } from '../../harness/history/history.ts';
import type { Fault, Plan } from '../plan.ts';
import type { World } from './world.ts';

type Of<Kind extends Fault['kind']> = Extract<Fault, { kind: Kind }>;

/** Sets the alarm for each fault; `world` is told of them when they happen. */
export function arm(world: World, plan: Plan): void {
  for (const fault of plan.faults) {
    world.timeline.at(fault.atMs, () => {
      if (begin(world, fault)) world.history.push(entryOf(fault));
    });
  }
}

/** Whether a run of a node keeps all that it answered: the crash that ends it says so; without one, the last that did. */
export function durableRuns(plan: Plan, node: number): (run: number) => boolean {
  const crashes = plan.faults
    .filter((fault) => fault.kind === 'crash' && fault.node === node)
    .sort((one, other) => one.atMs - other.atMs) as Of<'crash'>[];
  const durable: boolean[] = [];
  let upMs = Number.NEGATIVE_INFINITY;
  for (const { atMs, untilMs, memory } of crashes) {
    if (atMs < upMs) continue;
    durable.push(memory === 'durable');
    upMs = untilMs;
  }
  return (run) => durable[run - 1] ?? durable.at(-1) ?? false;
}

/** False: it could not happen, for what it is about is not there. */
function begin(world: World, fault: Fault): boolean {
  switch (fault.kind) {
    case 'crash':
      return crash(world, fault);
    case 'flush': {
      const node = world.nodes[fault.node];
      if (node?.up !== true) return false;
      node.flush();
      return true;
    }
    case 'pause':
      return pause(world, fault);
    case 'step':
      (fault.who === 'node' ? world.nodes : world.replicas)[fault.index]?.clock.step(fault.ms);
      return true;
    case 'rate': {
      const clock = whoOf(world, fault)?.clock;
      clock?.setRate(fault.rate);
      world.timeline.at(fault.untilMs, () => clock?.setRate(1));
      return true;
    }
    case 'drain':
    case 'kill':
      return endReplica(world, fault);
    case 'cut':
      if (fault.manner === 'reset') world.reset(fault);
      return true;
    default:
      return true;
  }
}

function crash({ nodes, timeline }: World, fault: Of<'crash'>): boolean {
  const node = nodes[fault.node];
  if (node?.up !== true) return false;
  const crashedMs = timeline.nowMs;
  node.crash();
  const memory =
    fault.memory === 'durable'
      ? 'kept'
      : fault.memory === 'empty'
        ? 'lost'
        : { untilMs: crashedMs - fault.lostMs };
  timeline.at(fault.untilMs, () => node.restart(memory));
  return true;
}

/** Two pauses of one process may overlap: the last end counts. */
function pause(world: World, fault: Of<'pause'>): boolean {
  const who = whoOf(world, fault);
  if (who === undefined) return false;
  const key = `${fault.who} ${fault.index}`;
  world.standing.set(key, (world.standing.get(key) ?? 0) + 1);
  who.pause();
  world.timeline.at(fault.untilMs, () => {
    const left = (world.standing.get(key) ?? 1) - 1;
    world.standing.set(key, left);
    if (left === 0) who.resume();
  });
  return true;
}

function endReplica({ replicas, timeline }: World, fault: Of<'drain' | 'kill'>): boolean {
  const replica = replicas[fault.replica];
  if (replica?.up !== true) return false;
  let timeUp = false;
  let over = false;
  const startAgain = (): void => {
    if (timeUp && over) replica.start();
  };
  const ended = (): void => {
    over = true;
    startAgain();
  };
  if (fault.kind === 'kill') {
    replica.kill();
    ended();
  } else replica.drain(ended);
  timeline.at(fault.untilMs, () => {
    timeUp = true;
    startAgain();
  });
  return true;
}

function whoOf({ nodes, replicas, clients }: World, { who, index }: Of<'pause' | 'rate'>) {
  return { node: nodes, replica: replicas, client: clients }[who][index];
}

function entryOf(fault: Fault): FaultEntry {
  const { kind, atMs } = fault;
  const where = ['who', 'index', 'node', 'replica', 'client', 'direction', 'memory', 'manner']
    .flatMap((field) => (field in fault ? [`${field} ${String(fault[field as keyof Fault])}`] : []))
    .join(' ');
  return {
    kind: 'fault',
    name: kind,
    where,
    atMs,
    ...('untilMs' in fault ? { untilMs: fault.untilMs } : {}),
  };
}
