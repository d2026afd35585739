/** Garbage in the nodes' keys: whoever asks about it is told a reason, everybody else is served, and the replica lives (G10). */
import type { ServiceError } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { scripts } from '../../src/nodes/scripts.ts';
import { Desk } from '../harness/desk.ts';
import { Nodes } from '../harness/nodes.ts';
import { bootstrapped, type Lease, ReplicaProcess, refusedBy } from '../harness/replica.ts';
import { oneStopsAll } from '../harness/rules-off.ts';
import { until } from '../harness/until.ts';
import { atAll, beside, type Command, RAW, record, type Spoil, spoils } from './spoils.ts';

const env = { HOLDFAST_MAX_TTL: '20s', HOLDFAST_DEFAULT_TTL: '20s', HOLDFAST_NODE_TIMEOUT: '2s' };

let nodes: Nodes;
/** A process of its own: a promise that nobody catches ends it, and nothing starts it again. */
let replica: ReplicaProcess;
/** Tidies as a replica does, when it is told to. */
let desk: Desk;

beforeAll(async () => {
  nodes = await Nodes.start(3);
  await bootstrapped(nodes.list, env);
  replica = await ReplicaProcess.start(nodes.list, { ...env, HOLDFAST_LOG_LEVEL: 'info' });
  desk = await Desk.open(nodes.list, { maxTtlMs: 20_000 });
});
afterAll(async () => {
  desk.close();
  await replica.stop();
  await nodes.close();
});

/** Reasons that say: this cannot be told, or is not there any more. */
const REASONS = ['NO_QUORUM', 'LEASE_LOST', 'UNKNOWN_RESOURCE', 'DEADLOCK'];

/** What came of a call: its answer, or the reason why there is none. */
async function outcome(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return 'answered';
  } catch (error) {
    return refusedBy(error as ServiceError).reason;
  }
}

/** Every kind of call that reads or writes the record, and beside each, in the same moment, somebody else's. */
async function asked(name: string, lease: Lease): Promise<void> {
  const { client } = replica;
  const request_id = `again-${name}`;
  const calls: (() => Promise<unknown>)[] = [
    () => client.acquire({ resources: [name], owner: 'other' }),
    () => client.acquire({ resources: [name], owner: 'waiter', wait: { nanos: 20e6 } }),
    () => client.acquire({ resources: [name], owner: 'reader', mode: 'MODE_SHARED' }),
    () => client.acquire({ resources: [name], request_id }),
    () => client.inspect(name, 10),
    () => client.checkToken(name, lease.fencing_token),
    () => client.list({ prefix: name }),
    () => client.heartbeat(lease.lease_id),
    () => client.release(lease.lease_id),
    () => client.force({ resource: name, reason: 'test' }),
  ];
  const swept = await desk.cluster.nodes[0]!.ask({ kind: 'sweep', after: '', limit: 200 });
  expect(['swept', 'silent']).toContain(swept.kind);
  for (const [at, call] of calls.entries()) {
    const [said, other] = await Promise.all([outcome(call()), client.lock(`well/${name}/${at}`)]);
    expect(['answered', ...REASONS]).toContain(said);
    expect(await client.release(other.lease_id)).toBe(true);
  }
}

async function spoiled(spoil: Spoil, name: string): Promise<void> {
  const lease = await replica.client.lock(name, { request_id: `again-${name}` });
  await until('all three hold it', async () => (await nodes.holders(name)).every((value) => value !== ''));
  await spoil(nodes, name);
  await asked(name, lease);
}

test.each(spoils)('%s at every node harms nobody but its own lock', async (what, spoil) => {
  const name = `bad/${spoils.findIndex(([other]) => other === what)}`;
  await spoiled(spoil, name);
  expect(replica.output).not.toMatch(/defect/);
  await atAll(nodes, 'DEL', record(name), beside('q', name), beside('s', name), beside('w', name));
});

test.each<[string, readonly string[] | undefined]>([
  ['of another type', undefined],
  ['that nobody can read', ['value', 'junk', 'digest', 'junk', 'why', 'junk', 'until', 'junk']],
])('the memory of a request %s harms nobody but its repeats', async (what, fields) => {
  const name = `bad/${what}`.replaceAll(' ', '-');
  const spoil: Spoil = async () => {
    for (const index of [0, 1, 2]) {
      for (const key of (await nodes.run(index, 'KEYS', 'holdfast:q:*')) as string[]) {
        await nodes.run(index, 'DEL', key);
        if (fields === undefined) await nodes.run(index, 'SET', key, 'x');
        else await nodes.run(index, 'HSET', key, ...fields);
      }
    }
  };
  await spoiled(spoil, name);
  expect(replica.output).not.toMatch(/defect/);
  for (const index of [0, 1, 2]) {
    const keys = (await nodes.run(index, 'KEYS', 'holdfast:q:*')) as string[];
    if (keys.length > 0) await nodes.run(index, 'DEL', ...keys);
  }
});

/** What is written into node 3's own keys, and what Status then says of it: it is silent or set apart, or it votes on. */
const meta: [string, readonly Command[], RegExp][] = [
  ['a floor', [['HSET', 'holdfast:meta', 'floor', 'junk']], /SILENT .*cannot be read/],
  ['a suspicion', [['HSET', 'holdfast:meta', 'suspect', 'junk']], /SILENT error/],
  ['a watch', [['HSET', 'holdfast:meta', 'watch', 'junk']], /SILENT error/],
  ['a stamp', [['HSET', 'holdfast:meta', 'stamp', RAW]], /REFUSED belongs to cluster/],
  [
    'a meta',
    [
      ['DEL', 'holdfast:meta'],
      ['SET', 'holdfast:meta', 'x'],
    ],
    /SILENT .*WRONGTYPE/,
  ],
  [
    'a quarantine',
    [
      ['DEL', 'holdfast:meta'],
      ['SET', 'holdfast:quarantine', 'x'],
    ],
    /SILENT .*WRONGTYPE/,
  ],
  [
    'a quarantine without its parts',
    [
      ['HDEL', 'holdfast:meta', 'stamp'],
      ['HSET', 'holdfast:quarantine', 'id', RAW],
    ],
    /QUARANTINED no meta/,
  ],
  [
    'a set of names',
    [
      ['DEL', 'holdfast:names'],
      ['SET', 'holdfast:names', 'x'],
    ],
    /READY/,
  ],
  ['names that are none', [['ZADD', 'holdfast:names', 0, RAW, 0, '', 0, 'a b\n"\x1f']], /READY/],
];

/** Both replicas connect anew, and so look anew at what the node keeps of itself. */
async function looksAgain(expected: RegExp): Promise<void> {
  await nodes.run(2, 'CLIENT', 'KILL', 'TYPE', 'normal');
  await until(`node 3 is ${expected}`, async () => {
    const { state, detail } = (await replica.client.status()).nodes[2]!;
    return expected.test(`${state.slice('NODE_STATE_'.length)} ${detail}`);
  });
}

test.each(meta)(
  '%s of one node that nobody can read harms nobody, and Status says so',
  async (_, commands, told) => {
    const kept = (await nodes.run(2, 'HGETALL', 'holdfast:meta')) as string[];
    const names = (await nodes.run(2, 'ZRANGE', 'holdfast:names', 0, -1)) as string[];
    for (const command of commands) await nodes.run(2, ...command);
    await looksAgain(told);
    const { client } = replica;
    for (let round = 0; round < 5; round += 1) {
      const lease = await client.lock('meta');
      expect((await client.list({ prefix: 'meta' })).locks).toHaveLength(1);
      expect(await client.release(lease.lease_id)).toBe(true);
    }
    await nodes.run(2, 'DEL', 'holdfast:meta', 'holdfast:quarantine', 'holdfast:names');
    await nodes.run(2, 'HSET', 'holdfast:meta', ...kept);
    await nodes.run(2, 'ZADD', 'holdfast:names', ...names.flatMap((name) => [0, name]));
    await looksAgain(/READY/);
  },
);

test('what somebody else tells on the channels harms nobody', async () => {
  const channels = (await nodes.run(0, 'PUBSUB', 'CHANNELS', 'holdfast:*')) as string[];
  expect(channels.length).toBeGreaterThan(1);
  for (const channel of [...channels, 'holdfast:b:news']) {
    for (const text of ['', 'junk', '\x1f\x1fx\x1fy', RAW]) await nodes.run(0, 'PUBLISH', channel, text);
  }
  const lease = await replica.client.lock('well');
  expect(await replica.client.release(lease.lease_id)).toBe(true);
});

describe('a vote that comes along with one about a spoiled record', () => {
  async function granted(using: typeof scripts): Promise<boolean> {
    const asking = await Desk.open(nodes.list, { maxTtlMs: 20_000, scripts: using });
    const bad = `bad/${using === scripts}`;
    await atAll(nodes, 'SET', record(bad), 'x');
    try {
      // In one turn of the loop, so in one batch.
      const [, well] = await Promise.all([asking.acquire(bad), asking.acquire(`well/${using === scripts}`)]);
      return well.kind === 'lease';
    } finally {
      asking.close();
      await atAll(nodes, 'DEL', record(bad));
    }
  }

  test('is counted', async () => {
    expect(await granted(scripts)).toBe(true);
  });

  test('is lost where one operation stops all', async () => {
    expect(await granted(oneStopsAll)).toBe(false);
  });
});
