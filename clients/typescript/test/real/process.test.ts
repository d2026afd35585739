/** What becomes of a process and its locks: it ends by itself, and one that was stopped knows it at once. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { ReplicaProcess } from '../../../../test/harness/replica.ts';
import { until } from '../../../../test/harness/until.ts';
import { Holdfast } from '../../src/index.ts';

let replica: ReplicaProcess;
let hf: Holdfast;
const children: ChildProcess[] = [];
beforeAll(async () => {
  replica = await ReplicaProcess.start('');
  hf = new Holdfast({ address: replica.address });
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});
afterAll(async () => {
  await hf?.close();
  await replica?.stop();
});

interface Run {
  readonly child: ChildProcess;
  readonly lines: () => Record<string, unknown>[];
  readonly ended: Promise<unknown>;
}

function run(way: string, { address } = replica): Run {
  const path = fileURLToPath(new URL('child.ts', import.meta.url));
  const child = spawn(process.execPath, [path, way, address], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  let text = '';
  child.stdout?.on('data', (chunk) => {
    text += chunk;
  });
  const lines = (): Record<string, unknown>[] =>
    text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  return { child, lines, ended: once(child, 'exit').then(([code]) => code as unknown) };
}

test.each(['closed', 'idle'])('a process whose client is %s ends by itself', async (way) => {
  const { ended, lines } = run(way);
  expect(await ended).toBe(0);
  expect(lines()).toEqual([{ [way]: true }]);
  expect((await hf.inspect('exit')).state).toBe('free');
});

test('one that holds a lease lives on, and its death frees the lock after the grace', async () => {
  const { child, lines, ended } = run('held');
  await until('it holds', () => lines().length > 0);
  const ends = async (): Promise<number> => (await hf.inspect('exit')).holders[0]?.expireTime?.getTime() ?? 0;
  const first = await ends();
  // What is left at a node is rounded: the same end may seem a little later.
  await until('it was renewed', async () => (await ends()) > first + 200);
  expect(child.exitCode).toBeNull();
  child.kill('SIGKILL');
  await ended;
  await until('it is free', async () => (await hf.inspect('exit')).state === 'free');
});

test('one whose replica has died for good ends by itself, though nobody looks at its lease', async () => {
  const mortal = await ReplicaProcess.start('');
  const { lines, ended } = run('held', mortal);
  await until('it holds', () => lines().length > 0);
  await mortal.stop();
  expect(await ended).toBe(0);
});

test('stopped past its count, it wakes with nothing left and check throws, before any event is read', async () => {
  const { child, lines } = run('stopped');
  await until('it holds', () => lines().length > 0);
  expect(lines()[0]).toMatchObject({ held: true, thrown: '' });
  const { token } = (await hf.inspect('stopped')).holders[0]!;
  child.kill('SIGSTOP');
  await hf.forceRelease('stopped', { reason: 'its holder is stopped' });
  await using next = await hf.lock('stopped', { ttl: '2s' });
  expect(next.token).toBeGreaterThan(token);
  const stoppedUntilMs = performance.now() + 1500;
  await until('its time is over', () => performance.now() > stoppedUntilMs);
  child.kill('SIGCONT');
  await until('it has woken', () => lines().length > 1);
  expect(lines()[1]).toEqual({
    woke: true,
    remainingMs: 0,
    thrown: 'LeaseLostError',
    lost: 'expired',
    aborted: true,
  });
});
