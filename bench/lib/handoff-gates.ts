/** What the hand-off bench demands: of holdfast's own counts, and of its ratios to the peers. */
import { ceilingShare, roundRatios, type Slice, type Summary, summarize } from './handoff-stats.ts';
import { ETCD, HOLDFAST, HOLDFAST_SESSION, REDLOCK_4, type Subject } from './handoff-subjects.ts';
import { fixed, type Gate, gate } from './report.ts';
import { median, quantile } from './stats.ts';

/** For looks and refreshes of places, which come by the clock and not by the hand-off. */
const BY_THE_CLOCK = 1.02;
/** Across replicas a line is kept at the nodes, and each replica asks them for its own clients. */
const MOST_ACROSS_REPLICAS = 10;
const LEAST_JAIN = 0.99;
const GOAL_OF_CEILING = 0.75;
/** Timers are never early here, and mostly a little late. */
export const HOLDS_MS = [1, 0] as const;

interface Target {
  readonly ours: string;
  readonly peer: string;
  readonly holdMs: number;
  readonly least: number;
  readonly goal?: number;
}

const TARGETS: readonly Target[] = [
  { ours: HOLDFAST, peer: ETCD, holdMs: 1, least: 1, goal: 1.15 },
  { ours: HOLDFAST, peer: ETCD, holdMs: 0, least: 1.3, goal: 1.6 },
  { ours: HOLDFAST, peer: REDLOCK_4, holdMs: 1, least: 1 },
  { ours: HOLDFAST_SESSION, peer: ETCD, holdMs: 1, least: 1.8, goal: 2.2 },
  { ours: HOLDFAST_SESSION, peer: ETCD, holdMs: 0, least: 5, goal: 8 },
];

type Asked = Pick<Subject, 'name' | 'nodes' | 'replicas'>;

function scriptsGate({ name, nodes, replicas }: Asked, { scripts, idleScripts }: Summary): Gate {
  const most = replicas > 1 ? MOST_ACROSS_REPLICAS : nodes * BY_THE_CLOCK;
  const own = scripts - idleScripts;
  const detail =
    `${fixed(own, 2)} scripts a true hand-off on ${nodes} nodes (at most ${fixed(most, 2)}), ` +
    `and ${fixed(idleScripts, 2)} that an idle replica sends as well`;
  return gate(`${name}: scripts`, own <= most, detail);
}

/** What holdfast must do whatever the machine is like. */
export function countGates(subject: Asked, holdMs: number, slices: readonly Slice[]): Gate[] {
  const all = summarize(slices);
  const named = { ...subject, name: `${subject.name}, ${holdMs} ms` };
  return [
    gate(
      `${named.name}: one holder at a time`,
      all.grants > 0 && all.overlaps === 0 && all.disorder === 0,
      `${all.overlaps} of ${all.grants} grants before another's release, ${all.disorder} tokens not above the last`,
    ),
    gate(
      `${named.name}: everybody is served`,
      all.failures === 0 && all.unfinished === 0,
      `${all.failures} calls failed or were refused, ${all.unfinished} clients left waiting`,
    ),
    gate(`${named.name}: fair`, all.jain >= LEAST_JAIN, `Jain ${fixed(all.jain, 4)} (least ${LEAST_JAIN})`),
    scriptsGate(named, all),
  ];
}

/** Only of peers that took part. */
export function ratioGates(holdMs: number, slices: ReadonlyMap<string, readonly Slice[]>): Gate[] {
  return TARGETS.filter((target) => target.holdMs === holdMs).flatMap(({ ours, peer, least, goal }) => {
    const ratios = roundRatios(slices.get(ours) ?? [], slices.get(peer) ?? []);
    if (ratios.length === 0) return [];
    const found = median(ratios);
    const detail =
      `${fixed(found, 2)}x (least ${least}x${goal === undefined ? '' : `, goal ${goal}x`}), ${ratios.length} rounds, ` +
      `${fixed(quantile(ratios, 0), 2)}-${fixed(quantile(ratios, 1), 2)}x`;
    return [gate(`${ours}, against ${peer} at ${holdMs} ms`, found >= least, detail)];
  });
}

/** A goal, no gate: how near it comes to a lock that changes hands in no time. */
export function ofCeiling(name: string, slices: readonly Slice[]): string {
  const share = ceilingShare(summarize(slices));
  return `${name}: ${fixed(share, 2)} of the hand-offs that would be made without any gap (goal ${GOAL_OF_CEILING})`;
}
