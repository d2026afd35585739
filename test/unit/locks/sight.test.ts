/** What a look tells who waits: held against what the node itself would answer, in every small situation. */
import { describe, expect, test } from 'vitest';
import type { Mode } from '../../../src/domain/lease.ts';
import { majorityEndsMs, obtainableAt, preference } from '../../../src/locks/sight.ts';
import type { MemoryNode } from '../../../src/nodes/memory-node.ts';
import type { HoldOp, Place } from '../../../src/nodes/node.ts';
import { placed, START, World } from './world.ts';

const MODES = ['exclusive', 'shared'] as const;
const LINE_SHOWN = 8;

function holdOf(owner: string, token: bigint, mode: Mode, place?: Place): HoldOp {
  return {
    kind: 'hold',
    secret: owner,
    token,
    value: `${owner}|${token}`,
    leaseRef: owner,
    resources: ['r'],
    ttlMs: 10_000,
    owner,
    card: '{}',
    seen: 0n,
    ...(mode === 'shared' ? { mode } : {}),
    ...(place === undefined ? {} : { place }),
  };
}

/** Who holds, who stands at orders 1 and 2, and whether the second of these is dead by now. */
interface Scene {
  readonly holders: readonly Mode[];
  readonly line: readonly Mode[];
  readonly dead: boolean;
}

const scenes: readonly Scene[] = [[], ['exclusive'], ['shared'], ['shared', 'shared']].flatMap((holders) =>
  [[], ...MODES.map((one) => [one]), ...MODES.flatMap((one) => MODES.map((two) => [one, two]))].flatMap(
    (line) => [false, true].map((dead) => ({ holders, line, dead }) as Scene),
  ),
);

/** Somebody without a place, and one whose place is before, between or after those in line, or is one of theirs. */
const askers: readonly Partial<Pick<Place, 'id' | 'order'>>[] = [
  {},
  ...[0, 1, 1.5, 2, 3].map((order) => ({ id: 'me', order })),
  { id: 'w1', order: 1 },
  { id: 'w2', order: 2 },
  // The same order: the id decides.
  { id: 'A', order: 1 },
  { id: 'zz', order: 2 },
];

async function nodeWith({ holders, line, dead }: Scene): Promise<{ node: MemoryNode; world: World }> {
  const world = await World.of(1);
  const [node] = world.nodes;
  for (const [at, mode] of holders.entries()) {
    expect(node!.decide(holdOf(`h${at}`, BigInt(START + at), mode)).kind).toBe('held');
  }
  for (const [at, mode] of line.entries()) {
    const short = dead && at === 1;
    const place = placed({ id: `w${at + 1}`, order: at + 1, ticket: at + 1, mode, owner: `w${at + 1}` });
    node!.decide({ kind: 'join', place: { ...place, livenessMs: short ? 10 : 6000 } });
  }
  await world.advance(100);
  return { node: node!, world };
}

describe('obtainableAt', () => {
  test('says yes exactly where the node would vote for, whatever is held, waits and is asked', async () => {
    let asked = 0;
    for (const scene of scenes) {
      for (const asker of askers) {
        for (const mode of MODES) {
          const { node, world } = await nodeWith(scene);
          const known = Number(asker.id?.slice(1)) - 1;
          // A waiter that is in line already stands there in its own mode.
          if (asker.id?.startsWith('w') === true && scene.line[known] !== mode) continue;
          const { id, order } = asker;
          const place =
            id === undefined || order === undefined ? undefined : placed({ id, order, ticket: order, mode });
          const says = obtainableAt(world.view(0) === null ? null : viewOf(node), { mode, ...asker });
          const answer = node.decide(holdOf('me', BigInt(START + 100_000), mode, place));
          expect(says, JSON.stringify({ scene, asker, mode, answer: answer.kind })).toBe(
            answer.kind === 'held',
          );
          asked += 1;
        }
      }
    }
    expect(asked).toBeGreaterThan(900);
  });

  test('says yes of a resource that the node does not know', () => {
    for (const mode of MODES) expect(obtainableAt(null, { mode })).toBe(true);
  });
});

function viewOf(node: MemoryNode) {
  const answer = node.decide({ kind: 'look', resource: 'r', history: 0, line: LINE_SHOWN });
  if (answer.kind !== 'seen') throw new Error(answer.kind);
  return answer.view;
}

describe('majorityEndsMs', () => {
  const ENDS = [0, 3, 3, 10, 60_000];

  test('is the first moment at which so many of those that were shown are over', () => {
    for (let chosen = 0; chosen < 2 ** ENDS.length; chosen += 1) {
      const ends = ENDS.filter((_, at) => (chosen & (2 ** at)) !== 0).reverse();
      for (const majority of [1, 2, 3]) {
        const at = majorityEndsMs(ends, majority);
        const over = (ms: number): number => ends.filter((end) => end <= ms).length;
        if (ends.length < majority) expect(at).toBe(Number.POSITIVE_INFINITY);
        else expect([over(at) >= majority, over(at - 0.5) < majority]).toEqual([true, true]);
      }
    }
  });

  test('leaves its list as it was', () => {
    const ends = [5, 1, 3];
    majorityEndsMs(ends, 2);
    expect(ends).toEqual([5, 1, 3]);
  });
});

describe('preference', () => {
  const NAMES = Array.from({ length: 8 }, (_, at) => `gpu-${at}`);
  const ASKERS = Array.from({ length: 400 }, (_, at) => `worker-${at}`);

  test('is a permutation, the same at every replica and for every order of the names', () => {
    for (const asker of ASKERS.slice(0, 50)) {
      const liked = preference(asker, NAMES);
      expect([...liked].sort()).toEqual([...NAMES].sort());
      expect(preference(asker, [...NAMES].reverse())).toEqual(liked);
    }
  });

  test('spreads: each name is the first choice of about as many, and so is the second', () => {
    const share = ASKERS.length / NAMES.length;
    for (const at of [0, 1]) {
      const chosen = Map.groupBy(ASKERS, (asker) => preference(asker, NAMES)[at]!);
      const counts = NAMES.map((name) => chosen.get(name)?.length ?? 0);
      expect(Math.min(...counts), `choice ${at}: ${counts}`).toBeGreaterThan(share / 3);
      expect(Math.max(...counts), `choice ${at}: ${counts}`).toBeLessThan(share * 3);
    }
  });

  test('spreads again those who meet at one name: they do not all go on to the same other one', () => {
    const chosen = Map.groupBy(ASKERS, (asker) => preference(asker, NAMES)[0]!);
    for (const [name, askers] of chosen) {
      const seconds = new Set(askers.map((asker) => preference(asker, NAMES)[1]!));
      expect([name, seconds.size > NAMES.length / 2]).toEqual([name, true]);
    }
  });
});
