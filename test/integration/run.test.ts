/** `holdfast run` as a process over a real replica: what the command gets, what the caller sees, and every exit code. */
import { readlinkSync } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { span, TestReplica } from '../harness/replica.ts';
import { until } from '../harness/until.ts';
import { codeOf, commandLine, members, RunProcess } from './run-process.ts';

let replica: TestReplica;
let folder = '';

beforeAll(async () => {
  replica = await TestReplica.start('', { HOLDFAST_MAX_TTL: '60s' });
  folder = await mkdtemp(join(tmpdir(), 'holdfast-run-'));
});
afterAll(async () => {
  await replica?.stop();
  await rm(folder, { recursive: true, force: true });
});

const run = (...args: string[]): RunProcess =>
  new RunProcess(['--address', replica.replica.addresses[0]!, ...args]);
const sh = (script: string): string[] => ['--', 'sh', '-c', script];
const waiters = async (name: string) => (await replica.client.inspect(name)).waiters.length;
const descriptors = async (pid: number | 'self') =>
  (await readdir(`/proc/${pid}/fd`)).map((fd) => [fd, linkOf(`/proc/${pid}/fd/${fd}`)]);
function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return 'gone';
  }
}
const isFree = async (name: string) => (await replica.client.inspect(name)).state === 'STATE_FREE';
/** Says what happens to it, and goes on until it is told to end by a line on standard input. */
const WAITS = 'echo ready; read -r line';
/** Two processes that tell of each signal they get; the first ends with 3 at the end of its input. */
const TWO = `
import os, signal, sys, time
who = 'one' if os.fork() else 'two'
def tell(word):
    os.write(1, f'{who}-{word}\\n'.encode())
for name in sys.argv[1:]:
    signal.signal(getattr(signal, name), lambda number, _: tell(signal.Signals(number).name))
tell('ready')
while who == 'two':
    time.sleep(0.01)
os.read(0, 1)
sys.exit(3)
`;

test('the command has the streams, the exit code and the lease; afterwards the lock is free', async () => {
  const run1 = run(
    'gpu/1',
    'disk/1',
    '--label',
    'job=7',
    ...sh('read -r a; echo "got $a"; echo oops >&2; exit 7'),
  );
  await until('it holds the lock', async () => !(await isFree('gpu/1').catch(() => true)));
  const { holders } = await replica.client.inspect('gpu/1');
  expect(holders).toMatchObject([{ labels: { job: '7' }, mode: 'MODE_EXCLUSIVE' }]);
  run1.stdin.write('hello\n');
  expect(await run1.code()).toBe(7);
  expect({ out: run1.out, err: run1.err }).toEqual({ out: 'got hello\n', err: 'oops\n' });
  const { state, history } = await replica.client.inspect('gpu/1', 5);
  expect(state).toBe('STATE_FREE');
  expect(history[0]).toMatchObject({ type: 'EVENT_TYPE_RELEASED', reason: 'exit code 7' });
});

test('the command finds what was granted in its environment, and everything that was there before', async () => {
  const env = {
    HOLDFAST_ADDRESS: replica.replica.addresses[0]!,
    ODD: 'a b\nc',
    CUDA_VISIBLE_DEVICES: 'all',
  };
  const { client } = replica;
  const taken = await client.lock('h/gpu/0', { ttl: span(60_000) });
  const args = [
    'h/gpu/0',
    'h/gpu/1',
    'h/gpu/2',
    '--any',
    '2',
    '--env',
    'T={token}',
    '--',
    '/usr/bin/env',
    '-0',
  ];
  const run1 = new RunProcess(args, { env });
  expect(await run1.code()).toBe(0);
  await client.release(taken.lease_id);
  const variables = Object.fromEntries(run1.out.split('\0').map((line) => line.split(/=(.*)/s).slice(0, 2)));
  const { last_token } = await client.inspect('h/gpu/1');
  const { HOLDFAST_RESOURCES: names, CUDA_VISIBLE_DEVICES: cards } = variables;
  expect(names.split(' ').sort()).toEqual(['h/gpu/1', 'h/gpu/2']);
  expect(cards).toBe(names.replaceAll('h/gpu/', '').replace(' ', ','));
  expect(variables).toMatchObject({
    HOLDFAST_TOKEN: last_token,
    T: last_token,
    ODD: 'a b\nc',
    PATH: process.env.PATH,
  });
  expect(variables.HOLDFAST_LEASE_REF).toMatch(/^[\w-]{10,}$/);
});

test('exit codes are those of shells: 128 + n for a signal, 126 and 127 for what cannot be run', async () => {
  const plain = join(folder, 'plain');
  await writeFile(plain, 'echo no\n', { mode: 0o644 });
  const ends = async (...command: string[]) => await run('codes', '--', ...command).code();
  expect(await ends('sh', '-c', 'kill -KILL $$')).toBe(codeOf('SIGKILL'));
  expect(await ends('no-such-command')).toBe(127);
  expect(await ends(join(folder, 'missing'))).toBe(127);
  expect(await ends(plain)).toBe(126);
  expect(await ends(folder)).toBe(126);
});

test('a lock that is taken: 75 at once, 75 after the wait, and nobody stays in line', async () => {
  const taken = await replica.client.lock('busy/1', { owner: 'somebody', ttl: span(60_000) });
  const now = run('busy/1', '--max-wait', '0', ...sh('echo ran'));
  expect(await now.code()).toBe(75);
  expect(now.err).toMatch(/^holdfast run: BUSY: busy\/1 is held by somebody since \d\d:\d\d:\d\dZ \(/);
  const later = run('busy/1', '--max-wait', '300ms', ...sh('echo ran'));
  expect(await later.code()).toBe(75);
  expect(later.err).toContain('waiting for busy/1: place 1 of 1; busy/1 is held by somebody since ');
  expect(later.err).toContain('the wait is over, at place 1 in line');
  expect(now.out + later.out).toBe('');
  expect(await waiters('busy/1')).toBe(0);
  await replica.client.release(taken.lease_id);
});

test('a wait shows a line when it changes, and ends with the command running', async () => {
  const taken = await replica.client.lock('wait/1', { owner: 'first', ttl: span(60_000) });
  const ahead = replica.client.lock('wait/1', { owner: 'ahead', ttl: span(60_000), wait: span(60_000) });
  await until('one waits', async () => (await waiters('wait/1')) === 1);
  const quiet = run('wait/1', '--quiet', ...sh('exit 0'));
  await until('two wait', async () => (await waiters('wait/1')) === 2);
  const third = run('wait/1', '--owner', 'third', ...sh('exit 0'));
  await until('its place is shown', () => third.err.includes('place 3 of 3; wait/1 is held by first since '));
  await replica.client.release(taken.lease_id);
  await until('its new place is shown', () =>
    third.err.includes('place 2 of 2; wait/1 is held by ahead since '),
  );
  await replica.client.release((await ahead).lease_id);
  expect([await quiet.code(), await third.code()]).toEqual([0, 0]);
  expect(quiet.err).toBe('');
});

test.each(['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const)(
  '%s ends a wait: 128 + n, the place is left, the command never ran',
  async (signal) => {
    const taken = await replica.client.lock('stop/1', { ttl: span(60_000) });
    const run1 = run('stop/1', ...sh('echo ran'));
    await until('it waits', async () => (await waiters('stop/1')) === 1);
    await until('it says so', () => run1.err.includes('place 1'));
    run1.signal(signal);
    expect(await run1.code()).toBe(codeOf(signal));
    expect(run1.out).toBe('');
    expect(await waiters('stop/1')).toBe(0);
    await replica.client.release(taken.lease_id);
  },
);

test('every signal reaches the whole group of the command', async () => {
  const names = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGWINCH'] as const;
  const run1 = run('signals/1', '--kill-after', '200ms', '--', 'python3', '-c', TWO, ...names);
  await run1.group('one-ready');
  await run1.group('two-ready');
  for (const name of names) {
    run1.signal(name);
    await until(`both have heard ${name}`, () =>
      ['one', 'two'].every((who) => run1.out.includes(`${who}-${name}\n`)),
    );
  }
  run1.stdin.end();
  expect(await run1.code()).toBe(3);
});

test('TSTP stops the command and run, CONT lets both go on', async () => {
  const run1 = run('stop/2', ...sh(WAITS));
  const group = await run1.group();
  run1.signal('SIGTSTP');
  await run1.becomes(group, 'stopped');
  await run1.becomes(run1.pid, 'stopped');
  run1.signal('SIGCONT');
  await run1.becomes(group, 'going');
  run1.stdin.write('on\n');
  expect(await run1.code()).toBe(0);
});

test('what the command leaves behind is ended before the lock is given back', async () => {
  const stubborn = `sh -c 'trap "" TERM HUP; echo ready; while :; do sleep 0.05; done'`;
  const run1 = run(
    'left/1',
    '--kill-after',
    '300ms',
    '--',
    'bash',
    '-c',
    `${stubborn} & read -r line; exit 5`,
  );
  const group = await run1.group();
  const next = replica.client
    .lock('left/1', { wait: span(60_000) })
    .then((lease) => ({ lease, left: members(group) }));
  await until('another one waits', async () => (await waiters('left/1')) === 1);
  run1.stdin.write('on\n');
  const { lease, left } = await next;
  expect(left).toEqual([]);
  expect(await run1.code()).toBe(5);
  expect(run1.err).toContain('left processes behind');
  await replica.client.release(lease.lease_id);
});

test('nothing is left when it ends well: no guardian, no descriptor of ours in the command', async () => {
  const run1 = run('clean/1', '--ttl', '2s', '--kill-after', '100ms', ...sh(WAITS));
  const group = await run1.group();
  const guardian = await run1.guardian();
  // Beside its streams it has only what this process, too, was given by whoever started it.
  const others = (await descriptors(group)).filter(([fd]) => Number(fd) > 2);
  expect(await descriptors('self')).toEqual(expect.arrayContaining(others));
  // The guardian is told of each renewal.
  const expireSeconds = async () =>
    Number((await replica.client.inspect('clean/1')).holders[0]?.expire_time?.seconds);
  const first = await expireSeconds();
  await until('it was renewed', async () => (await expireSeconds()) >= first + 2);
  run1.stdin.write('on\n');
  expect(await run1.code()).toBe(0);
  expect([commandLine(guardian), members(guardian)]).toEqual(['', []]);
});

test('no replica: 69', async () => {
  const nobody = new RunProcess(['x', '--address', `unix:${join(folder, 'nobody.sock')}`, ...sh('echo ran')]);
  expect(await nobody.code()).toBe(69);
  expect(nobody.err).toContain('UNAVAILABLE');
  expect(nobody.out).toBe('');
});

test('a field that breaks its rule: 64, named', async () => {
  const long = run('x', '--ttl', '61s', ...sh('echo ran'));
  expect(await long.code()).toBe(64);
  expect(long.err).toContain('ttl');
  expect(long.out).toBe('');
});
