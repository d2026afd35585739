/** One request at two replicas, together, staggered, and with links held in between: one lease at most, and none after its release. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Lease } from '../../src/domain/lease.ts';
import { scripts } from '../../src/nodes/scripts.ts';
import { type Desk, granted } from '../harness/desk.ts';
import { type Link, linksTo } from '../harness/link.ts';
import { requestsForgotten } from '../harness/rules-off.ts';
import { Scene } from '../harness/scene.ts';
import { repeat, until } from '../harness/until.ts';

const HELD_TTL_MS = 3000;

type Scripts = typeof scripts;
type Answer = Awaited<ReturnType<Desk['acquire']>>;

let scene: Scene;
beforeAll(async () => {
  scene = await Scene.open();
});
afterAll(() => scene.close());

interface Pair {
  readonly one: Desk;
  readonly two: Desk;
  /** Those of `one`. */
  readonly links: readonly Link[];
  readonly linksOfTwo: readonly Link[];
}

async function pair(using: Scripts): Promise<Pair> {
  const nets = await Promise.all([linksTo(scene.nodes.servers), linksTo(scene.nodes.servers)]);
  for (const net of nets) scene.onClose(() => net.close());
  const options = { scripts: using, nodeTimeoutMs: 3000 };
  return {
    one: await scene.desk(options, nets[0].list),
    two: await scene.desk(options, nets[1].list),
    links: nets[0].links,
    linksOfTwo: nets[1].links,
  };
}

const ask = (name: string, ttlMs = 20_000) => ({ requestId: `request of ${name}`, ttlMs, owner: 'same' });
const refs = (answers: readonly Answer[]): string[] => [
  ...new Set(answers.filter(granted).map(({ leaseRef }) => leaseRef)),
];

/**
 * The votes of the first are held on so many links when the second asks; then they arrive. An attempt that one node
 * voted for may stay there, bound by the other's question, until its ttl, which is short here (docs/decisions/0005).
 */
async function held(name: string, count: number): Promise<{ answers: Answer[]; desks: readonly Desk[] }> {
  const { one, two, links } = await pair(scripts);
  const some = links.slice(0, count);
  for (const link of some) link.hold('in');
  const first = one.acquire(name, ask(name, HELD_TTL_MS));
  await until('its votes are on their way', () => some.every((link) => link.kept('in') > 0));
  const second = await two.acquire(name, ask(name, HELD_TTL_MS));
  for (const link of some) link.flow();
  return { answers: [await first, second], desks: [one, two] };
}

describe.each([1, 2, 3])('with the votes of the first held on %i links when the second asks', (count) => {
  test('both have the same lease at last, and after its release neither can have another', async () => {
    const name = `held/${count}`;
    const { answers, desks } = await held(name, count);
    expect(refs(answers)).toHaveLength(1);
    // Who could not be told then is told when it asks again.
    const again = [];
    for (const desk of desks) again.push(await desk.acquire(name, ask(name, HELD_TTL_MS)));
    expect(again.map(({ kind }) => kind)).toEqual(['lease', 'lease']);
    expect(refs([...answers, ...again])).toHaveLength(1);
    expect(await desks[1]!.release(again[0] as Lease)).toBe(true);
    for (const desk of desks) {
      const late = await desk.acquire(name, ask(name, HELD_TTL_MS));
      expect(late).toMatchObject({ kind: 'refusal', reason: 'LEASE_LOST' });
    }
    await scene.nodes.free(name);
  });
});

test('an attempt whose call is answered with the lease of another frees its node at once', async () => {
  const { one, two, links, linksOfTwo } = await pair(scripts);
  const some = links.slice(0, 2);
  await repeat(3, async (round) => {
    const name = `lost/${round}`;
    for (const link of some) link.hold('in');
    const first = one.acquire(name, ask(name));
    await until('its votes are on their way', () => some.every((link) => link.kept('in') > 0));
    await until('the third node has voted for it', async () => (await scene.nodes.holder(2, name)) !== '');
    // Told of that attempt before it has its majority, the second would be refused.
    linksOfTwo[2]!.hold('out');
    const second = await two.acquire(name, ask(name));
    await until('that attempt is bound', async () => (await scene.nodes.record(2, name))?.binding === 1);
    for (const link of [...some, linksOfTwo[2]!]) link.flow();
    const answers = [await first, second];
    expect(answers.map(({ kind }) => kind)).toEqual(['lease', 'lease']);
    expect(refs(answers)).toHaveLength(1);
    expect(await two.release(second as Lease)).toBe(true);
    await scene.nodes.free(name, 5000);
  });
});

test('asked at both at moments that wander past each other, each request has one lease', async () => {
  const { one, two } = await pair(scripts);
  let both = 0;
  await repeat(60, async (round) => {
    const name = `staggered/${round}`;
    const first = one.acquire(name, ask(name));
    for (let turn = 0; turn < round; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    const answers = await Promise.all([first, two.acquire(name, ask(name))]);
    expect(refs(answers).length).toBeLessThanOrEqual(1);
    if (answers.every(granted)) both += 1;
    for (const answer of answers) if (granted(answer)) await two.release(answer);
    expect(granted(await one.acquire(name, ask(name)))).toBe(false);
  });
  expect(both, 'invalid: too few were granted').toBeGreaterThan(20);
});

/** How many leases a request has had, when its first votes arrive after the lease of its repeat was released. */
async function behindTheRelease(name: string, using: Scripts, reconnects: boolean): Promise<number> {
  const { one, two, links } = await pair(using);
  for (const link of links) link.hold('in');
  const first = one.acquire(name, ask(name));
  await until('its votes are on their way', () => links.every((link) => link.kept('in') > 0));
  if (reconnects) for (const link of links) link.strand();
  const second = await two.lock(name, ask(name));
  await two.release(second);
  for (const link of links) link.flow();
  const answers: Answer[] = [second, await first];
  await until('all has arrived', () => links.every((link) => link.stranded === 0));
  await until('nothing is owed', () => [0, 1, 2].every((node) => one.quorum.undo.count(node) === 0));
  answers.push(await two.acquire(name, ask(name)));
  return refs(answers).length;
}

test('a request that arrives behind the release of its own lease locks nothing', async () => {
  expect(await behindTheRelease('behind/on', scripts, false)).toBe(1);
  expect(await behindTheRelease('behind/new', scripts, true)).toBe(1);
});

test('where nodes forget requests, it locks again', async () => {
  expect(await behindTheRelease('behind/off', requestsForgotten, false)).toBeGreaterThan(1);
});
