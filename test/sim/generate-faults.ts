/** The faults of a plan: which kinds this run has, where and when; those that the guarantees exclude are not among them. */
import type { Dice } from './dice.ts';
import { type Loss, lossesOf, momentOf, returnMs } from './generate-losses.ts';
import type { Fault, Plan, Who } from './plan.ts';

/** What faults must know of the run. */
export interface Stage {
  readonly nodes: number;
  readonly replicas: number;
  readonly clients: number;
  readonly longestTtlMs: number;
  /** Nothing is broken after that. */
  readonly healMs: number;
  /** How long a fault lasts at least. */
  readonly longMs: number;
  /** Faults that meet break more than faults that follow each other: many of them begin about then. */
  readonly storms: readonly number[];
  /** All nodes are handed over then, and do not vote for a while. */
  readonly adoption?: Plan['adoption'];
}

type Kind =
  | 'loss'
  | 'delay'
  | 'duplicate'
  | 'cut'
  | 'ring'
  | 'island'
  | 'flap'
  | 'durable'
  | 'forget'
  | 'pause'
  | 'step'
  | 'rate'
  | 'drain'
  | 'kill';

/** How readings of clocks may be changed, from least to most: the last breaks G1 by design, and the token decides. */
type Steps = 'replicas' | 'back' | 'any';

type Make = (dice: Dice, stage: Stage) => Fault[];

const HOUR_MS = 3_600_000;
/** Two clocks that drift apart at these rates are within the 1 % of G1. */
const RATES: readonly [number, number] = [0.9952, 1.0048];

const MAKES: Readonly<Record<Exclude<Kind, 'forget' | 'step' | 'rate'>, Make>> = {
  loss: (dice, stage) => [
    { kind: 'loss', ...link(dice, stage), share: dice.share(0.02, 0.7) },
    // Where links lose a little all the time, leases stand on just enough nodes when something else happens.
    ...(dice.chance(0.5)
      ? [{ kind: 'loss', ...limp(dice, stage), share: dice.share(0.03, 0.4) } as const]
      : []),
  ],
  delay: (dice, stage) => [
    {
      kind: 'delay',
      ...link(dice, stage),
      share: dice.share(0.03, 1),
      ms: dice.span(5, 2 * stage.longestTtlMs),
    },
  ],
  duplicate: (dice, stage) => [
    {
      kind: 'duplicate',
      ...within(dice, stage, 12_000),
      client: dice.whole(0, stage.clients - 1),
      direction: 'in',
      share: dice.share(0.05, 0.8),
      ms: dice.span(1, 2 * stage.longestTtlMs),
    },
  ],
  cut: (dice, stage) => [{ kind: 'cut', ...link(dice, stage), manner: manner(dice) }],
  /** Each replica misses another node: nobody is alone, and no two see the same majority. */
  ring: (dice, stage) => {
    const span = within(dice, stage, 8000);
    const how = manner(dice);
    return Array.from({ length: stage.replicas }, (_, replica) => ({
      kind: 'cut',
      ...span,
      replica,
      node: replica % stage.nodes,
      direction: 'both',
      manner: how,
    }));
  },
  /** One replica sees a minority, or nobody. */
  island: (dice, stage) => {
    const span = within(dice, stage, 8000);
    const replica = dice.whole(0, stage.replicas - 1);
    const seen = dice.whole(0, stage.nodes - 1);
    const how = manner(dice);
    const direction = dice.pick(['in', 'out', 'both', 'both'] as const);
    return Array.from({ length: stage.nodes }, (_, node) => node)
      .filter((node) => node !== seen)
      .map((node) => ({ kind: 'cut', ...span, replica, node, direction, manner: how }));
  },
  flap: (dice, stage) => {
    const { atMs: _, untilMs: __, ...where } = link(dice, stage);
    const how = manner(dice);
    let atMs = dice.whole(0, stage.healMs);
    return Array.from({ length: dice.whole(3, 12) }, (): Fault => {
      const untilMs = atMs + dice.spread(5, 800);
      const cut: Fault = { kind: 'cut', ...where, atMs, untilMs, manner: how };
      atMs = untilMs + dice.spread(5, 800);
      return cut;
    }).filter((cut) => 'untilMs' in cut && cut.untilMs <= stage.healMs);
  },
  durable: (dice, stage) => [
    {
      kind: 'crash',
      ...within(dice, stage, 8000),
      node: dice.whole(0, stage.nodes - 1),
      memory: 'durable',
      lostMs: 0,
    },
  ],
  pause: (dice, stage) => {
    const who = dice.pick<Who>(['node', 'replica', 'client', 'client']);
    return [
      { kind: 'pause', ...within(dice, stage, 3 * stage.longestTtlMs), who, index: one(dice, stage, who) },
    ];
  },
  drain: (dice, stage) => [
    { kind: 'drain', ...within(dice, stage, 6000), replica: dice.whole(0, stage.replicas - 1) },
  ],
  kill: (dice, stage) => [
    { kind: 'kill', ...within(dice, stage, 6000), replica: dice.whole(0, stage.replicas - 1) },
  ],
};

const KINDS = [...(Object.keys(MAKES) as Exclude<Kind, 'forget' | 'step' | 'rate'>[])];

export function faultsOf(dice: Dice, stage: Stage): Fault[] {
  if (dice.chance(0.07)) return [];
  const much = dice.pick([1, 3, 6, 12]);
  const count = (): number => Math.ceil(((dice.whole(1, 100) / 100) * much * stage.healMs) / 10_000);
  const chosen = KINDS.filter(() => dice.chance(0.3));
  const faults = chosen.flatMap((kind) =>
    Array.from({ length: count() }, () => MAKES[kind](dice, stage)).flat(),
  );
  if (dice.chance(0.5)) faults.push(...ratesOf(dice, stage));
  const steps = dice.chance(0.3) ? stepsOf(dice, stage, count()) : [];
  const insane = steps.length > 0;
  const allAtOnce = !insane && dice.chance(0.15);
  const adopted = adoptedOf(stage);
  const forgets = dice.chance(0.4) && adopted.length === 0;
  const losses = forgets ? lossesOf(dice, stage, { allAtOnce, meets: !insane }) : adopted;
  const rest = [...faults, ...steps].filter(
    (fault) =>
      !(insane && hinders(fault, losses)) &&
      !(forgets && allAtOnce && starts(fault, losses)) &&
      // A node that restarts while no replica runs has a meta that nobody brings up to date, so nobody can retire it.
      !(fault.kind === 'crash' && adopted.some((loss) => meets(fault, loss))),
  );
  return inOrder([...losses.flatMap((loss) => loss.faults), ...rest]);
}

/** Adopted nodes know the old fences; one that forgets them meanwhile would be the second fault at a time. */
function adoptedOf({ adoption }: Stage): Loss[] {
  if (adoption === undefined) return [];
  const { atMs, untilMs, longestTtlMs } = adoption;
  return [{ faults: [], atMs, backMs: untilMs + returnMs(longestTtlMs) }];
}

/** A replica that starts may find its bootstrap set, which where all nodes were emptied is a residual risk by name. */
function starts(fault: Fault, losses: readonly Loss[]): boolean {
  return (fault.kind === 'kill' || fault.kind === 'drain') && losses.some((loss) => meets(fault, loss));
}

function meets(fault: Fault, { atMs, backMs }: Loss): boolean {
  const untilMs = 'untilMs' in fault ? fault.untilMs : fault.atMs;
  return fault.atMs <= backMs && untilMs >= atMs;
}

/**
 * Of a node that forgot, the others' fences tell what it must know; where they cannot be had for long, clocks stand
 * in for them, which G2 allows only while these are sane. So with clocks that are not, nothing keeps peers away.
 */
function hinders(fault: Fault, losses: readonly Loss[]): boolean {
  if (!losses.some((loss) => meets(fault, loss))) return false;
  switch (fault.kind) {
    case 'loss':
    case 'delay':
    case 'cut':
      return fault.client === undefined;
    case 'crash':
    case 'flush':
      return true;
    case 'pause':
      return fault.who !== 'client';
    case 'step':
      return fault.who === 'node';
    default:
      return false;
  }
}

function stepsOf(dice: Dice, stage: Stage, count: number): Fault[] {
  const steps = dice.pick<Steps>(['replicas', 'back', 'any']);
  const initial = dice.chance(0.5);
  return Array.from({ length: count }, (): Fault => {
    const who = steps === 'replicas' ? 'replica' : dice.pick(['replica', 'node', 'node'] as const);
    const size = dice.pick([
      dice.spread(5, 500),
      stage.longestTtlMs,
      2 * stage.longestTtlMs,
      HOUR_MS,
      87_600 * HOUR_MS,
    ]);
    const forward = who === 'replica' ? dice.chance(0.5) : steps === 'any' && dice.chance(0.6);
    const atMs = initial && dice.chance(0.5) ? 0 : dice.whole(0, stage.healMs);
    return { kind: 'step', atMs, who, index: one(dice, stage, who), ms: forward ? size : -size };
  });
}

/** Each process at its own rate, from the beginning to the end of the run or to the heal. */
function ratesOf(dice: Dice, stage: Stage): Fault[] {
  const sizes: Readonly<Record<Who, number>> = {
    node: stage.nodes,
    replica: stage.replicas,
    client: stage.clients,
  };
  return (['node', 'replica', 'client'] as const).flatMap((who) =>
    Array.from({ length: sizes[who] }, (_, index) => index)
      .filter(() => dice.chance(0.6))
      .map((index): Fault => {
        const rate = dice.chance(0.5) ? dice.pick(RATES) : 1 + (dice.whole(-48, 48) / 48) * 0.0048;
        return { kind: 'rate', atMs: dice.pick([0, 0, 5000]), untilMs: stage.healMs, who, index, rate };
      }),
  );
}

function one(dice: Dice, stage: Stage, who: Who): number {
  const size = { node: stage.nodes, replica: stage.replicas, client: stage.clients }[who];
  return dice.whole(0, size - 1);
}

function manner(dice: Dice): 'hold' | 'drop' | 'reset' {
  return dice.pick(['hold', 'drop', 'drop', 'reset'] as const);
}

function within(dice: Dice, stage: Stage, longestMs: number): { atMs: number; untilMs: number } {
  const { healMs, longMs } = stage;
  const lastsMs = Math.min(dice.spread(longMs, Math.max(longMs, longestMs)), Math.floor(healMs / 2));
  const momentMs = momentOf(dice, stage);
  // What is healed at the wrong moment does as much harm as what breaks then.
  const atMs = dice.chance(0.3) ? Math.max(0, momentMs - lastsMs) : Math.min(momentMs, healMs - lastsMs);
  return { atMs, untilMs: atMs + lastsMs };
}

/** From the beginning to the heal. */
function limp(dice: Dice, stage: Stage) {
  return { ...link(dice, stage), atMs: 0, untilMs: stage.healMs };
}

/** Where and when: all links, one node's, one replica's, a single one, or one client's. */
function link(dice: Dice, stage: Stage) {
  const node = dice.whole(0, stage.nodes - 1);
  const replica = dice.whole(0, stage.replicas - 1);
  const client = dice.whole(0, stage.clients - 1);
  return {
    ...within(dice, stage, 8000),
    ...dice.pick([{}, { node }, { replica }, { node, replica }, { node, replica }, { client }]),
    direction: dice.pick(['in', 'out', 'both'] as const),
  };
}

function inOrder(faults: readonly Fault[]): Fault[] {
  return [...faults].sort((one, other) => one.atMs - other.atMs);
}
