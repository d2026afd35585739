/** How a wait ends without a lease, and that it leaves nothing behind: elapsed, gone, crowded, draining. */
import { describe, expect, test } from 'vitest';
import type { NodeOp } from '../../../src/nodes/node.ts';
import { Leaver, usualWaiting } from '../../harness/asking.ts';
import { type Fate, leaseOf, placed, quiet, Wait, World } from './world.ts';

const ALL = [0, 1, 2];
const everywhere = (...owners: string[]): string[][] => ALL.map(() => owners);
const lines = (world: World): string[][] => ALL.map((node) => world.line(node));

/** One kind of message has a fate of its own. */
const only =
  (kind: NodeOp['kind'], fate: Fate) =>
  (_replica: string, _node: number, op: NodeOp): Fate =>
    op.kind === kind ? fate : 'now';

/** `a` holds `r`. */
async function held() {
  const world = await World.of();
  const [a, b, c] = [world.replica('a'), world.replica('b'), world.replica('c')];
  const lease = leaseOf(await a.acquire({ owner: 'holder' }));
  return { world, a, b, c, lease };
}

describe('elapsed', () => {
  test('answers Busy with who holds it, how long the line is and where it stood, and leaves', async () => {
    const { world, b, c, lease } = await held();
    const first = new Wait(b, { owner: 'first' });
    await world.advance(1);
    const second = new Wait(c, { owner: 'second', waitMs: 500 });
    await world.pass(490);
    expect(second.kind).toBe('waits');
    await world.pass(20);
    expect(second.answer).toMatchObject({
      kind: 'busy',
      waitElapsed: true,
      holders: [{ owner: 'holder', leaseRef: lease.leaseRef }],
      queueLength: 2,
      position: 2,
    });
    expect(lines(world)).toEqual(everywhere('first'));
    expect(first.kind).toBe('waits');
  });

  test('tells its position also to who hid behind another one of its replica until then', async () => {
    const { world, b } = await held();
    new Wait(b, { owner: 'first' });
    await world.advance(1);
    const second = new Wait(b, { owner: 'second', waitMs: 20 });
    await world.pass(40, 5);
    expect(second.answer).toMatchObject({ kind: 'busy', waitElapsed: true, queueLength: 2, position: 2 });
    expect(lines(world)).toEqual(everywhere('first'));
  });

  test('while its vote is out lets a grant that races with it stand', async () => {
    const { world, a, b, lease } = await held();
    const wait = new Wait(b, { owner: 'next', waitMs: 500 });
    await world.pass(450);
    world.fate = only('hold', 'later');
    await a.release(lease);
    await world.pass(100);
    expect(wait.kind).toBe('waits');
    await world.deliverAll();
    expect(world.holders()).toEqual(ALL.map(() => leaseOf(wait.answer!).leaseRef));
  });

  test('while its vote is out, and the vote refused, answers Busy and leaves', async () => {
    const { world, a, b, lease } = await held();
    const wait = new Wait(b, { owner: 'next', waitMs: 500 });
    await world.pass(450);
    world.fate = (replica, _, op) => (replica === 'b' && op.kind === 'hold' ? 'later' : 'now');
    await a.release(lease);
    await world.pass(100);
    const rival = placed({ id: 'rival', owner: 'rival', order: 0 });
    for (const node of world.nodes) node.decide({ kind: 'join', place: rival });
    for (const message of [...world.inFlight]) await world.deliver(message);
    await world.deliverAll();
    expect(wait.answer).toMatchObject({ kind: 'busy', waitElapsed: true, position: 2 });
    expect(lines(world)).toEqual(everywhere('rival'));
  });

  test('without a majority is NO_QUORUM', async () => {
    const { world, b } = await held();
    const wait = new Wait(b, { owner: 'next', waitMs: 500 });
    await quiet();
    world.fate = (_, node) => (node === 0 ? 'now' : 'lost');
    await world.pass(510);
    expect(wait.answer).toMatchObject({ reason: 'NO_QUORUM' });
  });
});

describe('gone', () => {
  test('leaves the lines of all that it wanted', async () => {
    const { world, b } = await held();
    const guest = new Leaver();
    const wait = new Wait(b, { owner: 'fickle', resources: ['r', 'q'] }, guest);
    await quiet();
    expect([world.line(1, 'r'), world.line(1, 'q')]).toEqual([['fickle'], ['fickle']]);
    guest.go();
    await quiet();
    expect([world.line(1, 'r'), world.line(1, 'q')]).toEqual([[], []]);
    expect(wait.kind).toBe('refusal');
    expect(b.count('leave')).toEqual([1, 1, 1]);
  });

  test('while its vote is out gives the grant that raced with it back', async () => {
    const { world, a, b, lease } = await held();
    const guest = new Leaver();
    const wait = new Wait(b, { owner: 'fickle' }, guest);
    const next = new Wait(world.replica('c'), { owner: 'next' });
    await quiet();
    world.fate = only('hold', 'later');
    await a.release(lease);
    await quiet();
    for (const message of [...world.inFlight]) await world.deliver(message);
    expect(world.holders()).not.toContain('');
    guest.go();
    await world.deliverAll();
    expect(wait.kind).toBe('refusal');
    await world.finish(Promise.resolve());
    await world.deliverAll();
    expect(world.holders()).toEqual(ALL.map(() => leaseOf(next.answer!).leaseRef));
    expect(lines(world)).toEqual(everywhere());
  });

  test('of a request that was repeated at the same replica leaves the repeat its place', async () => {
    const { world, b, c } = await held();
    const guest = new Leaver();
    new Wait(b, { owner: 'again', requestId: 'same' }, guest);
    await world.advance(1);
    const repeat = new Wait(b, { owner: 'again', requestId: 'same' });
    const later = new Wait(c, { owner: 'later' });
    await world.pass(100);
    guest.go();
    await quiet();
    expect([repeat.kind, later.kind]).toEqual(['waits', 'waits']);
    expect(lines(world)).toEqual(everywhere('again', 'later'));
  });
});

describe('crowded', () => {
  async function small(settings: Partial<typeof usualWaiting>) {
    const world = await World.of();
    world.waiting = { ...usualWaiting, ...settings };
    leaseOf(await world.replica('a').acquire({ owner: 'holder', ttlMs: 60_000 }));
    return { world, b: world.replica('b'), c: world.replica('c') };
  }

  test('is who finds the line of a resource full, and it leaves no place behind', async () => {
    const { world, b, c } = await small({ maxWaitersPerResource: 2 });
    const waits = [new Wait(b, { owner: 'one' }), new Wait(c, { owner: 'two' })];
    await quiet();
    const third = new Wait(world.replica('d'), { owner: 'three' });
    await quiet();
    expect(third.answer).toMatchObject({
      reason: 'TOO_MANY_WAITERS',
      metadata: { limit: '2', scope: 'resource' },
    });
    expect(lines(world)).toEqual(everywhere('one', 'two'));
    expect(waits.map(({ kind }) => kind)).toEqual(['waits', 'waits']);
  });

  test.each(['exclusive', 'shared'] as const)(
    'at one node alone leaves no place at the others: %s, behind a shared one of its replica',
    async (mode) => {
      const { world, b } = await small({ maxWaitersPerResource: 2 });
      new Wait(b, { owner: 'one', mode: 'shared' });
      await quiet();
      const ghost = placed({ id: 'ghost', owner: 'ghost', livenessMs: 60_000 });
      world.nodes[0]!.decide({ kind: 'join', place: ghost });
      const second = new Wait(b, { owner: 'two', mode });
      await quiet();
      expect(second.answer).toMatchObject({ reason: 'TOO_MANY_WAITERS' });
      expect(lines(world).map((line) => line.includes('two'))).toEqual([false, false, false]);
    },
  );

  test('is who comes to a replica at which as many wait as may', async () => {
    const { world, b, c } = await small({ maxWaiters: 1 });
    new Wait(b, { owner: 'one', resources: ['q', 'r'] });
    await quiet();
    const second = new Wait(b, { owner: 'two' });
    const elsewhere = new Wait(c, { owner: 'elsewhere' });
    await quiet();
    expect(second.answer).toMatchObject({
      reason: 'TOO_MANY_WAITERS',
      metadata: { limit: '1', scope: 'replica' },
    });
    expect([elsewhere.kind, lines(world)]).toEqual(['waits', everywhere('one', 'elsewhere')]);
  });
});

describe('a drain', () => {
  test('answers everybody who waits, and whoever comes after and would have to', async () => {
    const { world, b } = await held();
    const waits = ['one', 'two'].map((owner) => new Wait(b, { owner }));
    await quiet();
    b.locks.drain();
    await quiet();
    waits.push(new Wait(b, { owner: 'late' }));
    await quiet();
    for (const { answer } of waits) expect(answer).toMatchObject({ reason: 'DRAINING' });
    expect(lines(world)).toEqual(everywhere());
  });

  test('keeps the place of a request that can be repeated, and its repeat finds it elsewhere', async () => {
    const { world, a, b, c, lease } = await held();
    new Wait(b, { owner: 'again', requestId: 'same' });
    await world.advance(1);
    const later = new Wait(c, { owner: 'later' });
    await world.pass(1000);
    b.locks.drain();
    await quiet();
    expect(lines(world)).toEqual(everywhere('again', 'later'));
    const repeat = new Wait(c, { owner: 'again', requestId: 'same' });
    await world.pass(60);
    expect(lines(world)).toEqual(everywhere('again', 'later'));
    await a.release(lease);
    await quiet();
    expect([repeat.kind, later.kind]).toEqual(['lease', 'waits']);
  });

  test('keeps the place also of a request that hid behind another one until then', async () => {
    const { world, b, c } = await held();
    new Wait(b, { owner: 'first' });
    await world.advance(1);
    new Wait(b, { owner: 'again', requestId: 'same' });
    await world.advance(1);
    new Wait(c, { owner: 'later' });
    await world.advance(1);
    b.locks.drain();
    await world.pass(100);
    new Wait(c, { owner: 'again', requestId: 'same' });
    await world.pass(100);
    expect(lines(world)).toEqual(everywhere('again', 'later'));
  });
});

describe('a vote of its own that was executed unheard', () => {
  test('is no deadlock with itself: who waits is served once the undo arrives', async () => {
    const { world, a, b, lease } = await held();
    const wait = new Wait(b, { owner: 'next' });
    await quiet();
    const fates: Partial<Record<NodeOp['kind'], Fate>> = { hold: 'unheard', release: 'lost' };
    world.fate = (replica, _, op) => (replica === 'b' ? (fates[op.kind] ?? 'now') : 'now');
    await a.release(lease);
    await world.pass(2500);
    expect(ALL.map((node) => world.view(node)?.holder?.owner)).toEqual(ALL.map(() => 'next'));
    expect([wait.kind, wait.answer]).toEqual(['waits', undefined]);
    world.fate = () => 'now';
    await world.pass(4000);
    expect(wait.kind).toBe('lease');
  });
});
