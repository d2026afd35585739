/** Nodes that lose their memory: one at a time, the next only after the last may vote again, or all in one moment. */
import type { Dice } from './dice.ts';
import type { Stage } from './generate-faults.ts';
import type { Fault } from './plan.ts';

/** One loss, with when nodes have come back to voting for certain. */
export interface Loss {
  readonly faults: readonly Fault[];
  readonly atMs: number;
  readonly backMs: number;
}

/** Looks, the clock skew and the lead that quarantine.ts adds where clocks must stand in for fences. */
const BESIDES_MS = 5000;

/** Faults of one storm begin within that. */
const STORM_MS = 1500;

/** How long after its restart a forgetful node is back to voting at the latest, once peers can be reached. */
export function returnMs(longestTtlMs: number): number {
  return 2.1 * longestTtlMs + BESIDES_MS;
}

interface Manner {
  readonly allAtOnce: boolean;
  /** Another node may be away shortly before: what was granted meanwhile stands on just enough nodes. */
  readonly meets: boolean;
}

export function lossesOf(dice: Dice, stage: Stage, { allAtOnce, meets }: Manner): Loss[] {
  const restMs = returnMs(stage.longestTtlMs);
  if (allAtOnce) return [everyNode(dice, stage, restMs)];
  const losses: Loss[] = [];
  let earliestMs = dice.whole(0, Math.floor(stage.healMs / 3));
  while (losses.length < 6 && earliestMs < stage.healMs) {
    const storm = stage.storms.find((atMs) => atMs >= earliestMs);
    const atMs = storm === undefined ? earliestMs + dice.spread(1, 3000) : storm + dice.whole(0, STORM_MS);
    const untilMs = atMs + dice.spread(20, 2000);
    if (untilMs > stage.healMs) break;
    const backMs = untilMs + restMs;
    const lost = forgets(dice, stage, atMs, untilMs);
    const away = meets && dice.chance(0.5) ? [cutOff(dice, stage, atMs)] : [];
    losses.push({ faults: [...away, lost], atMs, backMs });
    earliestMs = backMs;
  }
  return losses;
}

/** When a fault begins. */
export function momentOf(dice: Dice, { storms, healMs }: Stage): number {
  if (storms.length === 0 || dice.chance(0.25)) return dice.whole(0, healMs);
  return Math.min(healMs, dice.pick(storms) + dice.whole(0, STORM_MS));
}

function forgets(dice: Dice, stage: Stage, atMs: number, untilMs: number): Fault {
  const node = dice.whole(0, stage.nodes - 1);
  const memory = dice.pick(['flush', 'flush', 'empty', 'tail'] as const);
  if (memory === 'flush') return { kind: 'flush', atMs, node };
  const lostMs = memory === 'tail' ? dice.spread(1, 2 * stage.longestTtlMs) : 0;
  return { kind: 'crash', atMs, untilMs, node, memory, lostMs };
}

function cutOff(dice: Dice, stage: Stage, lossMs: number): Fault {
  const untilMs = Math.min(stage.healMs, lossMs + dice.whole(-100, 300));
  const atMs = Math.max(0, untilMs - dice.spread(200, 2 * stage.longestTtlMs));
  const node = dice.whole(0, stage.nodes - 1);
  const replica = dice.chance(0.5) ? {} : { replica: dice.whole(0, stage.replicas - 1) };
  return {
    kind: 'cut',
    atMs,
    untilMs: Math.max(untilMs, atMs + 1),
    node,
    ...replica,
    direction: 'both',
    manner: 'drop',
  };
}

function everyNode(dice: Dice, stage: Stage, restMs: number): Loss {
  const atMs = Math.min(momentOf(dice, stage), Math.floor(stage.healMs * 0.7));
  const untilMs = Math.min(stage.healMs, atMs + dice.spread(20, 2000));
  const faults = Array.from(
    { length: stage.nodes },
    (_, node): Fault => ({ kind: 'crash', atMs, untilMs, node, memory: 'empty', lostMs: 0 }),
  );
  return { faults, atMs, backMs: untilMs + restMs };
}
