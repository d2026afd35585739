/** How much faster than the redlock package is our path in one process, and does it ask the nodes no more than it must? */

import { silentProbe } from '../src/domain/probe.ts';
import { makeLocks } from '../src/locks/desk.ts';
import { systemRandom } from '../src/std/random.ts';
import { usualWaiting } from '../test/harness/asking.ts';
import { BatchWatch, countGates } from './lib/counts.ts';
import { counted, type Pair, timed } from './lib/load.ts';
import { plainMajority } from './lib/plain-majority.ts';
import { collectGarbage, fixed, type Gate, gate, heading, judge, say, table } from './lib/report.ts';
import { type Servers, startServers } from './lib/servers.ts';
import { hold, type OurSide, openOurs, openTheirs, ourPair } from './lib/sides.ts';
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
} from './lib/stats.ts';

export const IN_FLIGHT = 64;
const TARGET = 2.5;
const GOAL = 4;
const LEASES = 10_000;

function watched(servers: Servers) {
  return { node: 0, ...servers.watched };
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

const HEADER = ['', 'pairs/s', 'Node us/pair', 'all redis us/pair', 'p50 ms', 'p99 ms'];

/** Alternates our pairs with the package's on the same servers. */
export async function ratioGate(servers: Servers, nodes: number, pair: Pair, title: string): Promise<Gate> {
  const theirs = openTheirs(servers.all.slice(0, nodes).map(({ tcpUrl }) => tcpUrl));
  try {
    await counted(theirs.pair, IN_FLIGHT, 1);
    const fight = await duel(
      timed(pair, IN_FLIGHT, watched(servers)),
      timed(theirs.pair, IN_FLIGHT, watched(servers)),
    );
    table([HEADER, rowOf('holdfast', fight.a), rowOf('redlock 5.0.0-beta.2', fight.b)]);
    const all = ratios(fight, rate);
    const found = median(all);
    const detail =
      `${fixed(found, 2)}x (least ${TARGET}x, goal ${GOAL}x), ${all.length} pairs of slices, ` +
      `${fixed(quantile(all, 0), 2)}-${fixed(quantile(all, 1), 2)}x, spread ${fixed(spreadPercent(all), 0)} %`;
    return gate(title, found >= TARGET, detail);
  } finally {
    theirs.stop();
  }
}

/** The same path, once counted by the package and once by a plain loop. */
async function packageCost(servers: Servers, { quorum, locks }: OurSide): Promise<void> {
  const plain = makeLocks({
    quorum: { ...quorum, votes: plainMajority(quorum.votes.nodes, silentProbe) },
    random: systemRandom,
    probe: silentProbe,
    waiting: usualWaiting,
  });
  const fight = await duel(
    timed(ourPair(locks), IN_FLIGHT, watched(servers)),
    timed(ourPair(plain), IN_FLIGHT, watched(servers)),
  );
  table([HEADER, rowOf('counted by redlock', fight.a), rowOf('counted by a loop', fight.b)]);
  const cost = ratios(fight, (slice) => cpuPer([slice], 'node'));
  const slower = ratios(fight, rate);
  say(
    `  the package: ${fixed(100 * (1 - 1 / median(cost)), 0)} % of the path's Node CPU ` +
      `(${fixed(cpuPer(fight.a, 'node') - cpuPer(fight.b, 'node'))} us a pair), ` +
      `${fixed(100 * (1 - median(slower)), 0)} % of its throughput, spread ${fixed(spreadPercent(slower), 0)} %`,
  );
}

/** Holds many leases at once and looks at what that takes on either side. */
async function memoryOfLeases(servers: Servers, { locks }: OurSide): Promise<void> {
  collectGarbage();
  const { rss, heapUsed } = process.memoryUsage();
  const used = await servers.usedMemory();
  let next = 0;
  await Promise.all(
    Array.from({ length: IN_FLIGHT }, async () => {
      while (next < LEASES) {
        next += 1;
        await hold(locks, `memory/${next}`);
      }
    }),
  );
  collectGarbage();
  const now = process.memoryUsage();
  const grown = (await servers.usedMemory()).map((bytes, index) => bytes - used[index]!);
  say(
    `  ${LEASES} leases held: Node heap ${fixed((now.heapUsed - heapUsed) / 1e6)} MB, ` +
      `RSS ${fixed((now.rss - rss) / 1e6)} MB more; each redis-server ${fixed(Math.max(...grown) / 1e6)} MB more ` +
      `(${fixed(Math.max(...grown) / LEASES, 0)} bytes a lease)`,
  );
}

async function withNodes(servers: Servers, nodes: number, gates: Gate[]): Promise<void> {
  heading(`acquire + release over ${nodes} redis-servers, ${IN_FLIGHT} in flight, one process`);
  const watch = new BatchWatch();
  const ours = await openOurs(servers, nodes, watch.probe);
  try {
    const counts = await countGates(servers, nodes, watch, ourPair(ours.locks), IN_FLIGHT);
    gates.push(...counts.map(({ name, ...rest }) => ({ name: `${nodes} nodes, ${name}`, ...rest })));
    gates.push(await ratioGate(servers, nodes, ourPair(ours.locks), `${nodes} nodes, against redlock`));
    if (nodes === 3) {
      await packageCost(servers, ours);
      await memoryOfLeases(servers, ours);
    }
  } finally {
    ours.stop();
  }
}

export async function run(): Promise<boolean> {
  const gates: Gate[] = [];
  for (const nodes of [3, 5]) {
    const servers = await startServers(nodes);
    try {
      await withNodes(servers, nodes, gates);
    } finally {
      await servers.stop();
    }
  }
  say();
  return judge(gates);
}
