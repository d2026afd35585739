/** Runs one benchmark by name, or all of them one after the other, each in a process of its own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const NAMES = [
  'quorum',
  'unary',
  'session',
  'telemetry',
  'clients',
  'handoff',
  'trip',
  'release-on-death',
  'streams',
  'uncontended',
  'events',
  'archive',
  'self-test',
  'session-self-test',
  'handoff-self-test',
  'telemetry-self-test',
];

async function inItsOwnProcess(name: string): Promise<boolean> {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), name], { stdio: 'inherit' });
  const [code] = (await once(child, 'exit')) as [number | null];
  return code === 0;
}

async function all(): Promise<boolean> {
  const failed: string[] = [];
  for (const name of NAMES) {
    if (!(await inItsOwnProcess(name))) failed.push(name);
  }
  process.stdout.write(failed.length === 0 ? '\nall passed\n' : `\nfailed: ${failed.join(', ')}\n`);
  return failed.length === 0;
}

const [name] = process.argv.slice(2);
if (name !== undefined && !NAMES.includes(name)) {
  process.stderr.write(`usage: node bench/main.ts [${NAMES.join(' | ')}]\n`);
  process.exit(64);
}
const { run } =
  name === undefined ? { run: all } : ((await import(`./${name}.ts`)) as { run: () => Promise<boolean> });
process.exit((await run()) ? 0 : 1);
