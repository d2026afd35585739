/** Does the waiting line cost anybody who does not have to wait? The same pairs on free locks, without and with a wait. */
import { pause, systemClock } from '../src/std/clock.ts';
import { BatchWatch } from './lib/counts.ts';
import { counted, type Pair, timed } from './lib/load.ts';
import { fixed, type Gate, gate, heading, judge, say, table } from './lib/report.ts';
import { type Servers, startServers } from './lib/servers.ts';
import { openOurs, ourPair } from './lib/sides.ts';
import {
  cpuPer,
  type Duel,
  duel,
  latencies,
  median,
  quantile,
  rate,
  ratios,
  spreadPercent,
  sum,
} from './lib/stats.ts';

const NODES = 3;
const IN_FLIGHT = 64;
const WAIT_MS = 10_000;
const LEAST = 0.9;
/** One after the other, so that each operation is a script of its own. */
const ALONE_PAIRS = 1500;
const TOGETHER_PAIRS = 150;
/** Pings and sweeps of each node come by the clock, not by the pair. */
const PROBES_PER_SECOND = 4;
/** Votes that the majority did not wait for. */
const SETTLE_MS = 100;

/** What so many pairs took, over all nodes. */
interface Cost {
  readonly pairs: number;
  readonly scripts: number;
  readonly operations: number;
  /** At most so many of either are the probes'. */
  readonly probes: number;
}

async function costOf(
  servers: Servers,
  watch: BatchWatch,
  pair: Pair,
  inFlight: number,
  each: number,
): Promise<Cost> {
  const evalsha = async (): Promise<number> =>
    sum((await servers.calls()).map((calls) => calls.evalsha ?? 0));
  await counted(pair, inFlight, 20);
  await pause(systemClock, SETTLE_MS);
  watch.take();
  const before = await evalsha();
  const startedMs = performance.now();
  await counted(pair, inFlight, each);
  await pause(systemClock, SETTLE_MS);
  const seconds = (performance.now() - startedMs) / 1000;
  return {
    pairs: inFlight * each,
    scripts: (await evalsha()) - before,
    operations: sum([...watch.take().values()].map(({ operations }) => operations)),
    probes: NODES * (Math.ceil(seconds * PROBES_PER_SECOND) + PROBES_PER_SECOND),
  };
}

/** The same up to what the probes may have added to either. */
function same(title: string, figure: 'scripts' | 'operations', plain: Cost, waiting: Cost): Gate {
  const apart = Math.abs(plain[figure] - waiting[figure]);
  const most = Math.max(plain.probes, waiting.probes);
  const each = (cost: Cost): string => fixed(cost[figure] / cost.pairs, 3);
  return gate(
    title,
    apart <= most,
    `${each(plain)} a pair without a wait, ${each(waiting)} with one, ` +
      `${apart} of ${plain[figure]} apart (at most ${most}, the probes')`,
  );
}

async function costGates(servers: Servers, watch: BatchWatch, plain: Pair, waiting: Pair): Promise<Gate[]> {
  const cost = (pair: Pair, inFlight: number, each: number): Promise<Cost> =>
    costOf(servers, watch, pair, inFlight, each);
  const alone = [await cost(plain, 1, ALONE_PAIRS), await cost(waiting, 1, ALONE_PAIRS)] as const;
  const together = [
    await cost(plain, IN_FLIGHT, TOGETHER_PAIRS),
    await cost(waiting, IN_FLIGHT, TOGETHER_PAIRS),
  ] as const;
  const [without, withOne] = together.map(({ scripts, pairs }) => fixed(scripts / pairs, 4));
  say(`  ${IN_FLIGHT} in flight: ${without} scripts a pair without a wait, ${withOne} with one`);
  return [
    same('as many scripts, one pair after the other', 'scripts', ...alone),
    same('as many operations, one pair after the other', 'operations', ...alone),
    same(`as many operations, ${IN_FLIGHT} in flight`, 'operations', ...together),
  ];
}

function rowOf(name: string, slices: Duel['a']): string[] {
  const { p50, p99 } = latencies(slices);
  return [
    name,
    fixed(median(slices.map(rate)), 0),
    fixed(cpuPer(slices, 'node')),
    fixed(cpuPer(slices, 'redis')),
    fixed(p50, 2),
    fixed(p99, 2),
  ];
}

async function ratioGate(servers: Servers, plain: Pair, waiting: Pair): Promise<Gate> {
  const watched = { node: 0, ...servers.watched };
  const fight = await duel(timed(waiting, IN_FLIGHT, watched), timed(plain, IN_FLIGHT, watched));
  table([
    ['', 'pairs/s', 'Node us/pair', 'all redis us/pair', 'p50 ms', 'p99 ms'],
    rowOf(`wait ${WAIT_MS / 1000} s`, fight.a),
    rowOf('no wait', fight.b),
  ]);
  const all = ratios(fight, rate);
  const found = median(all);
  const detail =
    `${fixed(found, 2)}x of the pairs without a wait (least ${LEAST}x), ${all.length} pairs of slices, ` +
    `${fixed(quantile(all, 0), 2)}-${fixed(quantile(all, 1), 2)}x, spread ${fixed(spreadPercent(all), 0)} %`;
  return gate('a wait costs the free path nothing', found >= LEAST, detail);
}

export async function run(): Promise<boolean> {
  heading(`free locks over ${NODES} redis-servers, with and without a wait, one process`);
  const servers = await startServers(NODES);
  const watch = new BatchWatch();
  const ours = await openOurs(servers, NODES, watch.probe);
  try {
    const plain = ourPair(ours.locks);
    const waiting = ourPair(ours.locks, WAIT_MS);
    const gates = await costGates(servers, watch, plain, waiting);
    gates.push(await ratioGate(servers, plain, waiting));
    say();
    return judge(gates);
  } finally {
    ours.stop();
    await servers.stop();
  }
}
