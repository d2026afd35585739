/** Streams that were opened and closed leave nothing in the replica: no memory, no timer, no handle, no lease. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Churn, type ChurnKind } from '../harness/churn.ts';
import { Crowd } from '../harness/crowd.ts';
import { Nodes } from '../harness/nodes.ts';
import { OpenTimers } from '../harness/open-timers.ts';
import { bootstrapped, TestReplica } from '../harness/replica.ts';
import { span } from '../harness/rpc-client.ts';
import { until } from '../harness/until.ts';

/** By hand 100,000 and 10,000. */
const STREAMS = Number(process.env.HOLDFAST_STREAMS ?? 2400);
const HOLDERS = Number(process.env.HOLDFAST_HOLDERS ?? 2000);
const ROUNDS = 10;
/** What one stream may leave, where the heap itself is only known to some hundred KiB. */
const LEFT_BYTES = 64;
const NOISE_BYTES = 1.5 * 2 ** 20;
const env = { HOLDFAST_MAX_TTL: '60s', HOLDFAST_DEFAULT_TTL: '60s', HOLDFAST_NODE_TIMEOUT: '5s' };

let nodes: Nodes;
let replica: TestReplica;
let address: string;
let timers: OpenTimers;
let collect: () => void;

beforeAll(async () => {
  setFlagsFromString('--expose-gc');
  collect = runInNewContext('gc') as () => void;
  nodes = await Nodes.start(3);
  await bootstrapped(nodes.list, env);
  timers = new OpenTimers();
  replica = await TestReplica.start(nodes.list, env);
  address = replica.replica.addresses[0]!;
  // The connections of the test's own client and of its scrapes stay.
  await replica.client.release((await replica.client.lock('first')).lease_id);
  await idle();
});
afterAll(async () => {
  await replica.stop();
  timers.restore();
  await nodes.close();
});

const metric = (name: string): Promise<number> => replica.metric(name);

const sockets = () => process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length;
const listeners = () => process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0);

/** Once nothing of the streams is under way any more. */
async function idle(): Promise<void> {
  await until('nobody keeps, waits or owes', async () => {
    const names = ['holdfast_kept_leases', 'holdfast_waiters', 'holdfast_undos_owed'];
    return (await Promise.all(names.map((name) => metric(name)))).every((count) => count === 0);
  });
}

/** A page may be short, or empty, and still not be the last. */
async function listed(prefix: string): Promise<string[]> {
  const names: string[] = [];
  for (let token: string | undefined; token !== ''; ) {
    const page = await replica.client.list({ prefix, page_size: 1000, page_token: token ?? '' });
    names.push(...page.locks.map(({ resource }) => resource));
    token = page.next_page_token;
  }
  return names;
}

function heapBytes(): number {
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}

describe('streams that were opened and closed', () => {
  test.each<[ChurnKind, number]>([
    ['hold', STREAMS],
    ['session', STREAMS],
    // Each takes a look at the line, which comes a quarter of a second later.
    ['waiting', STREAMS / 8],
  ])('leave nothing: %s, %i of them', { timeout: 30_000 + STREAMS * 20 }, async (kind, streams) => {
    const held = kind === 'waiting' ? await replica.client.lock('held') : undefined;
    const start = sockets();
    const churn = new Churn(address);
    // Maps and compiled code grow at first.
    await churn.turn(kind, streams / 2);
    await idle();
    await until('its connections are gone', () => sockets() <= start);
    const before = { bytes: heapBytes(), timers: timers.count, sockets: sockets(), listeners: listeners() };
    const seen: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      await churn.turn(kind, streams / ROUNDS);
      seen.push(heapBytes());
    }
    await idle();
    const grownBytes = heapBytes() - before.bytes;
    if (process.env.HOLDFAST_STREAMS !== undefined) {
      process.stdout.write(
        `${kind}: ${[before.bytes, ...seen].map((bytes) => (bytes / 2 ** 20).toFixed(2))} MiB\n`,
      );
    }
    expect(grownBytes).toBeLessThan(NOISE_BYTES + LEFT_BYTES * streams);
    expect(listeners()).toBe(before.listeners);
    await until('no handle and no timer is left', () => {
      return sockets() <= before.sockets && timers.count <= before.timers + 1;
    });
    churn.end();
    if (held !== undefined) expect(await replica.client.release(held.lease_id)).toBe(true);
  });
});

test(`${HOLDERS} holders that die at once are freed, and the next one in line is served`, {
  timeout: 120_000,
}, async () => {
  const before = { timers: timers.count, sockets: sockets() };
  const holds = Array.from({ length: HOLDERS }, (_, at) => `dead/${at}`);
  const crowd = await Crowd.start(address, { connections: 50, ttlMs: 60_000, holds });
  expect(await metric('holdfast_kept_leases')).toBe(HOLDERS);
  const next = replica.client.lock(holds.at(-1)!, {
    owner: 'next',
    ttl: span(60_000),
    wait: { seconds: 40 },
  });
  await until('somebody waits', async () => (await metric('holdfast_waiters')) === 1);
  const startedMs = performance.now();
  await crowd.kill();
  await until('nobody keeps any', async () => (await metric('holdfast_kept_leases')) === 0, 40_000);
  const lease = await next;
  expect(await listed('dead/')).toEqual([holds.at(-1)]);
  if (process.env.HOLDFAST_HOLDERS !== undefined) {
    process.stdout.write(`free after ${Math.round(performance.now() - startedMs)} ms\n`);
  }
  expect(await replica.client.release(lease.lease_id)).toBe(true);
  // A majority may be enough for an answer; every node has to let go.
  await Promise.all([holds[0]!, holds.at(-1)!].map((resource) => nodes.free(resource)));
  await idle();
  await until('its connections and timers are gone', () => {
    return sockets() <= before.sockets && timers.count <= before.timers + 1;
  });
});
