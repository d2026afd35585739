/** A waiting request that is repeated, with its request_id, elsewhere: one place in line, and one lease. */

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { leaseRefOf } from '../../src/domain/lease.ts';
import { Leaver } from '../harness/asking.ts';
import { type Desk, granted } from '../harness/desk.ts';
import { refusal } from '../harness/rpc-client.ts';
import { inspected, Scene } from '../harness/scene.ts';
import { told } from '../harness/turns.ts';
import { until } from '../harness/until.ts';

const NAME = 'gpu/0';
const WAIT = { seconds: 50 };

let scene: Scene;
beforeEach(async () => {
  scene = await Scene.open();
});
afterEach(() => scene.close());

describe('a replica that drains', () => {
  test('answers all that wait with DRAINING, and whoever repeats its request finds its place again', async () => {
    const [one, two] = [await scene.replica(), await scene.replica()];
    const held = await two.client.lock(NAME, { owner: 'holder' });
    const ask = { resources: [NAME], owner: 'moving', request_id: 'r-1', wait: WAIT };
    const moving = refusal(one.client.acquire(ask));
    await scene.queued(NAME, 1);
    const other = refusal(one.client.acquire({ resources: [NAME], owner: 'no-id', wait: WAIT }));
    await scene.queued(NAME, 2);
    const order: string[] = [];
    const serve = async (owner: string, more = {}): Promise<void> => {
      const lease = await two.client.lock(NAME, { owner, wait: WAIT, ...more });
      order.push(owner);
      await two.client.release(lease.lease_id);
    };
    const behind = serve('behind');
    await scene.queued(NAME, 3);
    await one.replica.drain();
    for (const said of [await moving, await other]) {
      expect(said).toMatchObject({ code: 14, reason: 'DRAINING', retryAfter: true });
    }
    // Who cannot come back has left; the place of the other one is kept.
    await scene.queued(NAME, 2);
    const again = serve('moving', { request_id: 'r-1' });
    await scene.queued(NAME, 2);
    expect((await two.client.inspect(NAME)).waiters.map(({ owner }) => owner)).toEqual(['moving', 'behind']);
    await two.client.release(held.lease_id);
    await Promise.all([behind, again]);
    expect(order).toEqual(['moving', 'behind']);
  });
});

describe('two callers with one request_id', () => {
  // Longer than until a place is told anew: on a busy machine a node may miss it the first time.
  const ask = { owner: 'twice', requestId: 'r-1', waitMs: 12_000, ttlMs: 15_000 };

  /** Waits, and stands in line at every node as this desk asked for it. */
  async function waitingAt(desk: Desk, caller?: Leaver): Promise<{ answer: ReturnType<Desk['acquire']> }> {
    const before = await scene.places(NAME);
    const answer = desk.acquire(NAME, ask, caller);
    let early: Awaited<typeof answer> | undefined;
    void answer.then((said) => {
      early = said;
    });
    await until(`${desk.cluster.replica} has told every node of the place`, async () => {
      if (early !== undefined) throw new Error(`it does not wait: ${told(early)}`);
      return (await scene.places(NAME)).every(
        (place, node) => place !== before[node] && place.includes(desk.cluster.replica),
      );
    });
    return { answer };
  }

  /** Both wait, at desks `at`, when the holder lets go at its own. */
  async function both(at: readonly [number, number], livenessMs: number): Promise<void> {
    const desks = await scene.desks(3, { waiting: { livenessMs } });
    const held = await desks[2]!.lock(NAME, { owner: 'holder', ttlMs: 20_000 });
    const answers = [];
    for (const index of at) answers.push(await waitingAt(desks[index]!));
    await desks[2]!.release(held);
    const leases = await Promise.all(answers.map(({ answer }) => answer));
    const said = leases.map(told).join('\n');
    expect(
      leases.map(({ kind }) => kind),
      said,
    ).toEqual(['lease', 'lease']);
    const got = leases.filter(granted);
    expect(new Set(got.map(({ leaseRef }) => leaseRef)).size, said).toBe(1);
    expect(got.map(({ replayed }) => replayed).sort(), said).toEqual([false, true]);
    await until('every node holds that lease', async () =>
      (await scene.nodes.holders(NAME)).every((value) => leaseRefOf(value) === got[0]!.leaseRef),
    );
    await scene.queued(NAME, 0);
    // One lease: it is over when either lets go.
    expect(await desks[at[0]]!.release(got[0]!)).toBe(true);
    expect((await desks[2]!.lock(NAME, { owner: 'after' })).owner).toBe('after');
  }

  test.each([
    ['at two replicas', [0, 1], 15_000],
    ['at two replicas that have told of their places again', [0, 1], 600],
    ['at one replica', [0, 0], 15_000],
    ['one of them at the replica of the release', [0, 2], 15_000],
  ] as const)('who wait %s end with the same lease, one of them replayed', (_, at, livenessMs) =>
    both(at, livenessMs),
  );

  test('keep their place when the first of them goes away', async () => {
    const [one, two] = await scene.desks(2);
    const held = await two!.lock(NAME, { owner: 'holder', ttlMs: 20_000 });
    const leaver = new Leaver();
    const first = await waitingAt(one!, leaver);
    const order: string[] = [];
    const behind = two!.lock(NAME, { owner: 'behind', waitMs: 8000 }).then(() => order.push('behind'));
    await scene.queued(NAME, 2);
    const again = await waitingAt(two!);
    leaver.go();
    expect(await first.answer).toMatchObject({ kind: 'refusal' });
    // Behind whatever that one still sent, over the same connections.
    const { waiters } = await inspected(one!, NAME);
    expect(waiters.map(({ owner }) => owner)).toEqual(['twice', 'behind']);
    await two!.release(held);
    const answer = await again.answer;
    if (!granted(answer)) throw new Error(`the repeat was not served: ${told(answer)}`);
    expect(order, 'served before the repeat').toEqual([]);
    await two!.release(answer);
    await behind;
  });
});
