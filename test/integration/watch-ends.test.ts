/** What a watch tells when nobody acts: leases that run out, leases that lost their majority, and nodes that die. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Event__Output } from '../../src/edge/gen/holdfast/v1/Event.ts';
import type { WatchRequest } from '../../src/edge/gen/holdfast/v1/WatchRequest.ts';
import { Nodes } from '../harness/nodes.ts';
import { bootstrapped, expireMs, type Lease, refusal, span, TestReplica } from '../harness/replica.ts';
import { repeat, until } from '../harness/until.ts';
import { WatchReader, wordOf } from '../harness/watching.ts';

/** Within which the end of a lease is told. */
const TOLD_WITHIN_MS = 1000;

let nodes: Nodes;
let one: TestReplica;
let two: TestReplica;
let readers: Reader[] = [];

beforeEach(async () => {
  nodes = await Nodes.start(3);
  await bootstrapped(nodes.list);
  [one, two] = await Promise.all([TestReplica.start(nodes.list), TestReplica.start(nodes.list)]);
});
afterEach(async () => {
  for (const reader of readers) reader.close();
  readers = [];
  await Promise.all([one?.stop(), two?.stop()]);
  await nodes?.close();
});

/** One watch of a replica, standing. */
class Reader extends WatchReader {
  static at(replica: TestReplica, request: WatchRequest): Promise<Reader> {
    const reader = new Reader();
    readers.push(reader);
    return reader.open(replica, request);
  }

  /** What was told of one lease, or of everything. */
  of(lease?: Lease): string[] {
    return this.events
      .filter(({ lease_ref }) => lease === undefined || lease_ref === lease.lease_ref)
      .map(wordOf);
  }

  /** How long after the lease's end, by the node's clock, it was told; NaN before. */
  lateMs(lease: Lease): number {
    const told = this.events.find(
      (event) => event.lease_ref === lease.lease_ref && wordOf(event) === 'expired',
    );
    return told === undefined ? Number.NaN : timeMs(told) - expireMs(lease);
  }
}

function timeMs({ time }: Event__Output): number {
  return Number(time!.seconds) * 1000 + time!.nanos / 1e6;
}

const both = (request: WatchRequest): Promise<Reader[]> =>
  Promise.all([one, two].map((replica) => Reader.at(replica, request)));

/** Asks nobody anything but the readers. */
async function endsTold(told: readonly Reader[], leases: readonly Lease[]): Promise<void> {
  await until('every end is told', () =>
    told.every((reader) => leases.every((lease) => reader.of(lease).includes('expired'))),
  );
}

describe('a lease that nobody touches', () => {
  // Many ends apart from each other: the sweep, which comes every few seconds, could not meet them all.
  const ttls = Array.from({ length: 20 }, (_, at) => 500 + 70 * at);

  test('is told to have expired within a second of its end, once at each replica', async () => {
    const told = await both({ prefix: 'left/' });
    const leases = await Promise.all(ttls.map((ms) => one.client.lock(`left/${ms}`, { ttl: span(ms) })));
    await endsTold(told, leases);
    for (const lease of leases) {
      for (const reader of told) {
        expect(reader.lateMs(lease)).toBeGreaterThan(0);
        expect(reader.lateMs(lease)).toBeLessThan(TOLD_WITHIN_MS);
        expect(reader.of(lease)).toEqual(['granted', 'expired']);
      }
    }
  });

  test('and was granted before the watch began is told when it expires, by name and by prefix', async () => {
    const leases = await Promise.all(ttls.map((ms) => two.client.lock(`old/${ms}`, { ttl: span(ms) })));
    const told = await Promise.all([
      Reader.at(one, { resources: ttls.map((ms) => `old/${ms}`) }),
      Reader.at(two, { prefix: 'old/' }),
    ]);
    await endsTold(told, leases);
    for (const lease of leases) {
      for (const reader of told) {
        expect(reader.lateMs(lease)).toBeLessThan(TOLD_WITHIN_MS);
        expect(reader.of(lease)).toEqual(['expired']);
      }
    }
  });

  test('that was renewed is told to have expired after its new end only', async () => {
    const told = await both({ resources: ['kept'] });
    const first = await one.client.lock('kept', { ttl: span(300) });
    const lease = await two.client.heartbeat(first.lease_id, 1200);
    await endsTold(told, [lease]);
    for (const reader of told) {
      expect(reader.lateMs(lease)).toBeGreaterThan(0);
      expect(reader.lateMs(lease)).toBeLessThan(TOLD_WITHIN_MS);
      expect(reader.of(lease)).toEqual(['granted', 'renewed', 'expired']);
    }
  });

  test('and is shared is told within a second of its own end, whatever others hold longer', async () => {
    const told = await both({ prefix: 'read/' });
    const ask = (owner: string, ms: number) => ({ mode: 'MODE_SHARED' as const, owner, ttl: span(ms) });
    const short: Lease[] = [];
    // Several: one of them might be found by the sweep.
    await repeat(6, async (at) => {
      short.push(await one.client.lock(`read/${at}`, ask('r1', 150 + 50 * at)));
      await two.client.lock(`read/${at}`, ask('r2', 2000));
    });
    await endsTold(told, short);
    const late = short.flatMap((lease) => told.map((reader) => reader.lateMs(lease)));
    expect(late.filter((ms) => ms >= TOLD_WITHIN_MS)).toEqual([]);
  });
});

test('a lease that a heartbeat finds without a majority is told to be lost, once, and to nobody else', async () => {
  const told = await both({ resources: ['gone'] });
  const lease = await one.client.lock('gone');
  // Two nodes forget it without losing their mark, as no fault does; so somebody else has it, and one node still ours.
  for (const at of [1, 2]) await nodes.run(at, 'DEL', 'holdfast:r:gone');
  const other = await two.client.lock('gone', { owner: 'w2' });
  expect(await refusal(two.client.heartbeat(lease.lease_id))).toMatchObject({ reason: 'LEASE_LOST' });
  await until('it is told', () => told.every((reader) => reader.of(lease).includes('lost')));
  await endsTold(told, [other]);
  for (const reader of told) {
    expect(reader.of(lease)).toEqual(['granted', 'lost']);
    expect(reader.events.find((event) => wordOf(event) === 'lost')).toMatchObject({
      owner: 'w1',
      fencing_token: lease.fencing_token,
      reason: 'no majority',
    });
    expect(reader.of(other)).toEqual(['granted', 'expired']);
  }
});

test('a vote that one node gave and that was taken back is never told', async () => {
  const told = await both({ resources: ['part'] });
  const lease = await one.client.lock('part');
  await nodes.run(2, 'DEL', 'holdfast:r:part');
  expect(await two.client.tryLock('part', { owner: 'w2' })).toBeUndefined();
  const { history } = await one.client.inspect('part', 10);
  expect(history.map(({ owner }) => owner)).toEqual(['w1']);
  const voted = String(await nodes.run(2, 'HVALS', 'holdfast:r:part'));
  expect(voted.match(/\b(held|undone)\b/g)?.sort()).toEqual(['held', 'undone']);
  await one.client.release(lease.lease_id);
  await until('the release is told', () => told.every((reader) => reader.of().includes('released')));
  for (const reader of told) expect(reader.of()).toEqual(['granted', 'released']);
});

test('a grant that is taken back because its caller has gone is not told without its end', async () => {
  const reader = await Reader.at(one, { resources: ['left'] });
  const slow = [nodes.servers[1]!, nodes.servers[2]!];
  for (const server of slow) server.pause();
  const { call, ended } = two.client.acquireCall({ resources: ['left'] });
  await until('the first node has voted', async () => (await nodes.holder(0, 'left')) !== '');
  call.cancel();
  await ended;
  // By the same connection: the replica knows of the end when it answers.
  await two.client.status();
  for (const server of slow) server.resume();
  await until('every node has voted and taken it back', async () => {
    const events = await Promise.all([0, 1, 2].map((at) => nodes.run(at, 'HVALS', 'holdfast:r:left')));
    return events.every((of) => /held/.test(String(of)) && /undone/.test(String(of)));
  });
  const mark = await two.client.lock('left', { owner: 'w2' });
  await until('what came after is told', () => reader.of(mark).includes('granted'));
  const words = reader.events.filter(({ owner }) => owner === 'w1').map(wordOf);
  expect(words).not.toEqual(['granted']);
});

describe('a node that dies while somebody watches', () => {
  const turn = async (resource: string): Promise<Lease> => {
    const lease = await two.client.lock(resource);
    await two.client.release(lease.lease_id);
    return lease;
  };

  test.each([0, 1, 2])('is counted as missed, and what happens goes on being told (node %i)', async (at) => {
    const told = await both({ prefix: 'on/' });
    const first = await turn('on/before');
    await until('it is told', () => told.every((reader) => reader.of(first).includes('released')));
    const before = told.map(({ missed }) => missed);
    await nodes.servers[at]!.kill();
    await until('it is counted', () => told.every(({ missed }, index) => missed > before[index]!));
    const held = await one.client.lock('on/held', { ttl: span(200) });
    const lease = await turn('on/after');
    await until('it goes on', () => told.every((reader) => reader.of(lease).includes('released')));
    await endsTold(told, [held]);
    for (const reader of told) {
      expect(reader.of(lease)).toEqual(['granted', 'released']);
      expect(reader.of(held)).toEqual(['granted', 'expired']);
      expect(reader.lateMs(held)).toBeLessThan(TOLD_WITHIN_MS);
    }
  });

  test('is counted when it dies, and not again while it stays away', async () => {
    const reader = await Reader.at(one, { prefix: 'on/' });
    await endsTold([reader], [await two.client.lock('on/first', { ttl: span(50) })]);
    const before = reader.missed;
    await nodes.servers[2]!.kill();
    await until('it is counted', () => reader.missed > before);
    const counted = reader.missed;
    // Long enough for several attempts to reach it again.
    await repeat(6, async (at) => {
      await endsTold([reader], [await two.client.lock(`on/${at}`, { ttl: span(250) })]);
    });
    expect(reader.missed).toBe(counted);
  });

  test('and comes back changes nothing of what is told', async () => {
    const reader = await Reader.at(one, { prefix: 'on/' });
    await nodes.servers[2]!.kill();
    await one.becomes('ready', 'ready', 'silent');
    await nodes.servers[2]!.start();
    for (const replica of [one, two]) await replica.becomes('ready', 'ready', 'ready');
    const leases: Lease[] = [];
    await repeat(10, async (at) => void leases.push(await turn(`on/${at}`)));
    await until('all is told', () => leases.every((lease) => reader.of(lease).includes('released')));
    for (const lease of leases) expect(reader.of(lease)).toEqual(['granted', 'released']);
  });
});
