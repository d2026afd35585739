/** In which order those who wait are served: deferral, kept places, replicas that die, votes that split. */
import { describe, expect, test } from 'vitest';
import type { HoldOp, NodeOp } from '../../../src/nodes/node.ts';
import { leaseOf, placed, quiet, type Replica, START, Wait, World } from './world.ts';

const ALL = [0, 1, 2];
const everywhere = (...owners: string[]): string[][] => ALL.map(() => owners);
const lines = (world: World): string[][] => ALL.map((node) => world.line(node));

function kindsSince(replica: Replica, from: number): NodeOp['kind'][][] {
  const later = replica.sent.slice(from);
  return ALL.map((at) => later.filter(({ node }) => node === at).map(({ op }) => op.kind));
}

/** `a` holds `r`, and `first` waits for it at `b`. */
async function queued(ttlMs = 10_000) {
  const world = await World.of();
  const [a, b, c] = [world.replica('a'), world.replica('b'), world.replica('c')];
  const lease = leaseOf(await a.acquire({ owner: 'holder', ttlMs }));
  const first = new Wait(b, { owner: 'first' });
  await world.advance(1);
  return { world, a, b, c, lease, first };
}

test('of many who wait a few at a time keep their places, so that no node owes too many answers', async () => {
  const { world, b } = await queued();
  for (let at = 0; at < 300; at += 1) new Wait(b, { owner: `w${at}` });
  await world.pass(100);
  const before = b.count('join')[0]!;
  world.fate = (_, __, op) => (op.kind === 'join' ? 'later' : 'now');
  await world.pass(2000);
  expect(b.count('join')[0]! - before).toBe(256);
  world.fate = () => 'now';
  await world.deliverAll();
  await world.pass(1);
  expect(b.count('join')[0]! - before).toBe(301);
});

describe('a newcomer behind one who waits at its replica', () => {
  test('sends nothing for 50 ms, and then joins', async () => {
    const { world, b } = await queued();
    const before = b.sent.length;
    new Wait(b, { owner: 'second' });
    await world.pass(49, 1);
    expect(b.sent.length).toBe(before);
    await world.pass(1, 1);
    expect(kindsSince(b, before)).toEqual([['join'], ['join'], ['join']]);
    expect(lines(world)).toEqual(everywhere('first', 'second'));
  });

  test('joins in the script with which that one goes', async () => {
    const { world, a, b, lease, first } = await queued();
    const before = b.sent.length;
    const second = new Wait(b, { owner: 'second' });
    await quiet();
    world.fate = (replica) => (replica === 'b' ? 'later' : 'now');
    await a.release(lease);
    await quiet();
    expect(kindsSince(b, before)).toEqual(ALL.map(() => ['join', 'hold']));
    expect(new Set(world.inFlight.map(({ script }) => script)).size).toBe(1);
    await world.deliverAll();
    expect([first.kind, second.kind, ...lines(world)]).toEqual(['lease', 'waits', ...everywhere('second')]);
  });

  test.each([0, 1])(
    'is served before one who came later elsewhere, when number %i of two gives up',
    async (gone) => {
      const { world, a, b, c, lease, first } = await queued();
      const hidden = [0, 1].map(
        (at) => new Wait(b, { owner: `hidden ${at}`, waitMs: at === gone ? 100 : 60_000 }),
      );
      await world.advance(5);
      const elsewhere = new Wait(c, { owner: 'elsewhere' });
      await world.pass(150);
      const stays = hidden[1 - gone]!;
      expect(lines(world)).toEqual(everywhere('first', `hidden ${1 - gone}`, 'elsewhere'));
      await a.release(lease);
      await quiet();
      await a.release(leaseOf(first.answer!));
      await quiet();
      expect([stays.kind, elsewhere.kind]).toEqual(['lease', 'waits']);
    },
  );

  test('takes its place in the same script in which the one before it gives up', async () => {
    const world = await World.of();
    const [a, b, c] = [world.replica('a'), world.replica('b'), world.replica('c')];
    const lease = leaseOf(await a.acquire({ owner: 'holder' }));
    new Wait(b, { owner: 'first', waitMs: 20 });
    await world.advance(1);
    const second = new Wait(b, { owner: 'second' });
    await world.advance(1);
    const elsewhere = new Wait(c, { owner: 'elsewhere' });
    await world.advance(1);
    world.fate = (replica) => (replica === 'b' ? 'later' : 'now');
    await world.advance(30);
    const left = new Set(world.inFlight.flatMap(({ op, script }) => (op.kind === 'leave' ? [script] : [])));
    const joined = new Set(world.inFlight.flatMap(({ op, script }) => (op.kind === 'join' ? [script] : [])));
    expect(joined).toEqual(left);
    world.fate = () => 'now';
    await world.deliverAll();
    await a.release(lease);
    await quiet();
    expect([second.kind, elsewhere.kind]).toEqual(['lease', 'waits']);
  });

  test('but ahead of it by priority, or with another mode, asks the nodes at once', async () => {
    for (const changes of [{ priority: 5 }, { mode: 'shared' as const }, { resources: ['r', 'q'] }]) {
      const { b } = await queued();
      const before = b.sent.length;
      new Wait(b, { owner: 'second', ...changes });
      await quiet();
      expect(b.sent.length).toBeGreaterThan(before);
    }
  });
});

describe('a place', () => {
  test('moves in its row when a node remembers an earlier one, so that a release hands over to it', async () => {
    const world = await World.of();
    const [a, c] = [world.replica('a'), world.replica('c')];
    const lease = leaseOf(await a.acquire({ owner: 'holder' }));
    new Wait(c, { owner: 'again', requestId: 'same' });
    await world.advance(5);
    c.locks.drain();
    const local = new Wait(a, { owner: 'local' });
    await world.advance(100);
    const repeat = new Wait(a, { owner: 'again', requestId: 'same' });
    await world.advance(100);
    world.wakes = false;
    await a.release(lease);
    await quiet();
    expect([repeat.kind, local.kind]).toEqual(['lease', 'waits']);
  });

  test('dies with a replica that is cut off, and the next one has its turn then', async () => {
    const { world, a, c, lease, first } = await queued(30_000);
    const second = new Wait(c, { owner: 'second' });
    world.wakes = false;
    await world.pass(100);
    world.fate = (replica, node) => (replica === 'b' && node > 0 ? 'lost' : 'now');
    await world.pass(2500, 50);
    expect(lines(world)).toEqual(everywhere('first', 'second'));
    await a.release(lease);
    await world.pass(1500, 50);
    expect([first.kind, second.kind]).toEqual(['waits', 'waits']);
    await world.pass(4500, 50);
    expect([first.kind, second.kind]).toEqual(['waits', 'lease']);
    expect(lines(world)).toEqual(everywhere());
  });

  test('is taken again when the replica that was cut off is back', async () => {
    const { world, c, first } = await queued(60_000);
    const second = new Wait(c, { owner: 'second' });
    await world.pass(100);
    world.fate = (replica) => (replica === 'b' ? 'lost' : 'now');
    await world.pass(10_000, 50);
    expect(lines(world)).toEqual(everywhere('second'));
    world.fate = () => 'now';
    await world.pass(3000, 50);
    expect(lines(world)).toEqual(everywhere('first', 'second'));
    expect([first.kind, second.kind]).toEqual(['waits', 'waits']);
  });
});

describe('the looks of one who waits', () => {
  test('come about once a second while a free resource waits for somebody ahead that does not take it', async () => {
    const { world, a, c, lease } = await queued(30_000);
    new Wait(c, { owner: 'second' });
    await world.pass(100);
    world.fate = (replica) => (replica === 'b' ? 'lost' : 'now');
    await a.release(lease);
    const [before] = c.count('look');
    await world.pass(3000, 5);
    expect(c.count('look')[0]! - before!).toBeLessThanOrEqual(6);
  });

  test('come about once a second for a gang of which one resource is free and one is not', async () => {
    const { world, b } = await queued(30_000);
    new Wait(b, { owner: 'gang', resources: ['q', 'r'] });
    const [before] = b.count('look');
    await world.pass(5000, 5);
    expect(b.count('look')[0]! - before!).toBeLessThanOrEqual(25);
  });
});

describe('a vote that splits', () => {
  function rival(owner: string, resource = 'r'): HoldOp {
    const token = BigInt(START + 500_000);
    const place = placed({ id: owner, owner, order: 1, ticket: 1 });
    return {
      ...{ kind: 'hold', secret: owner, token, value: `${owner}|${token}`, leaseRef: owner },
      ...{ resources: [resource], ttlMs: 5000, owner, card: '{}', seen: token, place },
    };
  }

  test('puts the place back in the very script that undoes it', async () => {
    const { world, b, lease } = await queued();
    const next = new Wait(b, { owner: 'next' });
    await world.pass(100);
    // One release through `b`, for the holder of `a`: its own first waiter asks along with it.
    world.fate = (_, __, op) => (op.kind === 'hold' ? 'later' : 'now');
    await b.release(lease);
    await quiet();
    expect(world.nodes[1]!.decide(rival('x')).kind).toBe('held');
    expect(world.nodes[2]!.decide(rival('y')).kind).toBe('held');
    for (const message of [...world.inFlight]) await world.deliver(message);
    expect([world.view(0)?.holder?.owner, world.line(0)]).toEqual(['first', ['next']]);
    world.fate = (_, node) => (node === 0 ? 'later' : 'now');
    const before = b.sent.length;
    for (const message of [...world.inFlight]) await world.deliver(message);
    expect(kindsSince(b, before)[0]).toEqual(['release', 'join']);
    const scripts = new Set(world.inFlight.map(({ script }) => script));
    expect([scripts.size, world.inFlight.length]).toEqual([1, 2]);
    world.fate = () => 'now';
    await world.deliverAll();
    expect([world.view(0)?.holder, lines(world)]).toEqual([undefined, everywhere('first', 'next')]);
    expect(next.kind).toBe('waits');
  });
});
