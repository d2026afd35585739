/** Who is trusted to remember after a restart is told by what it did then and does now, also where an operator changed it meanwhile. */
import { afterEach, expect, test } from 'vitest';
import { linksTo } from '../harness/link.ts';
import { Nodes } from '../harness/nodes.ts';
import { bootstrapped, TestReplica } from '../harness/replica.ts';
import { until } from '../harness/until.ts';

/** Far longer than a test: whoever sits a quarantine out is not ready in time. */
const env = { HOLDFAST_MAX_TTL: '10m', HOLDFAST_DEFAULT_TTL: '5m' };
const always = ['--appendonly', 'yes', '--appendfsync', 'always'];

let nodes: Nodes;
let net: Awaited<ReturnType<typeof linksTo>>;
let one: TestReplica;

/** `args` of node 2. */
async function open(args: readonly string[], quarantineOff = false): Promise<void> {
  nodes = await Nodes.start(3, (index) => (index === 1 ? { args } : {}));
  net = await linksTo(nodes.servers);
  await bootstrapped(net.list, env);
  one = await TestReplica.start(net.list, env, quarantineOff ? { quarantineOff } : {});
}
afterEach(async () => {
  await one.stop();
  net.close();
  await nodes.close();
});

/** Node 2 lets the replica connect anew, which it then looks at. */
async function isKnownAs(durable: '0' | '1'): Promise<void> {
  await nodes.run(1, 'CLIENT', 'KILL', 'TYPE', 'normal');
  await until(
    `node 2 is known as durable: ${durable}`,
    async () => (await nodes.run(1, 'HGET', 'holdfast:meta', 'durable')) === durable,
  );
  await one.becomes('ready', 'ready', 'ready');
}

/** Nodes 1 and 2 hold a lease that node 2 forgets, for it comes back from a snapshot of before; then node 3 is back. */
async function restartsFromSnapshot(): Promise<string | undefined> {
  // By hand, and not in its configuration: the next run knows nothing of it.
  await nodes.run(1, 'CONFIG', 'SET', 'appendfsync', 'always', 'appendonly', 'yes');
  await isKnownAs('1');
  await nodes.run(1, 'SAVE');
  net.links[2]!.cut();
  await one.becomes('ready', 'ready', 'silent');
  await one.client.lock('gpu/0', { owner: 'first' });
  // Nobody reaches it before it was looked at here: without the quarantine its meta is written anew at once.
  net.links[1]!.cut();
  await one.becomes('ready', 'silent', 'silent');
  await nodes.servers[1]!.restart({ empty: false, signal: 'SIGKILL' });
  expect((await nodes.holders('gpu/0')).map((value) => value !== '')).toEqual([true, false, false]);
  expect(await nodes.run(1, 'HGET', 'holdfast:meta', 'durable')).toBe('1');
  for (const link of net.links.slice(1)) link.mend();
  await until('both are looked at again', () => one.states[1] !== 'silent' && one.states[2] === 'ready');
  return (await one.client.tryLock('gpu/0', { owner: 'second' }))?.owner;
}

test('a node that was durable and restarts from an old snapshot is not believed: nobody gets a lease that it forgot', async () => {
  await open([]);
  expect(await restartsFromSnapshot()).toBeUndefined();
  expect(one.states).toEqual(['ready', 'quarantined', 'ready']);
});

test('without the quarantine it lets a second holder in beside the first', async () => {
  await open([], true);
  expect(await restartsFromSnapshot()).toBe('second');
});

test.each(['everysec', 'no'])(
  'a node that flushes less (%s) from while nobody was connected to it is not believed after its next kill',
  async (appendfsync) => {
    await open(always);
    expect(await nodes.run(1, 'HGET', 'holdfast:meta', 'durable')).toBe('1');
    await nodes.run(1, 'CONFIG', 'SET', 'appendfsync', appendfsync);
    await isKnownAs('0');
    await nodes.servers[1]!.restart({ empty: false, signal: 'SIGKILL' });
    await one.becomes('ready', 'quarantined', 'ready');
    expect(one.detail(1)).toMatch(/restarted without appendfsync always/);
  },
);
