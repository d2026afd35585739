/** Those who wait are served in the order of the line, each once and one at a time, whatever replica they wait at. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { jain } from '../../bench/lib/handoff-stats.ts';
import { inspected, Scene } from '../harness/scene.ts';
import { seatThrough, Turns } from '../harness/turns.ts';

const NAME = 'gpu/0';
const names = (count: number): string[] => Array.from({ length: count }, (_, index) => `w${index}`);

let scene: Scene;
afterEach(() => scene.close());

describe.each([3, 5])('on %i nodes', (count) => {
  beforeEach(async () => {
    scene = await Scene.open(count);
  });

  test('100 waiters at three replicas are served in the order that Inspect shows, each once', async () => {
    const desks = await scene.desks(3);
    const turns = new Turns();
    const first = await desks[0]!.lock(NAME, { owner: 'first', ttlMs: 20_000 });
    const waiters = names(100).map((owner, index) =>
      turns.take(desks[index % 3]!, { owner, resources: [NAME] }),
    );
    await scene.queued(NAME, 100);
    const line = (await inspected(desks[1]!, NAME)).waiters;
    expect(line.map(({ position }) => position)).toEqual(names(100).map((_, index) => index + 1));
    const sinces = line.map(({ sinceMs }) => sinceMs);
    expect(sinces, 'the order of the line is that of the tickets').toEqual(sinces.toSorted((a, b) => a - b));
    await desks[0]!.release(first);
    await Promise.all(waiters);
    expect(turns.faults).toEqual([]);
    expect(turns.order).toEqual(line.map(({ owner }) => owner));
    expect(await scene.lines(NAME)).toEqual(Array.from({ length: count }, () => []));
  });
});

describe('on 3 nodes', () => {
  beforeEach(async () => {
    scene = await Scene.open();
  });

  test('100 clients of three replica processes are served in that order through gRPC', async () => {
    const replicas = await Promise.all([scene.process(), scene.process(), scene.process()]);
    const turns = new Turns();
    const first = await replicas[0]!.client.lock(NAME, { owner: 'first' });
    const seats = replicas.map(({ client }) => seatThrough(client));
    const waiters = names(100).map((owner, index) => seats[index % 3]!(turns, owner, NAME));
    await scene.queued(NAME, 100);
    const line = (await replicas[2]!.client.inspect(NAME)).waiters.map(({ owner }) => owner);
    await replicas[0]!.client.release(first.lease_id);
    await Promise.all(waiters);
    expect(turns.faults).toEqual([]);
    expect(turns.order).toEqual(line);
    // The nodes keep the last 64 events. Their times do not tell an overlap: one node may have granted alone before.
    const { history } = await replicas[1]!.client.inspect(NAME, 1000);
    for (const type of ['EVENT_TYPE_GRANTED', 'EVENT_TYPE_RELEASED']) {
      const owners = history.filter((event) => event.type === type).map(({ owner }) => owner);
      expect(owners.length, type).toBeGreaterThan(20);
      expect(owners.toReversed(), type).toEqual(line.slice(-owners.length));
    }
  });

  test('32 clients who come back at once have equal shares, and none waits longer than 1.5 rounds', async () => {
    const desks = await scene.desks(2);
    const turns = new Turns();
    const owners = names(32);
    let over = false;
    const first = await desks[0]!.lock(NAME, { owner: 'first', ttlMs: 20_000 });
    const loops = owners.map(async (owner, index) => {
      while (!over) await turns.take(desks[index % 2]!, { owner, resources: [NAME] });
    });
    await scene.queued(NAME, owners.length);
    await desks[0]!.release(first);
    const rounds = 25;
    await turns.reached(rounds * owners.length);
    over = true;
    await Promise.all(loops);
    expect(turns.faults).toEqual([]);
    const counted = turns.order.slice(0, rounds * owners.length);
    const shares = owners.map((owner) => counted.filter((one) => one === owner).length);
    expect(jain(shares), `shares ${shares.join(' ')}`).toBeGreaterThanOrEqual(0.99);
    const gaps = owners.map((owner) => longestGap(counted, owner));
    expect(Math.max(...gaps), `hand-offs between turns: ${gaps.join(' ')}`).toBeLessThanOrEqual(
      1.5 * owners.length,
    );
  });
});

/** The most hand-offs between two turns of one client; the ends of the count are turns, too. */
function longestGap(order: readonly string[], owner: string): number {
  const at = order.flatMap((one, index) => (one === owner ? [index] : []));
  return Math.max(...[...at, order.length].map((index, nth) => index - (at[nth - 1] ?? -1)));
}
