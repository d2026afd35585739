/** The Python client's asyncio face beside redis-py's asyncio lock on one node, in turns; no gate, for it asks one node and three. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { PYTHON, PYTHON_ENV, withoutPython } from '../../test/harness/program.ts';
import { fixed, heading, say, table } from './report.ts';
import { median } from './stats.ts';

const PROGRAM = fileURLToPath(new URL('python_asyncio.py', import.meta.url));
const FIGURES = ['pairs_per_s', 'cpu_us_per_pair', 'p50_ms', 'p99_ms'] as const;

type Said = Readonly<Record<(typeof FIGURES)[number], number>>;

async function ask(how: string, where: string, pairs: number): Promise<Said> {
  const args = [PROGRAM, how, where, '--pairs', String(pairs), '--in-flight', '64'];
  const { stdout } = await promisify(execFile)(PYTHON, args, { env: { ...process.env, ...PYTHON_ENV } });
  return JSON.parse(stdout) as Said;
}

export async function sayPython(
  address: string,
  redisUrl: string,
  turns: number,
  pairs: number,
): Promise<void> {
  if (withoutPython !== '') {
    say(`!!!!! NO PYTHON:${withoutPython} !!!!!`);
    return;
  }
  const subjects = [
    { name: 'holdfast_client.aio, 3 nodes', how: 'holdfast', where: address, said: [] as Said[] },
    { name: 'redis-py asyncio Lock, 1 node', how: 'redis-py', where: redisUrl, said: [] as Said[] },
  ];
  for (let turn = 0; turn < turns; turn += 1) {
    for (const { how, where, said } of subjects) said.push(await ask(how, where, pairs));
  }
  heading('Python, acquire + release, 64 in flight');
  table([
    ['', 'pairs/s', 'client us/pair', 'p50 ms', 'p99 ms'],
    ...subjects.map(({ name, said }) => [
      name,
      ...FIGURES.map((figure) =>
        fixed(median(said.map((one) => one[figure])), figure === 'pairs_per_s' ? 0 : 2),
      ),
    ]),
  ]);
}
