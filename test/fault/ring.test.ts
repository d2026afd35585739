/** Every replica has lost another node, and links break in every way: whoever has any majority goes on, and all exclude each other. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { scripts } from '../../src/nodes/scripts.ts';
import { SeededRandom } from '../../src/std/random.ts';
import type { Desk } from '../harness/desk.ts';
import { check } from '../harness/history/check.ts';
import { type Link, linksTo } from '../harness/link.ts';
import { releaseFreesAnybody } from '../harness/rules-off.ts';
import { Scene } from '../harness/scene.ts';
import { Turns } from '../harness/turns.ts';
import { until } from '../harness/until.ts';
import { Traffic } from './traffic.ts';

const NODES = [0, 1, 2] as const;
const TTL_MS = 1500;
const WAITERS = 9;
const MANY = 6;
/** Of each kind of call, before a fault counts as survived. */
const CALLS = 10;
const LEAST_GRANTS = 60;
/** What a waiter left at a node that it has lost blocks others for so long. */
const LIVENESS_MS = 1000;

type Net = readonly (readonly [Link, Link, Link])[];
type Scripts = typeof scripts;
/** Three desks, each with links of its own to each node, by desk and node. */
interface Ring {
  readonly scene: Scene;
  readonly desks: readonly Desk[];
  readonly net: Net;
}

let ring: Ring;
beforeAll(async () => {
  ring = await open(scripts);
});
afterAll(() => ring.scene.close());

async function open(using: Scripts): Promise<Ring> {
  const scene = await Scene.open();
  const opened = await Promise.all(
    NODES.map(async () => {
      const net = await linksTo(scene.nodes.servers);
      scene.onClose(() => net.close());
      const options = { scripts: using, nodeTimeoutMs: 250, waiting: { livenessMs: LIVENESS_MS } };
      const desk = await scene.desk(options, net.list);
      return { desk, links: net.links as unknown as readonly [Link, Link, Link] };
    }),
  );
  return { scene, desks: opened.map(({ desk }) => desk), net: opened.map(({ links }) => links) };
}

/** What becomes of the link between each desk and the node that it loses. */
const faults: Readonly<Record<string, (link: Link) => void>> = {
  cut: (link) => link.cut(),
  'half-open': (link) => link.blackHole(),
  'votes lost': (link) => link.swallow('in'),
  'answers lost': (link) => link.swallow('out'),
};

function mend({ net }: Ring): void {
  for (const link of net.flat()) {
    link.delayMs = () => 0;
    link.mend();
    link.flow();
  }
}

async function allReady({ desks }: Ring): Promise<void> {
  await until('every desk reaches every node', () =>
    desks.every(({ states }) => states.every((state) => state === 'ready')),
  );
}

/** Links break and come back, one after the other. */
async function flap(traffic: Traffic, { net }: Ring, random: SeededRandom): Promise<void> {
  for (let time = 0; time < MANY; time += 1) {
    const link = net[time % 3]![Math.floor(random.fraction() * 3)]!;
    link.cut();
    await traffic.goesOn(2);
    link.mend();
  }
}

/** What links carry arrives after what was sent over the connections that were made instead. */
async function reorder(traffic: Traffic, { net }: Ring): Promise<void> {
  for (let time = 0; time < MANY; time += 1) {
    const [one, two] = [net[time % 3]![(time + 1) % 3]!, net[time % 3]![(time + 2) % 3]!];
    for (const link of [one, two]) link.hold('in');
    await until('something is on its way', () => one.kept('in') > 0 && two.kept('in') > 0);
    for (const link of [one, two]) link.strand();
    await traffic.goesOn(2);
    for (const link of [one, two]) link.flow();
  }
}

test('links in a ring are cut, half-open, one-way, flapping, dripping, slow and out of order: every grant is sound', async () => {
  const seed = Date.now() % 100_000;
  const random = new SeededRandom(seed);
  const traffic = new Traffic(ring.desks, { ttlMs: TTL_MS });
  await traffic.goesOn(CALLS);
  for (const [name, act] of Object.entries(faults)) {
    await traffic.fault(name, 'another node of each desk', async () => {
      for (const node of NODES) act(ring.net[node]![node]!);
      await traffic.goesOn(CALLS);
    });
    mend(ring);
    await traffic.goesOn(CALLS);
  }
  await traffic.fault('flapping', 'any link', () => flap(traffic, ring, random));
  await traffic.fault('out of order', 'two links at a time', () => reorder(traffic, ring));
  await traffic.fault('dripping', 'a node', async () => {
    for (const links of ring.net) for (const way of ['in', 'out'] as const) links[0].drip(way);
    await traffic.goesOn(CALLS);
  });
  mend(ring);
  await traffic.fault('slow', 'every link', async () => {
    for (const link of ring.net.flat()) link.delayMs = () => random.fraction() * 20;
    await traffic.goesOn(CALLS);
  });
  mend(ring);
  await allReady(ring);
  await traffic.healed();
  await traffic.stop(LEAST_GRANTS);
  await traffic.rest(ring.scene.nodes);
  try {
    traffic.expectSound(LEAST_GRANTS);
  } catch (error) {
    throw new Error(`with seed ${seed}: ${String(error)}`, { cause: error });
  }
});

test('where a release frees whoever holds, messages out of order make two holders', async () => {
  const off = await open(releaseFreesAnybody);
  try {
    const traffic = new Traffic(off.desks, { ttlMs: TTL_MS });
    while (!overlapped(traffic)) await reorder(traffic, off);
    await traffic.stop();
    expect(check(traffic.entries).map(({ rule }) => rule)).toContain('overlap');
  } finally {
    await off.scene.close();
  }
});

function overlapped({ entries }: Traffic): boolean {
  const held = entries.flatMap((entry) => (entry.kind === 'held' ? [entry] : []));
  return held.some((one) =>
    held.some(
      (other) =>
        other !== one &&
        other.resources[0] === one.resources[0] &&
        other.fromMs < one.untilMs &&
        one.fromMs < other.untilMs,
    ),
  );
}

test('in a ring of lost nodes everybody in line is served, in the order of arrival', async () => {
  const { scene, desks, net } = ring;
  await allReady(ring);
  for (const node of NODES) net[node]![node]!.cut();
  await until('each has noticed', () => desks.every(({ states }, at) => states[at] === 'silent'));
  const turns = new Turns();
  const name = 'line';
  const first = await desks[0]!.lock(name, { owner: 'first', ttlMs: 20_000 });
  const waiters: Promise<void>[] = [];
  for (let place = 0; place < WAITERS; place += 1) {
    waiters.push(turns.take(desks[place % 3]!, { owner: `w${place}`, resources: [name], ttlMs: 20_000 }));
    const standing = async () => (await scene.lines(name)).flat().length === 2 * (place + 1);
    await until(`w${place} stands in line at two nodes`, standing);
  }
  await desks[0]!.release(first);
  await Promise.all(waiters);
  expect(turns.faults).toEqual([]);
  expect(turns.order).toEqual(Array.from({ length: WAITERS }, (_, place) => `w${place}`));
  mend(ring);
  await allReady(ring);
});
