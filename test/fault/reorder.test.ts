/** What an old connection still carries arrives after what a new one has brought: nothing changes; each rule that sees to it also off. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { leaseRefOf } from '../../src/domain/lease.ts';
import type { Answer, Marker } from '../../src/nodes/node.ts';
import { scripts } from '../../src/nodes/scripts.ts';
import { type Attempt, attemptOf, BareNode } from '../harness/bare-node.ts';
import { Link, linksTo } from '../harness/link.ts';
import { Nodes } from '../harness/nodes.ts';
import {
  attemptsNotTold,
  bindingIgnored,
  closedComesBack,
  releaseFreesAnybody,
  renewAcquires,
  undoClosesNothing,
} from '../harness/rules-off.ts';
import { Scene } from '../harness/scene.ts';
import { until } from '../harness/until.ts';

type Scripts = typeof scripts;
interface Case {
  readonly late: string;
  readonly behind: string;
  readonly off: Scripts;
  /** Over the old connection, before anything is held. */
  before?(node: BareNode): Promise<unknown>;
  /** Held. */
  held(node: BareNode): Promise<Answer>;
  /** Over the new connection. */
  meanwhile(node: BareNode): Promise<unknown>;
  /** Who holds it when all has arrived, with the rule; without it, somebody else or nobody does. */
  readonly holder: Attempt | undefined;
}

const NAME = 'gpu/0';
const now = BigInt(Date.now()) * 1000n;
const [first, second, other] = [
  attemptOf('secret-of-p1', now, NAME),
  attemptOf('secret-of-p1', now + 1n, NAME),
  attemptOf('secret-of-p2', now + 2n, NAME),
];
const marker: Marker = { key: 'request', digest: 'digest' };

const cases: readonly Case[] = [
  {
    late: 'a vote',
    behind: 'its undo',
    off: undoClosesNothing,
    held: (node) => node.hold(first),
    meanwhile: (node) => node.undo(first),
    holder: undefined,
  },
  {
    late: 'the undo of an attempt',
    behind: 'the next attempt of the same lease',
    off: attemptsNotTold,
    before: (node) => node.hold(first),
    held: (node) => node.undo(first),
    // An undo is sent again until it is confirmed.
    meanwhile: async (node) => [await node.undo(first), await node.hold(second)],
    holder: second,
  },
  {
    late: 'a release',
    behind: "somebody else's vote",
    off: releaseFreesAnybody,
    before: (node) => node.hold(first),
    held: (node) => node.release(first),
    meanwhile: async (node) => [await node.release(first), await node.hold(other)],
    holder: other,
  },
  {
    late: 'a renewal',
    behind: 'the release',
    off: renewAcquires,
    before: (node) => node.hold(first),
    held: (node) => node.renew(first),
    meanwhile: (node) => node.release(first),
    holder: undefined,
  },
  {
    late: 'a repair',
    behind: 'the release that closed its token',
    off: closedComesBack,
    held: (node) => node.repair(first),
    meanwhile: (node) => node.undo(first, { why: 'released' }),
    holder: undefined,
  },
  {
    late: 'the undo of a request',
    behind: 'its repeat, which met the lease,',
    off: bindingIgnored,
    before: (node) => node.hold(first, { marker }),
    held: (node) => node.undo(first, { binding: 0, markerKey: marker.key }),
    meanwhile: (node) => node.hold(other, { marker }),
    holder: first,
  },
];

describe('at one node', () => {
  let nodes: Nodes;
  const closing: (() => void)[] = [];
  beforeAll(async () => {
    nodes = await Nodes.start(1);
  });
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) close();
    await nodes.run(0, 'FLUSHALL');
  });
  afterAll(() => nodes.close());

  /** Who holds it at last. */
  async function overtaken({ before, held, meanwhile }: Case, using: Scripts): Promise<string> {
    const link = await Link.to(nodes.servers[0]!.socketPath);
    closing.push(() => link.close());
    const connect = async (): Promise<BareNode> => {
      // A meta that is there stays: the same process, the same stamp.
      const node = await BareNode.open(link, using);
      closing.push(() => node.close());
      return node;
    };
    const old = await connect();
    await before?.(old);
    link.hold('in');
    const answer = held(old);
    await until('it is on its way', () => link.kept('in') > 0);
    link.strand();
    expect((await answer).kind).toBe('silent');
    const fresh = await connect();
    await meanwhile(fresh);
    expect(link.stranded).toBeGreaterThan(0);
    link.flow();
    await until('it has arrived', () => link.stranded === 0);
    return fresh.holder(NAME);
  }

  describe.each(cases)('$late that arrives after $behind', (one) => {
    test('changes nothing', async () => {
      expect(await overtaken(one, scripts)).toBe(one.holder?.leaseRef ?? '');
    });

    test('without the rule does harm', async () => {
      const held = await overtaken(one, one.off);
      expect(held).toBe(one.holder === undefined ? first.leaseRef : '');
    });
  });
});

describe('at a majority', () => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await Scene.open();
  });
  afterAll(() => scene.close());

  /** A desk whose connections break while its votes, releases or renewals are on their way. */
  async function desks(using: Scripts) {
    const net = await linksTo(scene.nodes.servers);
    scene.onClose(() => net.close());
    const [broken, sound] = [
      await scene.desk({ scripts: using }, net.list),
      await scene.desk({ scripts: using }),
    ];
    const strand = async (): Promise<void> => {
      await until('it is on its way', () => net.links.every((link) => link.kept('in') > 0));
      for (const link of net.links) link.strand();
    };
    const arrive = async (): Promise<void> => {
      for (const link of net.links) link.flow();
      await until('it has arrived', () => net.links.every((link) => link.stranded === 0));
    };
    const settled = (): Promise<unknown> =>
      until('nothing is owed', () => [0, 1, 2].every((node) => broken.quorum.undo.count(node) === 0));
    return { broken, sound, hold: () => net.links.map((link) => link.hold('in')), strand, arrive, settled };
  }

  /** Whether the next one is granted when the votes of a refused one have arrived behind their undos. */
  async function lateVotes(name: string, using: Scripts): Promise<string> {
    const { broken, sound, hold, strand, arrive, settled } = await desks(using);
    hold();
    const refused = broken.acquire(name, { ttlMs: 20_000 });
    await strand();
    expect(await refused).toMatchObject({ kind: 'refusal', reason: 'NO_QUORUM' });
    await settled();
    await arrive();
    return (await sound.acquire(name, { owner: 'next' })).kind;
  }

  test('votes behind their undos leave the lock free', async () => {
    expect(await lateVotes('votes/on', scripts)).toBe('lease');
    expect(await lateVotes('votes/off', undoClosesNothing)).toBe('busy');
  });

  /** How many believe in their leases when a release has arrived behind the next lease, and a third one has asked. */
  async function lateRelease(name: string, using: Scripts): Promise<number> {
    const { broken, sound, hold, strand, arrive } = await desks(using);
    const old = await broken.lock(name, { ttlMs: 20_000 });
    hold();
    const released = broken.release(old);
    await strand();
    await released;
    await sound.release(old);
    const next = await sound.lock(name, { ttlMs: 20_000, owner: 'next' });
    await arrive();
    const third = await sound.acquire(name, { owner: 'third' });
    const stands = (await scene.nodes.holders(name)).map((value) => leaseRefOf(value));
    if (third.kind !== 'lease') expect(stands).toEqual(Array(3).fill(next.leaseRef));
    return third.kind === 'lease' ? 2 : 1;
  }

  test('a release behind the next grant leaves that one alone', async () => {
    expect(await lateRelease('release/on', scripts)).toBe(1);
    expect(await lateRelease('release/off', releaseFreesAnybody)).toBe(2);
  });
});
