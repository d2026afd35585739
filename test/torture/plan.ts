/** Which faults a run injects, and when: a function of the seed. */
import { Dice } from '../sim/dice.ts';

/** `way` is a replica's place, or that of a group of clients where there are no replicas. */
export type Fault =
  | {
      readonly name: `link ${LinkManner}`;
      readonly way: number;
      readonly node: number;
      readonly forMs: number;
    }
  | { readonly name: 'link flapping'; readonly way: number; readonly node: number; readonly forMs: number }
  | { readonly name: 'node cut off'; readonly node: number; readonly forMs: number }
  | { readonly name: 'replica cut off'; readonly way: number; readonly forMs: number }
  | {
      readonly name: 'node stopped' | 'node kill -9' | 'node asleep';
      readonly node: number;
      readonly forMs: number;
    }
  | { readonly name: 'node connections killed'; readonly node: number }
  | { readonly name: 'node clients paused'; readonly node: number; readonly forMs: number }
  | { readonly name: 'node clock'; readonly node: number; readonly stepMs: number }
  /** One at a time: each waits until every node votes again. */
  | { readonly name: 'memory lost'; readonly node: number; readonly forMs: number; readonly part: number }
  | { readonly name: 'replica stopped'; readonly way: number; readonly forMs: number }
  | { readonly name: 'replica kill -9' | 'replica SIGTERM'; readonly way: number; readonly forMs: number }
  | { readonly name: 'rolling restart' }
  | { readonly name: 'client stopped'; readonly client: number; readonly forMs: number }
  | { readonly name: 'client kill -9'; readonly client: number };

export type LinkManner = 'held' | 'held back' | 'swallowed' | 'swallowed back' | 'cut' | 'delayed';

export interface Planned {
  readonly atMs: number;
  readonly fault: Fault;
}

export interface Shape {
  readonly seed: number;
  /** For how long faults are injected. */
  readonly spanMs: number;
  readonly nodes: number;
  readonly ways: number;
  readonly clients: number;
  readonly ttlMs: number;
  /** Steps of nodes' clocks as well. */
  readonly clocks: boolean;
}

const MANNERS: readonly LinkManner[] = ['held', 'held back', 'swallowed', 'swallowed back', 'cut', 'delayed'];
const HOUR_MS = 3_600_000;

/** Mean milliseconds between two of a kind. */
const EVERY_MS = {
  link: 400,
  cut: 3500,
  node: 2500,
  wits: 3000,
  memory: 4000,
  replica: 4000,
  client: 1300,
  clock: 9000,
};

type Kind = keyof typeof EVERY_MS;

function linkFault(dice: Dice, { nodes, ways, ttlMs }: Shape): Fault {
  const where = { way: dice.whole(0, ways - 1), node: dice.whole(0, nodes - 1) };
  const forMs = dice.spread(50, 2 * ttlMs);
  return dice.chance(0.12)
    ? { name: 'link flapping', ...where, forMs }
    : { name: `link ${dice.pick(MANNERS)}`, ...where, forMs };
}

function faultOf(kind: Kind, dice: Dice, shape: Shape): Fault {
  const { nodes, ways, clients, ttlMs } = shape;
  const node = dice.whole(0, nodes - 1);
  const way = dice.whole(0, ways - 1);
  const client = dice.whole(0, clients - 1);
  const forMs = dice.spread(0.1 * ttlMs, 3 * ttlMs);
  switch (kind) {
    case 'link':
      return linkFault(dice, shape);
    case 'cut':
      return dice.chance(0.5)
        ? { name: 'node cut off', node, forMs: dice.spread(200, 6 * ttlMs) }
        : { name: 'replica cut off', way, forMs: dice.spread(100, 1.5 * ttlMs) };
    case 'node':
      return { name: dice.pick(['node stopped', 'node stopped', 'node kill -9'] as const), node, forMs };
    case 'wits':
      return dice.pick<Fault>([
        { name: 'node connections killed', node },
        { name: 'node clients paused', node, forMs: dice.spread(50, ttlMs) },
        { name: 'node asleep', node, forMs: dice.spread(50, ttlMs) },
      ]);
    case 'memory':
      return { name: 'memory lost', node, forMs: dice.spread(1, ttlMs), part: dice.share(0.01, 1) };
    case 'replica':
      if (ways > 1 && dice.chance(0.15)) return { name: 'rolling restart' };
      return {
        name: dice.pick(['replica kill -9', 'replica SIGTERM', 'replica stopped'] as const),
        way,
        forMs: dice.spread(50, 2 * ttlMs),
      };
    case 'client':
      return dice.chance(0.35)
        ? { name: 'client kill -9', client }
        : { name: 'client stopped', client, forMs };
    case 'clock':
      return { name: 'node clock', node, stepMs: dice.pick([1000, ttlMs, -HOUR_MS, -ttlMs, 3 * ttlMs]) };
  }
}

/** In the order of their times. */
export function planOf(shape: Shape): Planned[] {
  const dice = new Dice(shape.seed);
  const kinds = (Object.keys(EVERY_MS) as Kind[]).filter((kind) => kind !== 'clock' || shape.clocks);
  const planned = kinds.flatMap((kind) => {
    const own = new Dice(dice.seed());
    const list: Planned[] = [];
    let atMs = 0;
    for (;;) {
      atMs += own.spread(0.2 * EVERY_MS[kind], 3 * EVERY_MS[kind]);
      if (atMs > shape.spanMs) return list;
      list.push({ atMs, fault: faultOf(kind, own, shape) });
    }
  });
  return planned.sort((a, b) => a.atMs - b.atMs);
}
