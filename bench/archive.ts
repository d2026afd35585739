/** Do locks go on at the same speed with an archive, and with one whose database hangs? Alternating slices, in one run. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { parseArgs } from 'node:util';
import { Postgres, withoutPostgres } from '../test/harness/postgres.ts';
import { until } from '../test/harness/until.ts';
import { Child } from './lib/children.ts';
import { fixed, type Gate, gate, heading, judge, say, table } from './lib/report.ts';
import { type Servers, startServers } from './lib/servers.ts';
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
import type { ServerQuestion, ServerState } from './lib/unary-server.ts';
import { Callers } from './unary.ts';

const NODES = 3;
/** Of the throughput with a database that answers, each beside a server without an archive: what a hung one may cost. */
const HUNG_LEAST = 0.95;
/** Of the throughput without an archive: its own thread, and Postgres, need the cores that nodes and callers need. */
const ON_LEAST = 0.8;

interface Pace {
  readonly pairs: number;
  readonly warmUpMs: number;
}

const FULL: Pace = { pairs: 24, warmUpMs: 8000 };
const QUICK: Pace = { pairs: 6, warmUpMs: 3000 };

/** An archive's database, and how it is made to hang. */
interface Database {
  readonly setting: string;
  hang(): Promise<() => unknown>;
}

let servers = 0;

async function startServer(nodes: Servers, archive: string): Promise<Child<ServerQuestion, ServerState>> {
  servers += 1;
  const server = new Child<ServerQuestion, ServerState>('unary-server.ts', {
    HOLDFAST_LISTEN: '127.0.0.1:0',
    HOLDFAST_HTTP_LISTEN: '127.0.0.1:0',
    HOLDFAST_REDIS_NODES: nodes.all.map(({ url }) => url).join(','),
    HOLDFAST_NODE_TIMEOUT: '1s',
    HOLDFAST_NAMESPACE: `archive${servers}`,
    HOLDFAST_BOOTSTRAP: '1',
    HOLDFAST_ARCHIVE: archive,
  });
  await server.answer();
  return server;
}

async function metrics(httpAddress: string): Promise<Record<string, number>> {
  const text = await (await fetch(`http://${httpAddress}/metrics`)).text();
  const lines = [...text.matchAll(/^holdfast_archive_(\w+)(?:\{reason="(\w+)"\})? (\S+)$/gm)];
  return Object.fromEntries(lines.map(([, name, reason = '', value]) => [`${name}${reason}`, Number(value)]));
}

function rowOf(name: string, slices: readonly Slice[]): string[] {
  const { p50, p99 } = latencies(slices);
  return [name, fixed(median(slices.map(rate)), 0), fixed(cpuPer(slices)), fixed(p50, 2), fixed(p99, 2)];
}

function told(all: readonly number[]): string {
  return (
    `${fixed(median(all), 3)}x the pairs, ${all.length} pairs of slices, ` +
    `${fixed(quantile(all, 0), 2)}-${fixed(quantile(all, 1), 2)}x, spread ${fixed(spreadPercent(all), 0)} %`
  );
}

interface Side {
  readonly name: string;
  readonly archive: string;
  readonly hang?: () => Promise<() => unknown>;
}

/** Throughput of `a` by that of `b`, slice by slice. */
async function contest(nodes: Servers, a: Side, b: Side, pace: Pace): Promise<number[]> {
  const closing: (() => unknown)[] = [];
  try {
    const sides: Callers[] = [];
    for (const { archive, hang } of [a, b]) {
      const server = await startServer(nodes, archive);
      closing.push(() => server.stop());
      const callers = await Callers.of(server);
      closing.push(() => callers.stop());
      sides.push(callers);
      if (hang === undefined) continue;
      await callers.side('locks')(1000);
      closing.push(await hang());
      // Then the first batch without an answer counts: as on a machine that has hung for a while.
      const { httpAddress } = await server.ask({});
      const noticed = callers.side('locks')(8000);
      await until('the archive is away', async () => (await metrics(httpAddress)).up === 0, 20_000, 100);
      await noticed;
      closing.push(async () => say(`  ${a.name}: ${JSON.stringify(await metrics(httpAddress))}`));
    }
    const [one, other] = sides.map((callers) => callers.side('locks'));
    const fight = await duel(one!, other!, pace.pairs, pace.warmUpMs);
    table([
      ['', 'pairs/s', 'server us/pair', 'p50 ms', 'p99 ms'],
      rowOf(a.name, fight.a),
      rowOf(b.name, fight.b),
    ]);
    return ratios(fight, rate);
  } finally {
    for (const close of closing.splice(0).reverse()) await close();
  }
}

async function measure(
  nodes: Servers,
  name: string,
  { setting, hang }: Database,
  pace: Pace,
): Promise<Gate[]> {
  heading(`${name}: acquire + release, ${NODES} redis-servers`);
  const on = { name, archive: setting };
  const cost = await contest(nodes, on, { name: 'off', archive: 'off' }, pace);
  const hung = await contest(
    nodes,
    { name: `${name}, hung`, archive: setting, hang },
    { name: 'off', archive: 'off' },
    pace,
  );
  return [
    gate(`${name}, beside off`, median(cost) >= ON_LEAST, `${told(cost)} (at least ${ON_LEAST}x)`),
    gate(
      `${name} hung, beside one that answers`,
      median(hung) >= HUNG_LEAST * median(cost),
      `${fixed(median(hung) / median(cost), 3)}x (at least ${HUNG_LEAST}x); beside off: ${told(hung)}`,
    ),
  ];
}

function sqlite(directory: string): Database {
  const path = join(directory, 'history.db');
  return {
    setting: `sqlite:${path}`,
    hang: async () => {
      const other = new DatabaseSync(path, { timeout: 10_000 });
      other.exec('BEGIN IMMEDIATE');
      return () => other.close();
    },
  };
}

/** `--quick`: few slices, to see that it runs. */
export async function run(): Promise<boolean> {
  const { values } = parseArgs({ args: process.argv.slice(3), options: { quick: { type: 'boolean' } } });
  const pace = values.quick === true ? QUICK : FULL;
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-archive-'));
  const nodes = await startServers(NODES);
  const postgres = withoutPostgres === '' ? await Postgres.start() : undefined;
  try {
    heading('noise: two servers without an archive');
    const off = { name: 'off', archive: 'off' };
    say(`  ${told(await contest(nodes, off, { ...off, name: 'off, too' }, pace))}`);
    const gates = await measure(nodes, 'SQLite', sqlite(directory), pace);
    if (postgres === undefined) say(`Postgres${withoutPostgres}`);
    else {
      const hang = () => postgres.holding('BEGIN; LOCK TABLE holdfast_events IN ACCESS EXCLUSIVE MODE');
      gates.push(...(await measure(nodes, 'Postgres', { setting: postgres.url(), hang }, pace)));
    }
    say();
    return judge(gates);
  } finally {
    await postgres?.stop();
    await nodes.stop();
    rmSync(directory, { recursive: true });
  }
}
