/** Who stops waiting, by itself, by its deadline or by a cut connection, stands nowhere and holds nothing. */

import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemRandom } from '../../src/std/random.ts';
import { Leaver } from '../harness/asking.ts';
import { inspected, Scene } from '../harness/scene.ts';
import { FOREVER_MS } from '../harness/turns.ts';
import { repeat, until } from '../harness/until.ts';

const NAME = 'gpu/0';
const WAIT = { seconds: 50 };

let scene: Scene;
beforeEach(async () => {
  scene = await Scene.open();
});
afterEach(() => scene.close());

describe('a waiter', () => {
  test('that is cancelled leaves the line at every node, and another replica sees it', async () => {
    const [one, two] = [await scene.replica(), await scene.replica()];
    await one.client.lock(NAME, { owner: 'holder' });
    const behind = two.client.acquireCall({ resources: [NAME], owner: 'first', wait: WAIT });
    await scene.queued(NAME, 1);
    const { call, ended } = one.client.acquireCall({ resources: [NAME], owner: 'second', wait: WAIT });
    await scene.queued(NAME, 2);
    call.cancel();
    expect((await ended)?.code).toBe(status.CANCELLED);
    await scene.queued(NAME, 1);
    const { waiters } = await two.client.inspect(NAME);
    expect(waiters.map(({ owner, position }) => [owner, position])).toEqual([['first', 1]]);
    behind.call.cancel();
    await behind.ended;
    await scene.queued(NAME, 0);
  });

  test('whose wait is over is told who is in the way and where it stood, and has left the line', async () => {
    const [one, two] = [await scene.replica(), await scene.replica()];
    const held = await one.client.lock(NAME, { owner: 'holder' });
    const first = two.client.acquireCall({ resources: [NAME], owner: 'first', wait: WAIT });
    await scene.queued(NAME, 1);
    const { busy } = await two.client.acquire({ resources: [NAME], owner: 'second', wait: { nanos: 2e8 } });
    expect(busy).toMatchObject({
      wait_elapsed: true,
      position: 2,
      queue_length: 2,
      holders: [{ resource: NAME, owner: 'holder', lease_ref: held.lease_ref }],
    });
    await scene.queued(NAME, 1);
    first.call.cancel();
    await first.ended;
  });

  test('with a deadline of its own is answered Busy before it', async () => {
    const [one, two] = [await scene.replica(), await scene.replica()];
    await one.client.lock(NAME, { owner: 'holder' });
    const ask = { resources: [NAME], owner: 'late', wait: WAIT };
    const { busy } = await two.client.acquire(ask, { deadline: Date.now() + 800 });
    expect(busy).toMatchObject({ wait_elapsed: true, position: 1, queue_length: 1 });
    expect(busy?.holders.map(({ owner }) => owner)).toEqual(['holder']);
    await scene.queued(NAME, 0);
  });
});

describe('a grant that races with the cancellation', () => {
  test('is given back or taken, 200 times at any moment, and nothing stays behind', async () => {
    const [one, two] = await scene.desks(2);
    const ends = { served: 0, left: 0 };
    await repeat(200, async (round) => {
      const held = await one!.lock(NAME, { owner: `holder-${round}` });
      const leaver = new Leaver();
      const desk = round % 2 === 0 ? one! : two!;
      const racing = desk.acquire(NAME, { owner: `racer-${round}`, waitMs: FOREVER_MS }, leaver);
      await scene.queued(NAME, 1);
      const released = one!.release(held);
      const moment = Math.floor(systemRandom.fraction() * 30);
      for (let turn = 0; turn < moment; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      leaver.go();
      const answer = await racing;
      if (answer.kind === 'lease') {
        ends.served += 1;
        expect(await desk.release(answer)).toBe(true);
      } else {
        ends.left += 1;
      }
      expect(await released).toBe(true);
      const next = await two!.lock(NAME, { owner: `next-${round}`, waitMs: 5000 });
      expect(await two!.release(next)).toBe(true);
    });
    expect(ends.served, JSON.stringify(ends)).toBeGreaterThan(10);
    expect(ends.left, JSON.stringify(ends)).toBeGreaterThan(10);
    await scene.queued(NAME, 0);
    expect((await inspected(one!, NAME)).state).toBe('free');
    expect((await two!.lock(NAME, { owner: 'after' })).owner).toBe('after');
    await until('nobody is owed an undo', () =>
      [one!, two!].every(({ quorum }) => [0, 1, 2].every((index) => quorum.undo.count(index) === 0)),
    );
  });
});
