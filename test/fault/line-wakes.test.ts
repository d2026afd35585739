/** A wake may be lost: who waits looks for itself once a second, and gets its turn all the same. */
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { history, Scene } from '../harness/scene.ts';
import { Turns } from '../harness/turns.ts';
import { until } from '../harness/until.ts';

const NAME = 'gpu/0';
const LOOK_MS = 1000;
/** For a busy machine. */
const SLACK_MS = 700;

let scene: Scene;
let doors: readonly Redis[];

beforeEach(async () => {
  scene = await Scene.open();
  doors = scene.nodes.servers.map(({ socketPath }) => new Redis(socketPath));
  scene.onClose(() => doors.map((door) => door.disconnect()));
});
afterEach(() => scene.close());

const listeners = async (door: Redis): Promise<unknown> => door.call('PUBSUB', 'CHANNELS');

/** Ends every subscription, and none can be made again: the nodes take no more connections. */
async function deafen(): Promise<void> {
  await Promise.all(doors.map((door) => door.config('SET', 'maxclients', '1')));
  await Promise.all(doors.map((door) => door.call('CLIENT', 'KILL', 'TYPE', 'pubsub')));
  await until('nobody listens', async () =>
    (await Promise.all(doors.map(listeners))).every((channels) => String(channels) === ''),
  );
}

describe('a replica whose subscriptions are cut at every node', () => {
  test('serves its waiters by its own look, each within a second of the release', async () => {
    const [one, two] = await scene.desks(2);
    const turns = new Turns();
    const first = await one!.lock(NAME, { owner: 'first', ttlMs: 20_000 });
    const waiting = [];
    for (const [index, desk] of [two!, one!, two!].entries()) {
      waiting.push(turns.take(desk, { owner: `w${index}`, resources: [NAME] }));
      await scene.queued(NAME, index + 1);
    }
    // What was ended by force, and each replica's wakes.
    for (const door of doors) expect(await listeners(door)).toHaveLength(3);
    await deafen();
    expect(await one!.release(first)).toBe(true);
    await Promise.all(waiting);
    expect(turns.faults).toEqual([]);
    expect(turns.order).toEqual(['w0', 'w1', 'w2']);
    for (const door of doors) expect(await listeners(door)).toEqual([]);
    const events = await history(one!, NAME);
    const at = (type: string, owner: string): number =>
      events.find((event) => event.type === type && event.owner === owner)!.timeMs;
    const gaps = [
      at('granted', 'w0') - at('released', 'first'),
      at('granted', 'w1') - at('released', 'w0'),
      at('granted', 'w2') - at('released', 'w1'),
    ];
    expect(Math.max(...gaps), `idle for ${gaps.join(', ')} ms`).toBeLessThanOrEqual(LOOK_MS + SLACK_MS);
  });
});
