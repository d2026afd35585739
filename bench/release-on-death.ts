/** How soon does the next in line have the lock when its holder's process is killed, here and at its peers? */
import { parseArgs } from 'node:util';
import { etcdCase, ours, PEER_TTL_S, redlockCase, waiterAt } from './lib/death-cases.ts';
import { type Case, death, hasPython } from './lib/death-sample.ts';
import { startEtcd } from './lib/handoff-etcd.ts';
import { fixed, type Gate, gate, heading, judge, say, table } from './lib/report.ts';
import { type Servers, startServers } from './lib/servers.ts';
import { type ServerChild, startService } from './lib/session-stage.ts';
import { median, quantile } from './lib/stats.ts';

const MOST_MS = 100;

interface Pace {
  readonly deaths: number;
  readonly peerDeaths: number;
}

const FULL: Pace = { deaths: 40, peerDeaths: 6 };
const QUICK: Pace = { deaths: 6, peerDeaths: 2 };

const HEADER = ['', 'deaths', 'least ms', 'median ms', 'p90 ms', 'p99 ms', 'most ms'];

function rowOf({ name }: Case, all: readonly number[]): string[] {
  const figures = [0, 0.5, 0.9, 0.99, 1].map((at) => fixed(quantile(all, at)));
  return [name, String(all.length), ...figures];
}

/** One death after the other: nothing but that death is on the machine. */
async function oneByOne(which: Case, deaths: number): Promise<number[]> {
  const all: number[] = [];
  for (let index = 0; index < deaths; index += 1) {
    all.push(await death(which, `death/${which.name.replaceAll(/[^A-Za-z]+/g, '-')}/${index}`));
  }
  return all;
}

/** They take seconds each, in which nothing happens. */
async function together(which: Case, deaths: number): Promise<number[]> {
  const locks = Array.from({ length: deaths }, (_, index) => `death/peer/${index}`);
  return Promise.all(locks.map((lock) => death(which, lock)));
}

async function ofPeers(servers: Servers, deaths: number): Promise<string[][]> {
  const library = redlockCase(servers.all.map(({ tcpUrl }) => tcpUrl));
  const rows = [rowOf(library, await together(library, deaths))];
  library.stop();
  try {
    const etcd = await startEtcd();
    try {
      const lease = await etcdCase(etcd.address, deaths);
      rows.push(rowOf(lease, await together(lease, deaths)));
    } finally {
      await etcd.stop();
    }
  } catch (error) {
    say(`!!!!! NO ETCD: ${String(error)}; nothing below is compared with it !!!!!`);
  }
  return rows;
}

async function ofOurs(servers: Servers, deaths: number, rows: string[][]): Promise<Gate[]> {
  const replicas: ServerChild[] = [];
  try {
    const start = async (env: Record<string, string>): Promise<string> => {
      const replica = startService(servers, env);
      replicas.push(replica);
      return (await replica.answer()).address;
    };
    const holders = await start({});
    const waiters = await start({ HOLDFAST_BOOTSTRAP: '0' });
    const python = hasPython();
    if (!python) say('!!!!! NO PYTHON: there is no .venv (make tools); no holder in Python is killed !!!!!');
    const gates: Gate[] = [];
    for (const which of ours(holders, await waiterAt(waiters), python)) {
      const all = await oneByOne(which, deaths);
      rows.push(rowOf(which, all));
      const found = median(all);
      const detail = `${fixed(found)} ms, median of ${all.length} (at most ${MOST_MS}), p99 ${fixed(quantile(all, 0.99))} ms`;
      gates.push(gate(`${which.name}: from SIGKILL to the next grant`, found <= MOST_MS, detail));
    }
    return gates;
  } finally {
    await Promise.all(replicas.map((replica) => replica.stop()));
  }
}

export async function run(): Promise<boolean> {
  const { values } = parseArgs({ args: process.argv.slice(3), options: { quick: { type: 'boolean' } } });
  const { deaths, peerDeaths } = values.quick === true ? QUICK : FULL;
  heading(
    `holder killed, waiter at another replica, 3 redis-servers; peers with ${PEER_TTL_S} s, renewed by themselves`,
  );
  const servers = await startServers(3);
  const rows: string[][] = [];
  try {
    const gates = await ofOurs(servers, deaths, rows);
    rows.push(...(await ofPeers(servers, peerDeaths)));
    table([HEADER, ...rows]);
    say();
    return judge(gates);
  } finally {
    await servers.stop();
  }
}
