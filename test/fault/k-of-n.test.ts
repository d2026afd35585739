/** Any k of n, every client having lost another node: never more holders than there is room for, and always some progress. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Entry } from '../harness/history/history.ts';
import { type Link, linksTo } from '../harness/link.ts';
import { type Environment, TestReplica } from '../harness/replica.ts';
import { Scene } from '../harness/scene.ts';
import { Traffic } from '../harness/traffic-net.ts';

const NODES = [0, 1, 2] as const;
const CARDS = ['card/0', 'card/1', 'card/2', 'card/3', 'card/4'];
const EACH = 2;
/** How many owners have room at once. */
const ROOM = Math.floor(CARDS.length / EACH);
const env: Environment = {
  HOLDFAST_MAX_TTL: '20s',
  HOLDFAST_DEFAULT_TTL: '20s',
  HOLDFAST_NODE_TIMEOUT: '300ms',
  // What a waiter left at the node that it lost blocks others for so long.
  HOLDFAST_WAITER_LIVENESS: '800ms',
};

let scene: Scene;
let replicas: TestReplica[];
let net: (readonly Link[])[];
beforeAll(async () => {
  scene = await Scene.open();
  [replicas, net] = [[], []];
  for (const _ of NODES) {
    const { links, list, close } = await linksTo(scene.nodes.servers);
    scene.onClose(close);
    const replica = await TestReplica.start(list, env);
    scene.onClose(() => replica.stop());
    replicas.push(replica);
    net.push(links);
  }
});
afterAll(() => scene.close());

/** How many relied on their leases at one moment, by their own counts. */
function mostAtOnce(entries: readonly Entry[]): number {
  const held = entries.flatMap((entry) => (entry.kind === 'held' ? [entry] : []));
  const at = (ms: number): number =>
    held.filter(({ fromMs, untilMs }) => fromMs <= ms && ms < untilMs).length;
  return Math.max(0, ...held.map(({ fromMs }) => at(fromMs)));
}

test(`of ${CARDS.length} cards any ${EACH}: as each client loses one node after the other, at most ${ROOM} hold`, async () => {
  const traffic = new Traffic({
    client: (owner) => replicas[owner % 3]!.client,
    resources: CARDS,
    owners: 4,
    ttlMs: 3000,
    waitMs: 3000,
    any: EACH,
  });
  traffic.start();
  await traffic.grants(6);
  for (const shift of NODES) {
    for (const [at, links] of net.entries()) {
      for (const link of links) link.mend();
      links[(at + shift) % 3]!.cut();
    }
    traffic.fault('another node lost', `shifted by ${shift}`);
    await traffic.grants(10, 30_000);
  }
  for (const link of net.flat()) link.mend();
  await traffic.healed(15_000);
  await traffic.end(scene.nodes, 30);
  expect(traffic.violations()).toEqual([]);
  const most = mostAtOnce(traffic.entries);
  expect(most).toBeLessThanOrEqual(ROOM);
  expect(most, 'invalid: nobody ever met').toBeGreaterThan(1);
});

test('where each node counts holders instead, as many get in as nodes can be shared out', async () => {
  const inside: number[] = [];
  for (const client of NODES) {
    const counts = await Promise.all(
      NODES.filter((node) => node !== client).map((node) => scene.nodes.run(node, 'INCR', 'slots')),
    );
    // A majority of the nodes had room for one more of two.
    if (counts.every((count) => Number(count) <= ROOM)) inside.push(client);
  }
  expect(inside.length).toBe(ROOM + 1);
});
