/** The clients of a plan: who asks for what, how often, and which bad manners this run allows itself. */
import type { Dice } from './dice.ts';
import type { ClientPlan, Habits } from './plan.ts';

export interface Crowd {
  readonly clients: number;
  readonly replicas: number;
  readonly resources: number;
  readonly longestTtlMs: number;
}

export const SHORTEST_TTL_MS = 300;

type Weight = 'shared' | 'gang' | 'any' | 'repeats' | 'cancels' | 'dies' | 'forgets' | 'looks' | 'forces';

/** How much of each habit a client may have that has it at all. */
const WEIGHTS: Readonly<Record<Weight, readonly [number, number]>> = {
  shared: [0.1, 0.8],
  gang: [0.05, 0.5],
  any: [0.05, 0.5],
  repeats: [0.05, 0.6],
  cancels: [0.02, 0.3],
  dies: [0.005, 0.05],
  forgets: [0.02, 0.3],
  looks: [0.02, 0.3],
  forces: [0.005, 0.06],
};
const HABITS = Object.keys(WEIGHTS) as Weight[];

/** Swarm testing: a run in which everybody does a little of everything hides what only some of it would show. */
export function crowdOf(dice: Dice, crowd: Crowd): ClientPlan[] {
  const allowed = new Set(HABITS.filter(() => dice.chance(0.5)));
  if (crowd.resources === 1) for (const several of ['gang', 'any'] as const) allowed.delete(several);
  const ranks = dice.chance(0.3) ? dice.whole(1, 9) : 0;
  const streams = dice.pick([0, 0.5, 0.5, 1]);
  const waiting = dice.pick([0.2, 0.8, 0.8, 1]);
  const hurry = dice.pick([60, 300, 1500]);
  return Array.from({ length: crowd.clients }, (_, index) => ({
    name: `c${index}`,
    seed: dice.seed(),
    replica: dice.whole(0, crowd.replicas - 1),
    habits: habitsOf(dice, crowd, { allowed, ranks, streams, waiting, hurry }),
  }));
}

interface Manners {
  readonly allowed: ReadonlySet<Weight>;
  readonly ranks: number;
  /** Of all clients. */
  readonly streams: number;
  readonly waiting: number;
  /** The longest that one idles between two leases, in milliseconds. */
  readonly hurry: number;
}

function habitsOf(dice: Dice, { longestTtlMs }: Crowd, manners: Manners): Habits {
  const weight = (habit: Weight): number =>
    manners.allowed.has(habit) && dice.chance(0.7) ? dice.share(...WEIGHTS[habit]) : 0;
  // Long leases outlive what happens to a node; short ones end while it happens.
  const shortestMs = dice.chance(0.5) ? SHORTEST_TTL_MS : Math.max(SHORTEST_TTL_MS, longestTtlMs / 2);
  const ttlMs = dice.span(shortestMs, longestTtlMs);
  const waits = dice.chance(manners.waiting);
  return {
    manner: dice.chance(manners.streams) ? 'stream' : 'calls',
    ttlMs,
    waitMs: waits ? dice.span(200, 15_000) : [0, 0],
    holdMs: dice.chance(0.35) ? dice.span(ttlMs[0], 3 * ttlMs[1]) : dice.span(5, Math.max(100, ttlMs[1])),
    // Who does not wait and is in a hurry only asks, thousands of times, and is told that others hold it.
    idleMs: [1, dice.spread(20, manners.hurry) + (waits ? 0 : 500)],
    shared: weight('shared'),
    gang: weight('gang'),
    any: weight('any'),
    priority: [0, manners.ranks],
    repeats: weight('repeats'),
    cancels: weight('cancels'),
    dies: weight('dies'),
    forgets: weight('forgets'),
    looks: weight('looks'),
    forces: weight('forces'),
  };
}
