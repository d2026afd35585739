/** Who has left the line stays gone: a node that missed it for a moment hears of it as soon as it can be reached. */

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Leaver } from '../harness/asking.ts';
import type { Desk } from '../harness/desk.ts';
import { type Link, linksTo } from '../harness/link.ts';
import { Scene } from '../harness/scene.ts';
import { FOREVER_MS, Turns } from '../harness/turns.ts';
import { until } from '../harness/until.ts';

const NAME = 'gpu/0';
/** Longer than any test: a place that nobody takes back stays. */
const waiting = { livenessMs: 60_000 };

let scene: Scene;
let links: readonly Link[];
/** Behind the links. */
let one: Desk;
let two: Desk;

beforeEach(async () => {
  scene = await Scene.open();
  const net = await linksTo(scene.nodes.servers);
  scene.onClose(() => net.close());
  links = net.links;
  [one, two] = [await scene.desk({ waiting }, net.list), await scene.desk({ waiting })];
});
afterEach(() => scene.close());

/** Stands in line, and leaves it while its replica cannot reach `node` for a moment. */
async function leaveUnheardBy(node: number, owner: string): Promise<void> {
  const leaver = new Leaver();
  // Counting would not do: whoever left last may leave a node between the two looks.
  const before = new Set((await scene.lines(NAME)).flat());
  const answer = one.acquire(NAME, { owner, waitMs: FOREVER_MS }, leaver);
  await until(`${owner} stands in line`, async () =>
    (await scene.lines(NAME)).every((line) => line!.some((waiter) => !before.has(waiter))),
  );
  links[node]!.cut();
  await until('the cut is known', () => one.states[node] === 'silent');
  leaver.go();
  expect(await answer).toMatchObject({ kind: 'refusal' });
  links[node]!.mend();
  await until('all nodes can be reached again', () => one.states.every((state) => state === 'ready'));
}

describe('waiters who left while one node each could not be reached', () => {
  test('have left the line there, too, soon after it can be', async () => {
    await two.lock(NAME, { owner: 'holder', ttlMs: 20_000 });
    await leaveUnheardBy(0, 'gone');
    await scene.queued(NAME, 0);
  });

  test('do not hold up whoever waits behind them', async () => {
    const held = await two.lock(NAME, { owner: 'holder', ttlMs: 20_000 });
    await leaveUnheardBy(0, 'gone-0');
    await leaveUnheardBy(1, 'gone-1');
    const turns = new Turns();
    void turns.take(two, { owner: 'behind', resources: [NAME] });
    await until('the one behind stands in line', async () =>
      (await scene.lines(NAME)).every((line) => line!.length > 0),
    );
    await two.release(held);
    await until('the one behind is served', () => turns.order.length > 0).catch(async (error: unknown) => {
      throw new Error(`${String(error)}; in line by node: ${JSON.stringify(await scene.lines(NAME))}`);
    });
    expect(turns.faults).toEqual([]);
  });
});

describe('a waiter whose vote one node took although somebody stands ahead elsewhere', () => {
  test('stands in line there again when the vote is taken back', async () => {
    const net = await linksTo(scene.nodes.servers);
    scene.onClose(() => net.close());
    const late = await scene.desk({ waiting }, net.list);
    const held = await late.lock(NAME, { owner: 'holder', ttlMs: 20_000 });
    // The place of the one ahead does not reach node 2 yet.
    links[2]!.hold('in');
    const ahead = one.lock(NAME, { owner: 'ahead', waitMs: FOREVER_MS });
    await until('it stands at two nodes', async () => (await lengths()) === '1,1,0');
    void late.acquire(NAME, { owner: 'behind', waitMs: FOREVER_MS });
    await until('the one behind stands at all', async () => (await lengths()) === '2,2,1');
    const [behind] = (await scene.line(2, NAME))!;
    // Its vote is decided before node 2 has answered.
    net.links[2]!.hold('out');
    await late.release(held);
    await until('node 2 has voted for it', async () => (await scene.nodes.holder(2, NAME)) !== '');
    expect((await ahead).owner).toBe('ahead');
    net.links[2]!.flow();
    await until('node 2 has taken the vote back', async () => (await scene.nodes.holder(2, NAME)) === '');
    await until('it stands in line there again', async () => (await scene.line(2, NAME))?.includes(behind!));
  });
});

const lengths = async (): Promise<string> => (await scene.lines(NAME)).map((line) => line?.length).join();
