/** What the holds of one contended lock say: true hand-offs, gaps, waits, fairness, and whether two ever held at once. */
import { median, quantile, sum } from './stats.ts';

/** The same clock in every process of the machine. */
export const nowMicros = (): number => Number(process.hrtime.bigint() / 1000n);

/** One acquisition as its client saw it, on the machine's one monotonic clock, in microseconds. */
export interface Hold {
  readonly client: number;
  readonly askedMicros: number;
  readonly grantedMicros: number;
  /** When the release was called, not when it was answered: the hold ends no sooner. */
  readonly releasedMicros: number;
  /** 0 where the subject gives none. */
  readonly token: number;
}

export interface Window {
  readonly fromMicros: number;
  readonly untilMicros: number;
}

/** One slice: everything but `overlaps`, `disorder` and `longestWaitMs` is about the window alone. */
export interface Tally {
  readonly seconds: number;
  /** Grants whose previous holder was another client. */
  readonly handoffs: number;
  /** Every grant, also to the client that had just released. */
  readonly grants: number;
  /** From one client's release to the other's grant. */
  readonly gapsMs: readonly number[];
  readonly waitsMs: readonly number[];
  /** How long clients held, which no timer makes exactly what was asked for. */
  readonly heldMs: readonly number[];
  /** Grants by client. */
  readonly counts: readonly number[];
  /** Grants before another client's release. */
  readonly overlaps: number;
  /** Tokens that were not larger than the one before. */
  readonly disorder: number;
  /** Also of those still waiting when the window ended. */
  readonly longestWaitMs: number;
}

/** Orders the holds of all clients by their grants; `unfinishedMs` are waits that were given up as hopeless. */
export function tally(
  holds: readonly Hold[],
  { fromMicros, untilMicros }: Window,
  clients: number,
  unfinishedMs: readonly number[] = [],
): Tally {
  const sorted = [...holds].sort((a, b) => a.grantedMicros - b.grantedMicros);
  const gapsMs: number[] = [];
  const inside: Hold[] = [];
  let [handoffs, overlaps, disorder] = [0, 0, 0];
  let busy: Hold | undefined;
  let before: Hold | undefined;
  for (const hold of sorted) {
    // `busy` is whoever releases last so far: a long hold may overlap more than its next neighbour.
    if (busy !== undefined && hold.grantedMicros < busy.releasedMicros) overlaps += 1;
    if (before !== undefined && hold.token !== 0 && hold.token <= before.token) disorder += 1;
    if (hold.grantedMicros >= fromMicros && hold.grantedMicros < untilMicros) {
      inside.push(hold);
      if (before !== undefined && before.client !== hold.client) {
        handoffs += 1;
        gapsMs.push((hold.grantedMicros - before.releasedMicros) / 1000);
      }
    }
    if (busy === undefined || hold.releasedMicros > busy.releasedMicros) busy = hold;
    before = hold;
  }
  const counts = new Array<number>(clients).fill(0);
  for (const { client } of inside) counts[client]! += 1;
  const wait = (hold: Hold): number => (hold.grantedMicros - hold.askedMicros) / 1000;
  return {
    seconds: (untilMicros - fromMicros) / 1e6,
    handoffs,
    grants: inside.length,
    gapsMs,
    waitsMs: inside.map(wait),
    heldMs: inside.map((hold) => (hold.releasedMicros - hold.grantedMicros) / 1000),
    counts,
    overlaps,
    disorder,
    longestWaitMs: [...sorted.map(wait), ...unfinishedMs].reduce((most, ms) => Math.max(most, ms), 0),
  };
}

/** Jain's index: 1 when all have the same, 1/n when one has everything (Jain, Chiu and Hawe, 1984); 0 for nothing. */
export function jain(shares: readonly number[]): number {
  const squares = sum(shares.map((share) => share * share));
  return squares === 0 ? 0 : sum(shares) ** 2 / (shares.length * squares);
}

/** One slice with what it cost. */
export interface Slice extends Tally {
  readonly round: number;
  /** Scripts and other commands from outside, at all nodes. */
  readonly scripts: number;
  /** Of these, what the nodes are asked anyway in so long a time, with nobody calling. */
  readonly idleScripts: number;
  readonly serverMicros: number;
  /** Of these, the replicas'. */
  readonly replicaMicros: number;
  readonly clientMicros: number;
  /** Acquires and releases that were refused or failed. */
  readonly failures: number;
  readonly unfinished: number;
}

export const handoffRate = ({ handoffs, seconds }: Slice): number => handoffs / seconds;

/** All slices of one subject. */
export interface Summary {
  readonly rate: number;
  readonly gapMs: number;
  /** Far above the median where grants come in bursts. */
  readonly gapMeanMs: number;
  readonly heldMs: number;
  readonly waitP50Ms: number;
  readonly waitP99Ms: number;
  readonly waitMaxMs: number;
  readonly jain: number;
  readonly scripts: number;
  readonly idleScripts: number;
  readonly serverMicros: number;
  /** Of these, the replicas'. */
  readonly replicaMicros: number;
  readonly clientMicros: number;
  readonly overlaps: number;
  readonly disorder: number;
  readonly failures: number;
  readonly unfinished: number;
  readonly grants: number;
}

/** Figures named after a cost are for each true hand-off. */
export function summarize(slices: readonly Slice[]): Summary {
  const total = (figure: (slice: Slice) => number): number => sum(slices.map(figure));
  const handoffs = total((slice) => slice.handoffs);
  const waits = slices.flatMap(({ waitsMs }) => waitsMs);
  const gaps = slices.flatMap(({ gapsMs }) => gapsMs);
  return {
    rate: median(slices.map(handoffRate)),
    gapMs: median(gaps),
    gapMeanMs: sum(gaps) / gaps.length,
    heldMs: median(slices.flatMap(({ heldMs }) => heldMs)),
    waitP50Ms: quantile(waits, 0.5),
    waitP99Ms: quantile(waits, 0.99),
    waitMaxMs: Math.max(...slices.map(({ longestWaitMs }) => longestWaitMs)),
    // Not of all slices together: in each, somebody else may be lucky.
    jain: median(slices.map(({ counts }) => jain(counts))),
    scripts: total(({ scripts }) => scripts) / handoffs,
    idleScripts: total(({ idleScripts }) => idleScripts) / handoffs,
    serverMicros: total(({ serverMicros }) => serverMicros) / handoffs,
    replicaMicros: total(({ replicaMicros }) => replicaMicros) / handoffs,
    clientMicros: total(({ clientMicros }) => clientMicros) / handoffs,
    overlaps: total(({ overlaps }) => overlaps),
    disorder: total(({ disorder }) => disorder),
    failures: total(({ failures }) => failures),
    unfinished: total(({ unfinished }) => unfinished),
    grants: total(({ grants }) => grants),
  };
}

/** The ratios of neighbours in time: slices of both sides that were made in the same round. */
export function roundRatios(a: readonly Slice[], b: readonly Slice[]): number[] {
  return a.flatMap((slice) => {
    const other = b.find(({ round }) => round === slice.round);
    return other === undefined ? [] : [handoffRate(slice) / handoffRate(other)];
  });
}

/** Of the hand-offs that there would be if each hold began at the end of the one before. */
export function ceilingShare({ rate, heldMs }: Summary): number {
  return (rate * heldMs) / 1000;
}
