/** The guardian of `holdfast run`: what is killed, stopped or gone beside the command must not leave it with the lock. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { span, TestReplica } from '../harness/replica.ts';
import { until } from '../harness/until.ts';
import { members, RunProcess } from './run-process.ts';

let replica: TestReplica;
let folder = '';

beforeAll(async () => {
  // What a stopped process keeps is renewed until its stream is found dead: soon, here.
  const quick = { HOLDFAST_KEEPALIVE_TIME: '1s', HOLDFAST_KEEPALIVE_TIMEOUT: '1s' };
  replica = await TestReplica.start('', { HOLDFAST_MAX_TTL: '60s', ...quick });
  folder = await mkdtemp(join(tmpdir(), 'holdfast-guard-'));
});
afterAll(async () => {
  await replica?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Stubborn, with a child of its own that has let go of every stream. */
const WORK = `trap '' TERM HUP INT
(exec </dev/null >/dev/null 2>&1; while :; do sleep 0.05; done) &
echo ready; while :; do sleep 0.05; done`;

/** A lease that stands a stall of two seconds of this busy machine, and is soon over when it should be. */
const SHORT = ['--ttl', '4s', '--kill-after', '200ms'];

async function working(name: string, flags = SHORT) {
  const address = replica.replica.addresses[0]!;
  const run = new RunProcess([name, '--address', address, ...flags, '--', 'sh', '-c', WORK]);
  const group = await run.group();
  expect(members(group).length).toBeGreaterThanOrEqual(2);
  return { run, group, guardian: await run.guardian() };
}

/** Waits for the lock in this process; what of the group was alive at the moment of the grant. */
async function nextHolder(name: string, group: number) {
  const granted = replica.client.lock(name, { owner: 'next', wait: span(60_000), ttl: span(60_000) });
  const next = granted.then((lease) => ({ lease, alive: members(group) }));
  await until('the next one waits', async () => (await replica.client.inspect(name)).waiters.length === 1);
  return next;
}

const dead = (group: number) => until('the group is dead', () => members(group).length === 0);

test('run is killed: the group of the command dies before another holder begins', async () => {
  const { run, group, guardian } = await working('guard/1');
  const next = nextHolder('guard/1', group);
  await until(
    'the next one waits',
    async () => (await replica.client.inspect('guard/1')).waiters.length === 1,
  );
  run.signal('SIGKILL');
  await dead(group);
  expect((await replica.client.inspect('guard/1')).holders[0]?.owner).not.toBe('next');
  const { lease, alive } = await next;
  expect(alive).toEqual([]);
  await until('the guardian is gone', () => members(guardian).length === 0);
  await replica.client.release(lease.lease_id);
});

test('run is killed: its guardian gives the lock back, long before the lease would end', async () => {
  const { run, group } = await working('guard/4', ['--ttl', '60s']);
  run.signal('SIGKILL');
  await dead(group);
  // By itself it would be free after a grace of 25 s and more.
  await until('it is free', async () => (await replica.client.inspect('guard/4')).state === 'STATE_FREE');
  const { history } = await replica.client.inspect('guard/4', 1);
  expect(history).toMatchObject([{ type: 'EVENT_TYPE_RELEASED', reason: 'holdfast run was killed' }]);
});

test('without its guardian the command lives on under another holder', async () => {
  const { run, group, guardian } = await working('guard/2');
  process.kill(-guardian, 'SIGSTOP');
  await run.becomes(guardian, 'stopped');
  run.signal('SIGKILL');
  const { lease, alive } = await nextHolder('guard/2', group);
  expect(alive.length).toBeGreaterThanOrEqual(2);
  process.kill(-guardian, 'SIGCONT');
  await dead(group);
  await replica.client.release(lease.lease_id);
});

test('run stands still for longer than its lease: the group dies before another holder begins', async () => {
  const { run, group } = await working('still/1');
  run.signal('SIGSTOP');
  await run.becomes(run.pid, 'stopped');
  const { lease, alive } = await nextHolder('still/1', group);
  expect(alive).toEqual([]);
  run.signal('SIGCONT');
  expect(await run.code()).toBe(76);
  await replica.client.release(lease.lease_id);
});

test('and without its guardian it lives on', async () => {
  const { run, group, guardian } = await working('still/2');
  process.kill(-guardian, 'SIGSTOP');
  await run.becomes(guardian, 'stopped');
  run.signal('SIGSTOP');
  const { lease, alive } = await nextHolder('still/2', group);
  expect(alive.length).toBeGreaterThanOrEqual(2);
  // It finds its lease gone as soon as it wakes.
  run.signal('SIGCONT');
  expect(await run.code()).toBe(76);
  expect(members(group)).toEqual([]);
  await replica.client.release(lease.lease_id);
});

test.each(['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR1'] as const)(
  '%s does not end the guardian',
  async (signal) => {
    const { run, group, guardian } = await working('polite/1');
    // One that stands still replaces nobody.
    run.signal('SIGSTOP');
    await run.becomes(run.pid, 'stopped');
    process.kill(-guardian, signal);
    run.signal('SIGKILL');
    await dead(group);
    await until('the guardian is gone', () => members(guardian).length === 0);
    await until(
      'the lock is free',
      async () => (await replica.client.inspect('polite/1')).state === 'STATE_FREE',
    );
  },
);

test('a guardian that was killed is followed by another one', async () => {
  const { run, group, guardian } = await working('guard/3');
  process.kill(-guardian, 'SIGKILL');
  await until('there is another one', async () => {
    return (await run.guardian()) !== guardian;
  });
  run.signal('SIGKILL');
  await dead(group);
});

/** A process that starts a group is killed; resolves once nothing of the group runs. */
async function killedBehindGate(begun: string, opens: boolean): Promise<void> {
  const source = fileURLToPath(new URL('../../src/cli/run/group.ts', import.meta.url));
  const program = `const { Group } = await import(${JSON.stringify(source)});
    const group = await Group.behindGate(['touch', ${JSON.stringify(begun)}], process.env);
    if (${opens}) group.open();
    console.log(group.id); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program]);
  const group = Number((await once(child.stdout, 'data'))[0]);
  if (!opens) expect(members(group)).toEqual([group]);
  child.kill('SIGKILL');
  await dead(group);
}

test('run is killed before the gate opens: the command never begins', async () => {
  const begun = join(folder, 'begun');
  await killedBehindGate(begun, false);
  await expect(access(begun)).rejects.toThrow();
  await killedBehindGate(begun, true);
  await access(begun);
});
