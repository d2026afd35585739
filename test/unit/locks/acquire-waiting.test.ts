/** Waiting over three memory nodes: how one who waits comes to stand in line, and how it learns that it may go. */
import { describe, expect, test } from 'vitest';
import type { NodeOp } from '../../../src/nodes/node.ts';
import { leaseOf, quiet, type Replica, Wait, World } from './world.ts';

const ALL = [0, 1, 2];

/** What each node was sent by a replica since its `from`th message. */
function kindsSince(replica: Replica, from: number): NodeOp['kind'][][] {
  const later = replica.sent.slice(from);
  return ALL.map((at) => later.filter(({ node }) => node === at).map(({ op }) => op.kind));
}

const lines = (world: World): string[][] => ALL.map((node) => world.line(node));
const everywhere = (...owners: string[]): string[][] => ALL.map(() => owners);

/** `a` holds `r`, for ten seconds if nothing else is said. */
async function held(ttlMs = 10_000) {
  const world = await World.of();
  const [a, b, c] = [world.replica('a'), world.replica('b'), world.replica('c')];
  const lease = leaseOf(await a.acquire({ ttlMs, owner: 'holder' }));
  return { world, a, b, c, lease };
}

describe('who need not wait', () => {
  test('asks each node once, and nothing else', async () => {
    const world = await World.of();
    const replica = world.replica('a');
    const wait = new Wait(replica);
    await quiet();
    expect(wait.kind).toBe('lease');
    expect(kindsSince(replica, 0)).toEqual([['hold'], ['hold'], ['hold']]);
    await world.pass(5000, 100);
    expect(kindsSince(replica, 0)).toEqual([['hold'], ['hold'], ['hold']]);
    expect(lines(world)).toEqual(everywhere());
  });

  test('takes any of several that is free without standing in line for the others', async () => {
    const { world, b } = await held();
    const wait = new Wait(b, { resources: ['r', 'q', 's'], any: 2 });
    await quiet();
    expect(leaseOf(wait.answer!)).toMatchObject({ resources: expect.arrayContaining(['q', 's']) });
    expect(lines(world)).toEqual(everywhere());
  });

  test('is told at once when no majority answers its first attempt, whether others wait there or not', async () => {
    for (const others of [0, 1]) {
      const { world, b } = await held();
      const earlier = Array.from({ length: others }, () => new Wait(b, { owner: 'reader', mode: 'shared' }));
      await quiet();
      world.fate = (_, node) => (node === 0 ? 'now' : 'lost');
      const wait = new Wait(b, { owner: 'late', mode: 'shared' });
      await world.pass(500);
      expect(wait.answer, `${others} others`).toMatchObject({ reason: 'NO_QUORUM' });
      expect(earlier.map(({ kind }) => kind)).toEqual(earlier.map(() => 'waits'));
    }
  });
});

describe('who must wait', () => {
  test('stands in line at every node after its first attempt was refused', async () => {
    const { world, b, c } = await held();
    const waits = [new Wait(b, { owner: 'one' })];
    await quiet();
    expect(lines(world)).toEqual(everywhere('one'));
    await world.advance(1);
    waits.push(new Wait(c, { owner: 'two' }));
    await quiet();
    expect(lines(world)).toEqual(everywhere('one', 'two'));
    expect(waits.map(({ kind }) => kind)).toEqual(['waits', 'waits']);
    expect(world.holders()).toEqual(world.holders().fill(world.holders()[0]!));
  });

  test('stands there with its ticket less the head start of its priority', async () => {
    const { world, b, c } = await held();
    const waits = [new Wait(b, { owner: 'usual' })];
    await world.advance(4000);
    waits.push(new Wait(c, { owner: 'urgent', priority: 1 }));
    await world.advance(2000);
    waits.push(new Wait(world.replica('d'), { owner: 'too late', priority: 1 }));
    await quiet();
    expect(lines(world)).toEqual(everywhere('urgent', 'usual', 'too late'));
    expect(waits.map(({ kind }) => kind)).toEqual(['waits', 'waits', 'waits']);
  });

  test('stays alive in line for as long as its replica reaches the nodes', async () => {
    const { world, b, lease } = await held(60_000);
    const wait = new Wait(b, { owner: 'patient' });
    await world.pass(20_000, 50);
    expect(lines(world)).toEqual(everywhere('patient'));
    await world.replica('a').release(lease);
    await quiet();
    expect(wait.kind).toBe('lease');
  });
});

describe('a turn comes', () => {
  test('with a release through the same replica: the hold follows it before anything is delivered', async () => {
    const { world, a, lease } = await held();
    const wait = new Wait(a, { owner: 'next' });
    await quiet();
    const before = a.sent.length;
    world.fate = () => 'later';
    const released = a.release(lease);
    await quiet();
    expect(kindsSince(a, before)).toEqual(ALL.map(() => ['release', 'hold']));
    expect(new Set(world.inFlight.map(({ script }) => script)).size).toBe(1);
    await world.deliverAll();
    expect(await released).toEqual({ kind: 'released', released: true });
    expect(leaseOf(wait.answer!).token).toBeGreaterThan(lease.token);
    expect(lines(world)).toEqual(everywhere());
  });

  test('with a release through another replica by the wake, without any time passing', async () => {
    const { world, a, b, c, lease } = await held();
    const waits = [new Wait(b, { owner: 'one' })];
    await world.advance(1);
    waits.push(new Wait(c, { owner: 'two' }));
    await quiet();
    await a.release(lease);
    await quiet();
    expect(waits.map(({ kind }) => kind)).toEqual(['lease', 'waits']);
    await b.release(leaseOf(waits[0]!.answer!));
    await quiet();
    expect(waits.map(({ kind }) => kind)).toEqual(['lease', 'lease']);
  });

  test('with the end of a lease that nobody lets go, though every wake is lost', async () => {
    const { world, b } = await held(3300);
    world.wakes = false;
    const wait = new Wait(b, { owner: 'next' });
    await world.pass(3290, 5);
    expect(wait.kind).toBe('waits');
    await world.pass(20, 5);
    expect(wait.kind).toBe('lease');
  });

  test('within a second of a release whose wakes are lost', async () => {
    const { world, a, b, lease } = await held();
    world.wakes = false;
    const wait = new Wait(b, { owner: 'next' });
    await world.pass(300);
    await a.release(lease);
    await world.pass(1000);
    expect(wait.kind).toBe('lease');
  });

  test('within a second of it also while others keep coming to the same line', async () => {
    const { world, a, b, lease } = await held(60_000);
    world.wakes = false;
    const wait = new Wait(b, { owner: 'next' });
    await world.pass(300);
    await a.release(lease);
    for (let came = 0; came < 3; came += 1) {
      await world.pass(400);
      new Wait(b, { owner: `reader ${came}`, mode: 'shared' });
    }
    await quiet();
    expect(wait.kind).toBe('lease');
  });

  test('of a gang when the last of its resources comes free, and it leaves no line behind', async () => {
    const { world, a, b, lease } = await held();
    const other = leaseOf(await a.acquire({ owner: 'other', resources: ['q'] }));
    const gang = new Wait(b, { owner: 'gang', resources: ['r', 'q'] });
    await quiet();
    await a.release(lease);
    await world.pass(1500);
    expect(gang.kind).toBe('waits');
    await a.release(other);
    await quiet();
    expect(leaseOf(gang.answer!).resources).toEqual(['r', 'q']);
    expect([world.line(0, 'r'), world.line(0, 'q')]).toEqual([[], []]);
  });

  test('of one who wants any when one of them comes free, and it leaves the lines of the others', async () => {
    const { world, a, b, lease } = await held();
    leaseOf(await a.acquire({ owner: 'other', resources: ['q'] }));
    const either = new Wait(b, { owner: 'either', resources: ['r', 'q'], any: 1 });
    await quiet();
    expect([world.line(0, 'r'), world.line(0, 'q')]).toEqual([['either'], ['either']]);
    await a.release(lease);
    await quiet();
    expect(leaseOf(either.answer!).resources).toEqual(['r']);
    expect(ALL.map((node) => world.line(node, 'q'))).toEqual(everywhere());
  });

  test('of shared ones together, of whichever replica they are', async () => {
    const { world, a, b, c, lease } = await held();
    const readers = [b, b, c].map((at, n) => new Wait(at, { owner: `reader ${n}`, mode: 'shared' }));
    await quiet();
    await world.advance(1);
    const writer = new Wait(b, { owner: 'writer' });
    await quiet();
    await a.release(lease);
    await world.pass(1100);
    expect(readers.map(({ kind }) => kind)).toEqual(['lease', 'lease', 'lease']);
    expect(writer.kind).toBe('waits');
    await Promise.all(readers.map(({ answer }) => b.release(leaseOf(answer!))));
    await world.pass(1100);
    expect(writer.kind).toBe('lease');
  });
});
