/** How fast are the clients that people use, beside the leanest client that we can write? */
import { parseArgs } from 'node:util';
import { sayPython } from './lib/python-pairs.ts';
import { fixed, type Gate, gate, heading, judge, say, table } from './lib/report.ts';
import { SessionStage, type Subject, sideOf } from './lib/session-stage.ts';
import {
  cpuPer,
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
  readonly pythonTurns: number;
  readonly pythonPairs: number;
}

const FULL: Pace = { pairs: 14, warmUpMs: 8000, pythonTurns: 5, pythonPairs: 20_000 };
const QUICK: Pace = { pairs: 4, warmUpMs: 2000, pythonTurns: 1, pythonPairs: 5000 };
/** Within a duel: only to fill the pipe again. */
const REWARM_MS = 300;
const NODES = 3;
const IN_FLIGHT = 64;
/** Of what the leanest client reaches on the same server. */
const LEAST = 0.8;

const HEADER = ['', 'pairs/s', 'client us/pair', 'server us/pair', 'nodes us/pair', 'p50 ms', 'p99 ms'];

function rowOf(name: string, slices: readonly Slice[]): string[] {
  const { p50, p99 } = latencies(slices);
  return [
    name,
    fixed(median(slices.map(rate)), 0),
    fixed(cpuPer(slices, 'client')),
    fixed(cpuPer(slices, 'server')),
    fixed(cpuPer(slices, 'others')),
    fixed(p50, 2),
    fixed(p99, 2),
  ];
}

/** Both on one server and its nodes, in slices that take turns. */
async function compare(ours: Subject, lean: Subject, pace: Pace): Promise<Gate> {
  heading(`acquire + release, ${NODES} redis-servers, ${IN_FLIGHT} in flight`);
  for (const subject of [ours, lean]) await sideOf(subject, IN_FLIGHT)(pace.warmUpMs);
  const { a, b } = await duel(sideOf(ours, IN_FLIGHT), sideOf(lean, IN_FLIGHT), pace.pairs, REWARM_MS);
  table([HEADER, rowOf(ours.name, a), rowOf(lean.name, b)]);
  const all = ratios({ a, b }, rate);
  const found = median(all);
  const detail =
    `${fixed(found, 2)}x (least ${LEAST}x), ${all.length} pairs of slices, ` +
    `${fixed(quantile(all, 0), 2)}-${fixed(quantile(all, 1), 2)}x, spread ${fixed(spreadPercent(all), 0)} %`;
  return gate(`${ours.name}, ${IN_FLIGHT} in flight, against ${lean.name}`, found >= LEAST, detail);
}

/** `--quick`: few slices, to see that it runs. */
export async function run(): Promise<boolean> {
  const { values } = parseArgs({ args: process.argv.slice(3), options: { quick: { type: 'boolean' } } });
  const stage = new SessionStage();
  try {
    const pace = values.quick === true ? QUICK : FULL;
    const servers = await stage.nodes(NODES);
    const lean = await stage.holdfast('a Session by hand', servers);
    const ours = await stage.besides(lean, '@holdfast/client', 'client');
    const gates = [await compare(ours, lean, pace)];
    const { address } = await lean.server!.ask({});
    await sayPython(address, servers.all[0]!.tcpUrl!, pace.pythonTurns, pace.pythonPairs);
    say();
    return judge(gates);
  } finally {
    await stage.stop();
  }
}
