/** What is found and mended over memory nodes where replicas fell silent in the middle: of one, of several and of shared resources. */
import { describe, expect, test } from 'vitest';
import type { Mode } from '../../../src/domain/lease.ts';
import { type Mend, makeMend, type Sight } from '../../../src/locks/mend.ts';
import type { NodeOp } from '../../../src/nodes/node.ts';
import { leaseOf, quiet, TTL_MS, World } from './world.ts';

const AGE_MS = 1000;

async function scene(size = 3): Promise<{ world: World; mend: Mend }> {
  const world = await World.of(size);
  return { world, mend: makeMend({ quorum: world.replica('j').quorum, minAgeMs: AGE_MS }) };
}

/** Replica `a` reaches these nodes only, and none of what it would take back reaches any: as if it were killed there. */
function dies(world: World, ...reached: readonly number[]): void {
  world.fate = (replica, node, op) => {
    if (replica !== 'a') return 'now';
    return op.kind === 'hold' && reached.includes(node) ? 'now' : 'lost';
  };
}

async function seen(mend: Mend, resource = 'r'): Promise<Sight> {
  const sight = await mend.look(resource, true);
  if (sight.kind === 'refusal') throw new Error(sight.message);
  return sight;
}

const kinds = ({ remains }: Sight): string[] =>
  remains.map(({ finding: { kind, node, resource } }) => `${kind} ${node} ${resource}`);

async function mended(world: World, mend: Mend, resource = 'r'): Promise<boolean[]> {
  const sight = await seen(mend, resource);
  return (await world.finish(mend.mend(sight))).map((finding) => finding.mended);
}

/** A vote of `a` that stands at these nodes, and that nobody takes back. */
async function halfAVote(world: World, at: readonly number[], resources = ['r'], mode: Mode = 'exclusive') {
  dies(world, ...at);
  const answer = world.finish(world.replica('a').acquire({ resources, mode, ttlMs: 60_000 }));
  expect((await answer).kind).toBe('refusal');
}

describe('half a vote', () => {
  test('is found once it is old enough, and is gone for good', async () => {
    const { world, mend } = await scene();
    await halfAVote(world, [1]);
    expect(kinds(await seen(mend))).toEqual([]);
    await world.advance(AGE_MS);
    expect(kinds(await seen(mend))).toEqual(['undone_vote n1 r']);
    expect(await mended(world, mend)).toEqual([true]);
    expect(world.holders()).toEqual(['', '', '']);
    expect(kinds(await seen(mend))).toEqual([]);
    expect(leaseOf(await world.replica('b').acquire()).owner).toBe('b');
  });

  test('for several resources goes as a whole, wherever it was found', async () => {
    const { world, mend } = await scene();
    await halfAVote(world, [0], ['r', 's']);
    await world.advance(AGE_MS);
    const [one, two] = [await seen(mend), await seen(mend, 's')];
    expect([...kinds(one), ...kinds(two)]).toEqual(['undone_vote n0 r', 'undone_vote n0 s']);
    // Both looks were made before either is acted on.
    const all = await world.finish(Promise.all([mend.mend(one), mend.mend(two)]));
    expect(all.flat().map((finding) => finding.mended)).toEqual([true, true]);
    expect([world.holders('r'), world.holders('s')].flat().join('')).toBe('');
  });

  test('at two of five nodes goes from both', async () => {
    const { world, mend } = await scene(5);
    await halfAVote(world, [1, 4]);
    await world.advance(AGE_MS);
    expect(await mended(world, mend)).toEqual([true, true]);
    expect(world.holders().join('')).toBe('');
  });

  test('is left where too few nodes can be barred', async () => {
    const { world, mend } = await scene();
    await halfAVote(world, [1]);
    await world.advance(AGE_MS);
    const sight = await seen(mend);
    world.fate = (_, node, op) => (op.kind === 'bar' && node === 2 ? 'lost' : 'now');
    expect((await world.finish(mend.mend(sight))).map((finding) => finding.mended)).toEqual([false]);
    expect(world.holders().filter((held) => held !== '').length).toBe(1);
  });

  test.each([
    { awayMs: 50_000, mended: true },
    { awayMs: 60_000, mended: false },
  ])(
    'is mended: $mended, by a mender whose machine slept $awayMs ms among the bars',
    async ({ awayMs, mended }) => {
      const { world, mend } = await scene();
      await halfAVote(world, [1]);
      await world.advance(AGE_MS);
      const sight = await seen(mend);
      world.fate = (_, node, op) => (op.kind === 'bar' && node === 2 ? 'later' : 'now');
      const done = mend.mend(sight);
      await quiet();
      expect(world.view(0)?.fence?.state).toBe('undone');
      // While it sleeps n0 may forget that it was barred, and vote again before n2 hears of it.
      world.replica('j').clock.stepWall(awayMs * 1000);
      expect((await world.finish(done)).map((finding) => finding.mended)).toEqual([mended]);
      expect(world.view(2)?.fence?.state).toBe('undone');
      expect(world.holders().filter((held) => held !== '').length).toBe(mended ? 0 : 1);
    },
  );

  test('of several resources is left where somebody older holds another of them', async () => {
    const { world, mend } = await scene();
    world.fate = (_, node, op) => (op.kind === 'hold' && node === 0 ? 'lost' : 'now');
    const older = leaseOf(
      await world.finish(world.replica('b').acquire({ resources: ['s'], ttlMs: 60_000 })),
    );
    await world.advance(10);
    await halfAVote(world, [0], ['r', 's']);
    await world.advance(AGE_MS);
    expect(await mended(world, mend)).toEqual([false]);
    expect(world.holders('s').slice(1)).toEqual([older.leaseRef, older.leaseRef]);
    for (const node of [1, 2]) expect(world.view(node, 's')?.fence?.state).toBe('open');
  });
});

describe('a lease', () => {
  test('whose other node has forgotten it is left alone, and can be repaired', async () => {
    const { world, mend } = await scene();
    world.fate = (_, node, op) => (op.kind === 'hold' && node === 2 ? 'lost' : 'now');
    const lease = leaseOf(await world.finish(world.replica('a').acquire({ ttlMs: 60_000 })));
    await world.advance(AGE_MS);
    world.fate = () => 'now';
    // n1 has forgotten everything: what it held counts as if it held it still.
    world.nodes[1]!.restart('lost');
    expect(kinds(await seen(mend))).toEqual([]);
    expect((await world.finish(world.replica('b').heartbeat(lease))).kind).toBe('lease');
    for (const node of [0, 2]) expect(world.view(node)?.holder?.leaseRef).toBe(lease.leaseRef);
  });

  test('of readers: what one of them left goes, the others stay, and can still be repaired', async () => {
    const { world, mend } = await scene();
    await halfAVote(world, [0], ['r'], 'shared');
    await world.advance(10);
    const ask = { mode: 'shared', ttlMs: 60_000 } as const;
    const reader = leaseOf(await world.finish(world.replica('b').acquire(ask)));
    await world.advance(AGE_MS);
    expect(await mended(world, mend)).toEqual([true]);
    for (const node of world.nodes.keys()) {
      expect(world.view(node)?.readers?.map(({ leaseRef }) => leaseRef)).toEqual([reader.leaseRef]);
    }
    expect((await world.finish(world.replica('b').heartbeat(reader))).kind).toBe('lease');
  });

  test('released at most nodes is released at the last one, and told so', async () => {
    const { world, mend } = await scene();
    const lease = leaseOf(await world.finish(world.replica('a').acquire({ ttlMs: TTL_MS })));
    await world.advance(AGE_MS);
    const dead = (op: NodeOp): boolean => op.kind === 'release';
    world.fate = (replica, node, op) => (replica === 'a' && node === 2 && dead(op) ? 'lost' : 'now');
    await world.finish(world.replica('a').release(lease));
    expect(kinds(await seen(mend))).toEqual(['undone_vote n2 r']);
    expect(await mended(world, mend)).toEqual([true]);
    expect(world.view(2)?.history.map(({ type }) => type)).toEqual(['released', 'held']);
  });
});
