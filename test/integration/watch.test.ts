/** Watch over real lock nodes: one replica tells what happens at another, each step once, and votes that came to nothing never. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { WatchRequest } from '../../src/edge/gen/holdfast/v1/WatchRequest.ts';
import { Nodes } from '../harness/nodes.ts';
import { bootstrapped, span, TestReplica } from '../harness/replica.ts';
import { repeat, until } from '../harness/until.ts';
import { WatchReader, wordOf } from '../harness/watching.ts';

let nodes: Nodes;
let here: TestReplica;
let there: TestReplica;

beforeAll(async () => {
  nodes = await Nodes.start(3);
  await bootstrapped(nodes.list);
  [here, there] = await Promise.all([TestReplica.start(nodes.list), TestReplica.start(nodes.list)]);
});
afterAll(async () => {
  await Promise.all([here?.stop(), there?.stop()]);
  await nodes?.close();
});

/** One watch of a replica, standing. */
class Reader extends WatchReader {
  static at(replica: TestReplica, request: WatchRequest): Promise<Reader> {
    return new Reader().open(replica, request);
  }

  /** `TYPE OWNER` of what was told of `resource`. */
  of(resource: string): string[] {
    return this.events
      .filter((event) => event.resource === resource)
      .map((event) => `${wordOf(event)} ${event.owner}`);
  }

  /** Resolves when a lock that was taken and given back after all else has been told: nothing that is due is left. */
  async caughtUp(mark: string): Promise<void> {
    for (const owner of ['m1', 'm2', 'm3']) {
      const lease = await there.client.lock(mark, { owner });
      await there.client.release(lease.lease_id);
      await until('the mark is told', () => this.of(mark).includes(`released ${owner}`));
    }
  }
}

/** What a lock goes through: taken, kept, waited for, handed over, ended by force, and left to its time. */
async function story(resource: string): Promise<void> {
  const { client } = there;
  const first = await client.lock(resource, { owner: 'w1' });
  await client.heartbeat(first.lease_id);
  const waiting = client.lock(resource, { owner: 'w2', wait: span(5000) });
  await until('w2 waits', async () => (await client.inspect(resource)).waiters.length === 1);
  await client.release(first.lease_id, 'done');
  await waiting;
  await client.force({ resource, reason: 'hangs' });
  await client.lock(resource, { owner: 'w3', ttl: span(100) });
}

const STORY = [
  'granted w1',
  'renewed w1',
  'queued w2',
  'released w1',
  'granted w2',
  'forced w2',
  'granted w3',
  'expired w3',
];

describe('a watch at one replica', () => {
  test('tells every step of a lock at the other, once, by name, by prefix and of all', async () => {
    const asks = [{ resources: ['story/a', 'mark/1'] }, { prefix: 'story/', resources: ['mark/1'] }, {}];
    const readers = await Promise.all(asks.map((ask) => Reader.at(here, ask)));
    await story('story/a');
    for (const reader of readers) {
      await until('the end is told', () => reader.of('story/a').includes('expired w3'));
      await reader.caughtUp('mark/1');
      expect(reader.of('story/a')).toEqual(STORY);
      reader.close();
    }
  });

  test('gives each step the facts of its lease', async () => {
    const reader = await Reader.at(here, { resources: ['facts'] });
    const lease = await there.client.lock('facts', { owner: 'w1' });
    const waiting = there.client.lock('facts', { owner: 'w2', wait: span(5000) });
    await until('w2 waits', async () => (await there.client.inspect('facts')).waiters.length === 1);
    await there.client.release(lease.lease_id, 'done');
    const next = await waiting;
    await there.client.force({ resource: 'facts', reason: 'hangs' });
    await until('the end is told', () => reader.of('facts').includes('forced w2'));
    const facts = reader.events.map(({ lease_ref, fencing_token, reason }) => [
      lease_ref,
      fencing_token,
      reason,
    ]);
    expect(facts).toEqual([
      [lease.lease_ref, lease.fencing_token, ''],
      ['', '0', ''],
      [lease.lease_ref, lease.fencing_token, 'done'],
      [next.lease_ref, next.fencing_token, ''],
      [next.lease_ref, next.fencing_token, 'hangs'],
    ]);
    reader.close();
  });

  test('tells nothing of other names', async () => {
    const [named, prefixed] = await Promise.all([
      Reader.at(here, { resources: ['mine', 'mark/2'] }),
      Reader.at(here, { prefix: 'mine/', resources: ['mark/2'] }),
    ]);
    for (const other of ['mine2', 'min', 'theirs', 'x/mine/1']) await story(other);
    const lease = await there.client.lock(['mine', 'mine/1', 'beside']);
    await there.client.release(lease.lease_id);
    await named.caughtUp('mark/2');
    await prefixed.caughtUp('mark/2');
    const told = ({ events }: Reader) => [...new Set(events.map(({ resource }) => resource))];
    expect(told(named)).toEqual(['mine', 'mark/2']);
    expect(told(prefixed)).toEqual(['mine/1', 'mark/2']);
    for (const reader of [named, prefixed]) reader.close();
  });

  test('tells each of many renewals once', async () => {
    const reader = await Reader.at(here, { resources: ['kept', 'mark/3'] });
    const lease = await there.client.lock('kept');
    await repeat(6, async () => {
      await there.client.heartbeat(lease.lease_id);
      // At every node: else two renewals may look like one.
      await there.client.inspect('kept');
    });
    await there.client.release(lease.lease_id);
    await reader.caughtUp('mark/3');
    expect(reader.of('kept').filter((told) => told === 'renewed w1')).toHaveLength(6);
    reader.close();
  });

  test('of several resources tells each', async () => {
    const reader = await Reader.at(here, { prefix: 'gang/', resources: ['mark/4'] });
    const lease = await there.client.lock(['gang/a', 'gang/b']);
    await there.client.release(lease.lease_id);
    await reader.caughtUp('mark/4');
    for (const name of ['gang/a', 'gang/b']) expect(reader.of(name)).toEqual(['granted w1', 'released w1']);
    reader.close();
  });

  test('of shared leases tells each', async () => {
    const reader = await Reader.at(here, { resources: ['read', 'mark/5'] });
    const ask = { mode: 'MODE_SHARED' } as const;
    const [a, b] = [
      await there.client.lock('read', { ...ask, owner: 'r1' }),
      await here.client.lock('read', { ...ask, owner: 'r2' }),
    ];
    for (const { lease_id } of [a, b]) await there.client.release(lease_id);
    await reader.caughtUp('mark/5');
    expect(reader.of('read')).toEqual(['granted r1', 'granted r2', 'released r1', 'released r2']);
    reader.close();
  });
});

test('attempts that were refused or split are never told, and each grant is told once', async () => {
  const reader = await Reader.at(here, { resources: ['rush', 'mark/6'] });
  const granted: string[] = [];
  await repeat(12, async () => {
    const asked = Array.from({ length: 12 }, (_, at) =>
      (at % 2 === 0 ? here : there).client.tryLock('rush', { owner: `w${at}` }),
    );
    for (const lease of await Promise.all(asked)) {
      if (lease === undefined) continue;
      granted.push(lease.fencing_token);
      await here.client.release(lease.lease_id);
    }
    await nodes.free('rush');
  });
  await reader.caughtUp('mark/6');
  const told = (word: string): string[] =>
    reader.events
      .filter((event) => event.resource === 'rush' && wordOf(event) === word)
      .map(({ fencing_token }) => fencing_token);
  expect(granted.length).toBeGreaterThan(0);
  expect(told('granted')).toEqual(granted);
  expect(told('released')).toEqual(granted);
  expect(reader.of('rush')).toHaveLength(2 * granted.length);
  reader.close();
});

describe('while nobody watches', () => {
  let quiet: Nodes;
  let alone: TestReplica;

  beforeAll(async () => {
    quiet = await Nodes.start(3);
    await bootstrapped(quiet.list);
    alone = await TestReplica.start(quiet.list);
  });
  afterAll(async () => {
    await alone?.stop();
    await quiet?.close();
  });

  /** How often each node has published so far. */
  async function published(): Promise<number[]> {
    const stats = await Promise.all(quiet.servers.map((_, at) => quiet.run(at, 'INFO', 'commandstats')));
    return stats.map((text) => Number(/cmdstat_publish:calls=(\d+)/.exec(String(text))?.[1] ?? 0));
  }

  const life = async (): Promise<void> => {
    const lease = await alone.client.lock('calm');
    await alone.client.heartbeat(lease.lease_id);
    await alone.client.release(lease.lease_id);
    await alone.client.lock('calm', { ttl: span(50) });
    await quiet.free('calm');
  };

  test('nodes publish nothing, and as soon as somebody does they publish', async () => {
    await repeat(20, life);
    expect(await published()).toEqual([0, 0, 0]);
    const reader = await Reader.at(alone, {});
    await life();
    await until('every node has published', async () => (await published()).every((count) => count > 0));
    reader.close();
  });
});
