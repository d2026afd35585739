/** Do locks go on at the same speed with an archive, and with one whose database hangs, is killed or is full? Alternating slices, in one run. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Postgres, withoutPostgres } from '../test/harness/postgres.ts';
import { type Database, type Fault, postgres as inPostgres, sqlite } from './lib/archive-faults.ts';
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
/** Of the throughput with a database that answers, each beside a server without an archive: what a fault of it may cost. */
const FAULT_LEAST = 0.95;
/**
 * Of the throughput without an archive, whatever one that answers costs: nobody writes any more, so what remains is to
 * capture each event, to make its row, and to put that into a queue that is full.
 */
const AWAY_LEAST = 0.85;
/** Of the throughput without an archive: its own thread, and Postgres, need the cores that nodes and callers need. */
const ON_LEAST = 0.8;

interface Pace {
  readonly pairs: number;
  readonly warmUpMs: number;
}

const FULL: Pace = { pairs: 24, warmUpMs: 8000 };
const QUICK: Pace = { pairs: 6, warmUpMs: 3000 };

/** Rounds of calls until the archive is given up and what waits for it is full. */
const ROUND_MS = 1000;
const ROUNDS_MAX = 30;

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
}

const OFF: Side = { name: 'off', archive: 'off' };

interface Entrant {
  readonly side: Side;
  readonly callers: Callers;
  readonly metrics: () => Promise<Record<string, number>>;
}

type Closing = (() => unknown)[];

async function entered(nodes: Servers, side: Side, closing: Closing): Promise<Entrant> {
  const server = await startServer(nodes, side.archive);
  closing.push(() => server.stop());
  const callers = await Callers.of(server);
  closing.push(() => callers.stop());
  const { httpAddress } = await server.ask({});
  return { side, callers, metrics: () => metrics(httpAddress) };
}

/** Throughput of `a` by that of `b`, slice by slice. */
async function fought(a: Entrant, b: Entrant, pace: Pace): Promise<number[]> {
  const fight = await duel(a.callers.side('locks'), b.callers.side('locks'), pace.pairs, pace.warmUpMs);
  table([
    ['', 'pairs/s', 'server us/pair', 'p50 ms', 'p99 ms'],
    rowOf(a.side.name, fight.a),
    rowOf(b.side.name, fight.b),
  ]);
  return ratios(fight, rate);
}

async function closed(closing: Closing): Promise<void> {
  for (const close of closing.splice(0).reverse()) await close();
}

async function contest(nodes: Servers, side: Side, pace: Pace): Promise<number[]> {
  const closing: Closing = [];
  try {
    const one = await entered(nodes, side, closing);
    return await fought(one, await entered(nodes, OFF, closing), pace);
  } finally {
    await closed(closing);
  }
}

/** Not the outage's first moments are measured but what it is like once it lasts: events are lost for want of room. */
async function givenUp(one: Entrant, other: Entrant): Promise<Record<string, number>> {
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    // The other one gets as much to warm up by.
    for (const { callers } of [one, other]) await callers.side('locks')(ROUND_MS);
    const seen = await one.metrics();
    if (seen.up === 0 && (seen.lost_events_totalfailed ?? 0) > 0) return seen;
  }
  throw new Error(`${one.side.name}: the archive was not given up: ${JSON.stringify(await one.metrics())}`);
}

/** Beside a server without an archive; `answering`: the same with a database that answers. */
async function stricken(
  nodes: Servers,
  name: string,
  fault: Fault,
  answering: readonly number[],
  pace: Pace,
): Promise<Gate[]> {
  const title = `${name}, ${fault.name}`;
  const closing: Closing = [];
  try {
    const { archive, strike, close } = fault.open();
    closing.push(close);
    const one = await entered(nodes, { name: title, archive }, closing);
    const other = await entered(nodes, OFF, closing);
    for (const { callers } of [one, other]) await callers.side('locks')(ROUND_MS);
    await strike();
    const before = await givenUp(one, other);
    const all = await fought(one, other, pace);
    const after = await one.metrics();
    say(`  ${title}: ${JSON.stringify(after)}`);
    const part = median(all) / median(answering);
    const taken = after.events_total! - before.events_total!;
    return [
      gate(`${title}, beside off`, median(all) >= AWAY_LEAST, `${told(all)} (at least ${AWAY_LEAST}x)`),
      gate(
        `${title}, beside one that answers`,
        part >= FAULT_LEAST,
        `${fixed(part, 3)}x (at least ${FAULT_LEAST}x)`,
      ),
      gate(`${title}, all the time`, after.up === 0 && taken === 0, `${taken} events taken meanwhile`),
    ];
  } finally {
    await closed(closing);
  }
}

/** What this machine cannot do: neither passed nor failed. */
const notRun: string[] = [];

function miss(what: string, why: string): void {
  notRun.push(`${what}:${why}`);
  say(`\n!! NOT RUN  ${what}:${why}`);
}

async function measure(nodes: Servers, { name, archive, faults }: Database, pace: Pace): Promise<Gate[]> {
  heading(`${name}: acquire + release, ${NODES} redis-servers`);
  const cost = await contest(nodes, { name, archive }, pace);
  const gates = [
    gate(`${name}, beside off`, median(cost) >= ON_LEAST, `${told(cost)} (at least ${ON_LEAST}x)`),
  ];
  for (const fault of faults) {
    if (fault.without === '') gates.push(...(await stricken(nodes, name, fault, cost, pace)));
    else miss(`${name}, ${fault.name}`, fault.without);
  }
  return gates;
}

function judged(gates: readonly Gate[]): boolean {
  say();
  const passed = judge(gates);
  for (const what of notRun) say(`NOT RUN  ${what}`);
  say(`${gates.length} gates judged, ${notRun.length} not run for want of what this machine does not have`);
  return passed;
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
    say(`  ${told(await contest(nodes, { ...OFF, name: 'off, too' }, pace))}`);
    const gates = await measure(nodes, sqlite(directory), pace);
    if (postgres === undefined) miss('Postgres', withoutPostgres);
    else gates.push(...(await measure(nodes, inPostgres(postgres), pace)));
    return judged(gates);
  } finally {
    await postgres?.stop();
    await nodes.stop();
    rmSync(directory, { recursive: true });
  }
}
