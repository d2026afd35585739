/** `holdfast run` whose lease is forced, cannot be renewed, or moves to another replica: who ends, when, and with what code. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Nodes } from '../harness/nodes.ts';
import { bootstrapped, ReplicaProcess, span, TestReplica } from '../harness/replica.ts';
import { until } from '../harness/until.ts';
import { members, RunProcess } from './run-process.ts';

const LONG = { HOLDFAST_MAX_TTL: '60s', HOLDFAST_DEFAULT_TTL: '60s' };

let nodes: Nodes;
/** The one that tells how things are; what is killed or drained is another one. */
let witness: TestReplica;

beforeAll(async () => {
  nodes = await Nodes.start(3);
  await bootstrapped(nodes.list, LONG);
  witness = await TestReplica.start(nodes.list, LONG);
});
afterAll(async () => {
  await witness?.stop();
  await nodes?.close();
});

/** Says what it is told, and obeys. */
const POLITE = `trap 'echo told; exit 0' TERM; echo ready; while :; do sleep 0.05; done`;
const STUBBORN = `trap 'echo told' TERM; echo ready; while :; do sleep 0.05; done`;

async function working(name: string, script: string, addresses: readonly string[], ...flags: string[]) {
  const where = addresses.flatMap((address) => ['--address', address]);
  const run = new RunProcess([name, ...where, ...flags, '--', 'sh', '-c', script]);
  return { run, group: await run.group() };
}

const here = (): readonly string[] => [witness.replica.addresses[0]!];
const force = (resource: string) => witness.client.force({ resource, reason: 'it hangs' });

/** What of the group was alive when somebody else got the lock. */
async function aliveAtNextGrant(name: string, group: number): Promise<readonly number[]> {
  const lease = await witness.client.lock(name, { owner: 'next', wait: span(60_000), ttl: span(60_000) });
  const alive = members(group);
  await witness.client.release(lease.lease_id);
  return alive;
}

test('a lease that was forced: TERM, and 76', async () => {
  const { run, group } = await working('forced/1', POLITE, here());
  await force('forced/1');
  expect(await run.code()).toBe(76);
  expect(run.out).toBe('ready\ntold\n');
  expect(run.err).toContain('the lease is lost (forced)');
  expect(run.err).toContain('its own exit code: 0');
  expect(members(group)).toEqual([]);
});

test('a command that does not obey is killed after --kill-after', async () => {
  const { run, group } = await working('forced/2', STUBBORN, here(), '--kill-after', '300ms');
  await force('forced/2');
  expect(await run.code()).toBe(76);
  expect(run.out).toBe('ready\ntold\n');
  expect(run.err).toContain('its own exit code: 137');
  expect(members(group)).toEqual([]);
});

test('--on-loss kill does not ask first', async () => {
  const { run } = await working('forced/3', STUBBORN, here(), '--on-loss', 'kill');
  await force('forced/3');
  expect(await run.code()).toBe(76);
  expect(run.out).toBe('ready\n');
});

test('--on-loss warn says so and lets the command end as it likes', async () => {
  const { run } = await working('forced/4', 'echo ready; read -r line; exit 4', here(), '--on-loss', 'warn');
  await force('forced/4');
  await until('it says so', () => run.err.includes('the lease is lost (forced)'));
  run.stdin.write('on\n');
  expect(await run.code()).toBe(4);
  expect(run.err).toContain('goes on WITHOUT it');
});

test('its only replica dies: the command is told, and dead before another holder begins', async () => {
  const replica = await ReplicaProcess.start(nodes.list, LONG);
  const { run, group } = await working(
    'alone/1',
    STUBBORN,
    [replica.address],
    '--ttl',
    '4s',
    '--kill-after',
    '500ms',
  );
  replica.signal('SIGKILL');
  expect(await aliveAtNextGrant('alone/1', group)).toEqual([]);
  expect(await run.code()).toBe(76);
  expect(run.out).toBe('ready\ntold\n');
  expect(run.err).toContain('could not be renewed');
  await replica.ended();
});

test('and with --on-loss warn it lives on beside the next one', async () => {
  const replica = await ReplicaProcess.start(nodes.list, LONG);
  const { run, group } = await working(
    'alone/2',
    STUBBORN,
    [replica.address],
    '--ttl',
    '2s',
    '--on-loss',
    'warn',
  );
  replica.signal('SIGKILL');
  expect((await aliveAtNextGrant('alone/2', group)).length).toBeGreaterThanOrEqual(1);
  run.signal('SIGKILL');
  await until('the group is dead', () => members(group).length === 0);
  await replica.ended();
});

test.each(['SIGKILL', 'SIGTERM'] as const)(
  'a replica that ends by %s: the lease moves to the next one',
  async (signal) => {
    const replica = await ReplicaProcess.start(nodes.list, LONG);
    const name = `moves/${signal}`;
    const script = 'echo ready; read -r line; exit 6';
    const { run } = await working(
      name,
      script,
      [replica.address, ...here()],
      '--ttl',
      '20s',
      '--kill-after',
      '500ms',
    );
    const [before] = (await witness.client.inspect(name)).holders;
    replica.signal(signal);
    await replica.ended();
    // Extended, which only the other one can have done.
    await until('it is renewed', async () => {
      const [now] = (await witness.client.inspect(name)).holders;
      return Number(now?.expire_time?.seconds) > Number(before?.expire_time?.seconds) + 1;
    });
    run.stdin.write('on\n');
    expect(await run.code()).toBe(6);
    expect(run.err).toBe('');
  },
);

test('no majority: the command is ended in time, and another one is refused with 69', async () => {
  const few = await Nodes.start(3);
  await bootstrapped(few.list, LONG);
  const replica = await TestReplica.start(few.list, LONG);
  try {
    const { run, group } = await working('lone/1', POLITE, [replica.replica.addresses[0]!], '--ttl', '4s');
    await few.servers[0]!.kill();
    await few.servers[1]!.kill();
    expect(await run.code()).toBe(76);
    expect(run.out).toBe('ready\ntold\n');
    expect(members(group)).toEqual([]);
    const late = new RunProcess(['lone/2', '--address', replica.replica.addresses[0]!, '--', 'echo', 'ran']);
    expect(await late.code()).toBe(69);
    expect(late.err).toContain('NO_QUORUM');
    expect(late.out).toBe('');
  } finally {
    await replica.stop();
    await few.close();
  }
});
