/** How many locks go through one Session, beside the redlock package used directly, etcd, and the server without Redis? */
import { parseArgs } from 'node:util';
import { fixed, type Gate, gate, heading, judge, say, table } from './lib/report.ts';
import type { Servers } from './lib/servers.ts';
import { countGates } from './lib/session-counts.ts';
import { SessionStage, type Subject, sideOf } from './lib/session-stage.ts';
import {
  cpuPer,
  type Duel,
  duel,
  latencies,
  median,
  quantile,
  rate,
  ratios,
  type Slice,
  spreadPercent,
} from './lib/stats.ts';

interface Pace {
  readonly pairs: number;
  /** Once for each process, so that its compiler has done its work. */
  readonly warmUpMs: number;
  readonly profileMs: number;
}

export const FULL: Pace = { pairs: 14, warmUpMs: 8000, profileMs: 4000 };
export const QUICK: Pace = { pairs: 4, warmUpMs: 2000, profileMs: 1500 };
/** Within a duel: only to fill the pipe again. */
const REWARM_MS = 300;

interface Target {
  readonly least: number;
  readonly goal: number;
}

export const DIRECT: Target = { least: 2, goal: 4 };
const PIPELINED: Target = { least: 1.3, goal: 2 };
const ETCD: Target = { least: 12, goal: 15 };
const WITHOUT_REDIS: Target = { least: 0.35, goal: 0.5 };

/** Who is compared with a Session at so many nodes; a target counts on 3 nodes with 64 in flight. */
interface Rival {
  readonly subject: Subject;
  readonly target?: Target;
}

export const HEADER = [
  '',
  'pairs/s',
  'client us/pair',
  'server us/pair',
  'nodes or etcd us/pair',
  'p50 ms',
  'p99 ms',
];

export function rowOf({ name, server }: Subject, slices: readonly Slice[]): string[] {
  const { p50, p99 } = latencies(slices);
  return [
    name,
    fixed(median(slices.map(rate)), 0),
    fixed(cpuPer(slices, 'client')),
    server === undefined ? '-' : fixed(cpuPer(slices, 'server')),
    fixed(cpuPer(slices, 'others')),
    fixed(p50, 2),
    fixed(p99, 2),
  ];
}

function told(fight: Duel): { readonly found: number; readonly detail: string } {
  const all = ratios(fight, rate);
  const found = median(all);
  const detail =
    `${all.length} pairs of slices, ${fixed(quantile(all, 0), 2)}-${fixed(quantile(all, 1), 2)}x, ` +
    `spread ${fixed(spreadPercent(all), 0)} %`;
  return { found, detail };
}

export async function ratioGate(
  ours: Subject,
  { subject, target }: Rival,
  inFlight: number,
  pace: Pick<Pace, 'pairs'>,
): Promise<{ readonly fight: Duel; readonly gates: Gate[]; readonly missed: boolean }> {
  const fight = await duel(sideOf(ours, inFlight), sideOf(subject, inFlight), pace.pairs, REWARM_MS);
  const { found, detail } = told(fight);
  const name = `${ours.name}, ${inFlight} in flight, against ${subject.name}`;
  if (target === undefined) {
    say(`  against ${subject.name}: ${fixed(found, 2)}x, ${detail}`);
    return { fight, gates: [], missed: false };
  }
  const { least, goal } = target;
  const full = `${fixed(found, 2)}x (least ${least}x, goal ${goal}x), ${detail}`;
  return { fight, gates: [gate(name, found >= least, full)], missed: found < goal };
}

/** What the next microsecond is spent on. */
async function sayProfile({ client, server }: Subject, inFlight: number, ms: number): Promise<void> {
  await server!.ask({ also: 'begin a profile' });
  const { done } = await client.ask({ inFlight, ms });
  const { profile = [] } = await server!.ask({ also: 'end the profile' });
  heading(`where the server's CPU goes, ${done} pairs, percent of what it used (sampled)`);
  const rows = profile
    .slice(0, 14)
    .map(({ where, percent, functions }) => [where, fixed(percent), functions.join(', ')]);
  for (const [where = '', percent = '', functions = ''] of rows) {
    say(`  ${percent.padStart(5)}  ${where.padEnd(24)}  ${functions}`);
  }
}

/** True if a goal was missed. */
async function contest(
  ours: Subject,
  rivals: readonly Rival[],
  inFlight: number,
  pace: Pace,
  gates: Gate[],
): Promise<boolean> {
  const mine: Slice[] = [];
  const theirs: string[][] = [];
  let missed = false;
  for (const rival of rivals) {
    const outcome = await ratioGate(ours, rival, inFlight, pace);
    mine.push(...outcome.fight.a);
    theirs.push(rowOf(rival.subject, outcome.fight.b));
    gates.push(...outcome.gates);
    missed ||= outcome.missed;
  }
  table([HEADER, rowOf(ours, mine), ...theirs]);
  return missed;
}

async function rivalsOn(stage: SessionStage, servers: Servers): Promise<Rival[]> {
  const direct = await stage.redlock('redlock 5.0.0-beta.2', servers, 'redlock');
  const pipelined = await stage.redlock('redlock 5, auto-pipelining', servers, 'redlock-pipelined');
  const polled = [
    { subject: direct, target: DIRECT },
    { subject: pipelined, target: PIPELINED },
  ];
  if (servers.all.length > 3) return polled;
  const etcd = await stage.etcd(['etcd v3lock, leases that last', 'etcd v3lock, a lease each lock']);
  const embedded = await stage.holdfast('the embedded store');
  const relay = await stage.relay('nodes asked, nothing decided', servers);
  const edge = await stage.edge('locks that answer at once');
  return [
    ...polled,
    // An acquire of ours makes a lease with a ttl of its own, which ends with it: so does the second.
    ...etcd.map((subject, index) => ({ subject, ...(index === 1 ? { target: ETCD } : {}) })),
    { subject: embedded, target: WITHOUT_REDIS },
    { subject: relay },
    { subject: edge },
  ];
}

async function onNodes(nodes: number, pace: Pace, gates: Gate[]): Promise<void> {
  const stage = new SessionStage();
  try {
    const servers = await stage.nodes(nodes);
    const ours = await stage.holdfast(`a Session on ${nodes} nodes`, servers);
    const rivals = await rivalsOn(stage, servers);
    for (const subject of [ours, ...rivals.map((rival) => rival.subject)]) {
      await sideOf(subject, 64)(pace.warmUpMs);
    }
    for (const inFlight of [64, 256]) {
      heading(`acquire + release over one Session, ${nodes} redis-servers, ${inFlight} in flight`);
      const counts = await countGates(ours, servers, inFlight);
      gates.push(
        ...counts.map(({ name, ...rest }) => ({
          name: `${nodes} nodes, ${inFlight} in flight, ${name}`,
          ...rest,
        })),
      );
      const judged = nodes === 3 && inFlight === 64;
      const shown = judged ? rivals : rivals.map(({ subject }) => ({ subject }));
      const missed = await contest(ours, shown, inFlight, pace, gates);
      if (missed) await sayProfile(ours, inFlight, pace.profileMs);
    }
  } finally {
    await stage.stop();
  }
}

/** `--quick`: few slices, to see that it runs. `--nodes N`, also repeated: only on so many. */
export async function run(): Promise<boolean> {
  const { values } = parseArgs({
    args: process.argv.slice(3),
    options: { quick: { type: 'boolean' }, nodes: { type: 'string', multiple: true } },
  });
  const { quick = false, nodes = ['3', '5'] } = values;
  const gates: Gate[] = [];
  for (const count of nodes.map(Number)) await onNodes(count, quick ? QUICK : FULL, gates);
  say();
  return judge(gates);
}
