/** A plan from a seed, and nothing else: what one run consists of, as varied as the guarantees allow. */
import { leftoverAgeMs } from '../../src/locks/mend.ts';
import { Dice } from './dice.ts';
import { faultsOf } from './generate-faults.ts';
import { crowdOf, SHORTEST_TTL_MS } from './generate-habits.ts';
import { returnMs } from './generate-losses.ts';
import type { Plan } from './plan.ts';

/** After the heal: nodes that forgot come back, dead waiters end, and everybody is served a few times more. */
const SERVED_MS = 6000;
/** A lease must outlive the questions that make it, there and back through a replica. */
const TTL_PER_DELAY = 12;

export function planOf(seed: number): Plan {
  const dice = new Dice(seed);
  const nodes = dice.chance(0.2) ? 5 : 3;
  const replicas = dice.whole(1, 4);
  const clients = dice.spread(3, 16);
  const resources = Array.from({ length: dice.pick([1, 1, 2, 3, 4]) }, (_, index) => `r${index}`);
  const longestTtlMs = dice.spread(2 * SHORTEST_TTL_MS, 7000);
  const livenessMs = dice.whole(1000, 3000);
  const slowestMs = dice.spread(1, SHORTEST_TTL_MS / TTL_PER_DELAY);
  const healMs = dice.spread(10_000, 60_000);
  const adoption = dice.chance(0.08) ? adoptionOf(dice, healMs, longestTtlMs) : undefined;
  const handed = adoption === undefined ? {} : { adoption };
  const storms = dice.chance(0.5) ? stormsOf(dice, healMs) : [];
  const longMs = dice.pick([20, 20, 400, 2000]);
  const stage = { nodes, replicas, clients, longestTtlMs, healMs, storms, longMs, ...handed };
  return withMenders({
    seed,
    nodes,
    replicas,
    clients: crowdOf(dice, { clients, replicas, resources: resources.length, longestTtlMs }),
    resources,
    longestTtlMs,
    nodeTimeoutMs: dice.whole(4 * slowestMs + 20, 300),
    livenessMs,
    delayMs: [dice.share(0.05, 1), slowestMs],
    faults: faultsOf(dice, stage),
    ...handed,
    healMs,
    endMs: Math.ceil(healMs + returnMs(2 * longestTtlMs) + 2 * livenessMs + SERVED_MS),
  });
}

function stormsOf(dice: Dice, healMs: number): number[] {
  const count = dice.whole(1, 1 + Math.floor(healMs / 12_000));
  return Array.from({ length: count }, () => dice.whole(500, healMs - 2000)).sort(
    (one, other) => one - other,
  );
}

/** One seed in so many has menders. */
const MENDS_EVERY = 4;

/** By throws of its own: a plan without menders is what it was before there were any. */
function withMenders(plan: Plan): Plan {
  if (plan.seed % MENDS_EVERY !== 1) return plan;
  const dice = new Dice(~plan.seed);
  const everyMs = dice.span(10, 1500);
  // The age is courtesy. Without it the mender meets votes that are under way, which is where it could do harm.
  const ages = [-plan.longestTtlMs, 0, dice.spread(5, 500), leftoverAgeMs(plan.nodeTimeoutMs)];
  return { ...plan, mends: { everyMs, minAgeMs: dice.pick(ages) } };
}

/** To a longer ttl, since clients go on asking for theirs. */
function adoptionOf(dice: Dice, healMs: number, longestTtlMs: number): NonNullable<Plan['adoption']> {
  const atMs = dice.whole(1000, Math.floor(healMs / 2));
  const untilMs = atMs + dice.spread(200, 3000);
  return { atMs, untilMs, longestTtlMs: dice.whole(longestTtlMs, 2 * longestTtlMs) };
}
