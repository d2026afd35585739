/** What a kill -9 really leaves on the nodes stays there without the janitor; with it, it is found, told and mended, and nothing else is touched. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Finding__Output } from '../../src/edge/gen/holdfast/v1/Finding.ts';
import { type Link, linksTo } from '../harness/link.ts';
import { Nodes } from '../harness/nodes.ts';
import { bootstrapped, type Environment, ReplicaProcess, TestReplica } from '../harness/replica.ts';
import { until } from '../harness/until.ts';

/** Longer than any test: nothing here ends by its time unless the test says so. */
const env: Environment = {
  HOLDFAST_MAX_TTL: '5m',
  HOLDFAST_DEFAULT_TTL: '5m',
  HOLDFAST_NODE_TIMEOUT: '300ms',
  HOLDFAST_WAITER_LIVENESS: '1s',
};
/** Of a vote that stays under way until its replica is killed. */
const SLOW = { HOLDFAST_NODE_TIMEOUT: '20s' };

let nodes: Nodes;
const closing: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await nodes.close();
});
beforeEach(async () => {
  nodes = await Nodes.start(3);
  await bootstrapped(nodes.list, env);
});

/** A replica whose way to each node is in the test's hand, and that is to die. */
async function doomed(more: Environment = {}): Promise<{ replica: ReplicaProcess; links: readonly Link[] }> {
  const { links, list, close } = await linksTo(nodes.servers);
  closing.push(close);
  const replica = await ReplicaProcess.start(list, { ...env, ...more });
  closing.push(() => replica.stop());
  return { replica, links };
}

/** One that lives, and whose janitor works only when it is told to. */
async function survivor(more: Environment = {}): Promise<TestReplica> {
  const replica = await TestReplica.start(nodes.list, { ...env, ...more });
  closing.push(() => replica.stop());
  return replica;
}

const heldAt = async (resource: string): Promise<string> =>
  (await nodes.holders(resource)).map((value) => (value === '' ? '-' : 'h')).join('');

async function becomes(resource: string, held: string): Promise<void> {
  await until(`${resource} is held ${held}`, async () => (await heldAt(resource)) === held);
}

/** Calls that have ended at the replica. */
const ENDED = 'rpc_server_call_duration_seconds_count';
const lost = (answer: Promise<unknown>): void => void answer.catch(() => {});

/** The same for what may come in any order and counts seconds. */
const brief = (findings: readonly Finding__Output[]): string[] =>
  findings.map(({ kind, node, resource, mended }) => `${kind} ${node} ${resource} ${mended}`).sort();

/** All that the nodes store, but what living waiters refresh meanwhile. */
async function stored(): Promise<string[]> {
  const all: string[] = [];
  for (const index of nodes.servers.keys()) {
    const keys = ((await nodes.run(index, 'KEYS', '*')) as string[]).filter((key) => !/:b:[wo]:/.test(key));
    for (const key of keys.sort()) all.push(`${index} ${key} ${String(await nodes.run(index, 'DUMP', key))}`);
  }
  return all;
}

/** `vote`: one vote for it arrived, two never did. */
async function halfAVote(resource: string): Promise<void> {
  const { replica, links } = await doomed(SLOW);
  for (const link of [links[1]!, links[2]!]) link.blackHole();
  lost(replica.client.acquire({ resources: [resource], owner: 'doomed' }));
  await becomes(resource, 'h--');
  await replica.stop();
}

/** All voted for it, but its caller had left meanwhile: two were told to take it back, the third never heard of that. */
async function halfAnUndo(resource: string): Promise<void> {
  const { replica, links } = await doomed(SLOW);
  // The way to it is known, so its votes arrive well before its caller leaves.
  await replica.client.status();
  const before = await metric(replica, ENDED);
  for (const link of links) link.hold('out');
  const call = { deadline: Date.now() + 1500 };
  lost(replica.client.acquire({ resources: [resource], owner: 'doomed' }, call));
  await becomes(resource, 'hhh');
  await until('the call is over', async () => (await metric(replica, ENDED)) > before);
  links[2]!.blackHole();
  for (const link of [links[0]!, links[1]!]) link.flow();
  await becomes(resource, '--h');
  await replica.stop();
}

/** Released at two nodes; the third never heard of it. */
async function halfARelease(resource: string): Promise<void> {
  const { replica, links } = await doomed();
  const lease = await replica.client.lock(resource, { owner: 'doomed' });
  await becomes(resource, 'hhh');
  links[2]!.blackHole();
  expect(await replica.client.release(lease.lease_id)).toBe(true);
  await replica.stop();
  await becomes(resource, '--h');
}

async function metric(replica: { http: string }, name: string): Promise<number> {
  const text = await (await fetch(`http://${replica.http}/metrics`)).text();
  const found = [...text.matchAll(new RegExp(`^${name}(?:{[^}]*})? ([\\d.e+]+)$`, 'gm'))];
  if (found.length === 0) throw new Error(`no metric ${name}`);
  return found.reduce((sum, [, value]) => sum + Number(value), 0);
}

/** A place behind a living one, whose replica is gone and whose liveness is over. */
async function deadInLine(resource: string, replica: TestReplica): Promise<void> {
  await replica.client.lock(resource, { owner: 'holder' });
  const waits = { resources: [resource], wait: { seconds: 200, nanos: 0 } };
  lost(replica.client.acquire({ ...waits, owner: 'alive' }));
  const length = async (count: number): Promise<boolean> =>
    (await lengths(resource)).every((n) => n === count);
  await until('one waits', () => length(1));
  const { replica: other } = await doomed();
  lost(other.client.acquire({ ...waits, owner: 'doomed' }));
  await until('both wait', () => length(2));
  await other.stop();
}

async function lengths(resource: string): Promise<number[]> {
  return Promise.all(
    nodes.servers.map(
      async (_, index) => (await nodes.run(index, 'ZCARD', `holdfast:b:q:${resource}`)) as number,
    ),
  );
}

test('half a vote, half an undo, half a release and dead waiters stay until they are mended, and then nothing is left', async () => {
  const replica = await survivor();
  await Promise.all([
    halfAVote('vote'),
    halfAnUndo('undo'),
    halfARelease('release'),
    deadInLine('line', replica),
  ]);
  const healthy = await replica.client.lock('healthy', { owner: 'healthy' });
  await becomes('healthy', 'hhh');
  const left = [
    ...['n1', 'n2', 'n3'].map((node) => `orphaned_waiter ${node} line`),
    'undone_vote n1 vote',
    'undone_vote n3 release',
    'undone_vote n3 undo',
  ];

  // Young ones may still be under way.
  await until('all of it is found', async () => (await replica.client.janitor(true)).found === left.length);
  const before = await stored();
  const dry = await replica.client.janitor(true);
  expect(brief(dry.findings)).toEqual(left.map((one) => `${one} false`));
  expect(dry.looked_at).toBe(5);
  // Nothing changed, and nobody else has mended anything either.
  expect(await stored()).toEqual(before);

  const run = await replica.client.janitor(false);
  expect(brief(run.findings)).toEqual(left.map((one) => `${one} true`));
  expect(await Promise.all(['vote', 'undo', 'release'].map(heldAt))).toEqual(['---', '---', '---']);
  expect(await lengths('line')).toEqual([1, 1, 1]);
  expect((await replica.client.janitor(false)).found).toBe(0);

  // Whoever lived lives, and what was left is in nobody's way.
  expect(await heldAt('line')).toBe('hhh');
  expect((await replica.client.heartbeat(healthy.lease_id)).lease_id).toBe(healthy.lease_id);
  for (const resource of ['vote', 'undo', 'release']) {
    const lease = await replica.client.lock(resource);
    await becomes(resource, 'hhh');
    expect(await replica.client.release(lease.lease_id)).toBe(true);
  }
});

test('by itself it mends the same, while nobody asks', async () => {
  await Promise.all([halfAVote('vote'), halfARelease('release')]);
  const off = await survivor();
  expect([await heldAt('vote'), await heldAt('release')]).toEqual(['h--', '--h']);
  const on = await survivor({ HOLDFAST_JANITOR: '1', HOLDFAST_JANITOR_EVERY: '200ms' });
  await becomes('vote', '---');
  await becomes('release', '---');
  expect(await on.metric('holdfast_janitor_findings_total')).toBe(2);
  expect(await off.metric('holdfast_janitor_findings_total')).toBe(0);
});

test('a lease that only looks like a leftover is left alone: a node is down, another in quarantine, a third missed it', async () => {
  const { replica, links } = await doomed();
  // n3 never hears of it; the two that have it are a majority.
  links[2]!.blackHole();
  const leases = [await replica.client.lock('one'), await replica.client.lock(['two', 'three'])];
  await becomes('one', 'hh-');
  await replica.stop();
  const judge = await survivor();
  await judge.becomes('ready', 'ready', 'ready');
  await halfAVote('sign');
  const looks = async (): Promise<number> => (await judge.client.janitor(false)).found;
  await until('a leftover that is younger is mended', async () => {
    await looks();
    return (await heldAt('sign')) === '---';
  });
  expect(await looks()).toBe(0);

  nodes.servers[1]!.pause();
  await judge.becomes('ready', 'silent', 'ready');
  expect(await looks()).toBe(0);
  nodes.servers[1]!.resume();
  await judge.becomes('ready', 'ready', 'ready');
  await nodes.servers[1]!.restart({ empty: true });
  await judge.becomes('ready', 'quarantined', 'ready');
  expect(await looks()).toBe(0);

  expect(await heldAt('one')).toBe('h--');
  for (const { lease_id } of leases) {
    expect((await judge.client.heartbeat(lease_id)).lease_id).toBe(lease_id);
  }
  expect(await heldAt('one')).toBe('h-h');
});
