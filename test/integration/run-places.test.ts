/** `holdfast run` where it often is: the first process of a container, and a terminal. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { span, TestReplica } from '../harness/replica.ts';
import { until } from '../harness/until.ts';
import { codeOf, RunProcess } from './run-process.ts';

let replica: TestReplica;

beforeAll(async () => {
  replica = await TestReplica.start('', { HOLDFAST_MAX_TTL: '60s' });
});
afterAll(() => replica?.stop());

const where = () => ['--address', replica.replica.addresses[0]!];
const isFree = async (name: string) => (await replica.client.inspect(name)).state === 'STATE_FREE';

/** A pid namespace of its own, in which `run` is process 1. */
const CONTAINER = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child'];

function contained(name: string, script: string, ...flags: string[]): RunProcess {
  return new RunProcess([name, ...where(), ...flags, '--', 'sh', '-c', script], { wrap: CONTAINER });
}

/** The process that `unshare` has started. */
function firstOf(run: RunProcess): number {
  return Number(readFileSync(`/proc/${run.pid}/task/${run.pid}/children`, 'latin1').trim());
}

test('as process 1 it hands the exit code on and gives the lock back', async () => {
  const run = contained('one/1', `tr '\\0' ' ' </proc/1/cmdline; exit 7`);
  expect(await run.code()).toBe(7);
  expect(run.out).toContain('main.ts run one/1');
  expect(await isFree('one/1')).toBe(true);
});

test('as process 1 it hears signals, during the wait and after', async () => {
  const taken = await replica.client.lock('one/2', { ttl: span(60_000) });
  const waiting = contained('one/2', 'echo ran');
  await until('it waits', () => waiting.err.includes('place 1'));
  process.kill(firstOf(waiting), 'SIGTERM');
  expect(await waiting.code()).toBe(codeOf('SIGTERM'));
  expect(waiting.out).toBe('');
  await replica.client.release(taken.lease_id);
  const working = contained('one/2', `trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done`);
  await until('it works', () => working.out.includes('ready'));
  process.kill(firstOf(working), 'SIGTERM');
  expect(await working.code()).toBe(9);
  expect(await isFree('one/2')).toBe(true);
});

test('as process 1 it does not wait for dead orphans that nobody collects', async () => {
  // The orphan dies; run is its parent by then, and Node collects only its own children.
  const script = `pid=$(sleep 0.1 >/dev/null & echo $!)
    until grep -q ") Z 1 " "/proc/$pid/stat"; do sleep 0.02; done; echo dead; exit 5`;
  const run = contained('one/3', script);
  expect(await run.code()).toBe(5);
  expect(run.out).toBe('dead\n');
  expect(run.err).not.toContain('left processes behind');
  expect(await isFree('one/3')).toBe(true);
});

/** In a terminal of its own; `text` is what is typed. */
function atTerminal(name: string, script: string): RunProcess {
  const bin = new URL('../../bin/holdfast', import.meta.url).pathname;
  // Some shells stay in between otherwise, and the terminal's interrupt ends them, and with them the terminal.
  const line = ['exec', bin, 'run', name, ...where(), '--', 'sh', '-c', `'${script}'`].join(' ');
  return new RunProcess([], { instead: ['script', '--quiet', '--return', '--command', line, '/dev/null'] });
}

test('on a terminal the wait is one line that is rewritten, and Ctrl-C ends it', async () => {
  const taken = await replica.client.lock('tty/1', { owner: 'somebody', ttl: span(60_000) });
  const run = atTerminal('tty/1', 'echo ran');
  await until(
    'the line was rewritten',
    () => run.out.split('\r\u001b[Kholdfast run: waiting for tty/1').length > 2,
  );
  expect(run.out).not.toContain('\n');
  run.stdin.write('\u0003');
  expect(await run.code()).toBe(codeOf('SIGINT'));
  expect(run.out).not.toContain('ran');
  expect((await replica.client.inspect('tty/1')).waiters).toEqual([]);
  await replica.client.release(taken.lease_id);
});

test('on a terminal Ctrl-C reaches the command once, and what is typed reaches it, too', async () => {
  const run = atTerminal(
    'tty/2',
    'trap "echo interrupted" INT; echo ready; until read -r line; do :; done; echo "got $line"',
  );
  await until('it works', () => run.out.includes('ready'));
  run.stdin.write('\u0003');
  await until('it was interrupted', () => run.out.includes('interrupted'));
  run.stdin.write('hello\n');
  expect(await run.code()).toBe(0);
  expect(run.out).toContain('got hello');
  expect(run.out.split('interrupted')).toHaveLength(2);
});
