/** The walk along who waits for whom over memory nodes: what it claims, what it asks, and when it keeps quiet. */
import { describe, expect, test } from 'vitest';
import { findCycle, type Tangle } from '../../../src/locks/tangle.ts';
import type { Place } from '../../../src/nodes/line.ts';
import type { Answer, HoldOp, NodeOp } from '../../../src/nodes/node.ts';
import { quiet, type Replica, START, World } from './world.ts';

const EVERYWHERE = [0, 1, 2];

function placeOf(owner: string, resources: string, ticket: number, more: Partial<Place> = {}): Place {
  return {
    id: `of ${owner}`,
    ticket,
    order: ticket,
    priority: 0,
    replica: 'r',
    owner,
    mode: 'exclusive',
    any: 0,
    resources: resources.split(' '),
    livenessMs: 30_000,
    most: 1000,
    ...more,
  };
}

/** Memory nodes on which a test puts holders and waiters, node by node, and a replica that walks over them. */
class Scene {
  readonly world: World;
  readonly replica: Replica;
  #token = START;

  constructor(world: World) {
    this.world = world;
    this.replica = world.replica('r');
  }

  put(op: NodeOp, expected: Answer['kind'], nodes: readonly number[] = EVERYWHERE): void {
    for (const node of nodes) expect(this.world.nodes[node]!.decide(op).kind).toBe(expected);
  }

  holds(owner: string, resources: string, nodes = EVERYWHERE, more: Partial<HoldOp> = {}): HoldOp {
    this.#token += 1;
    const token = BigInt(this.#token);
    const value = `${owner} of ${resources}|${token}`;
    const op: HoldOp = {
      kind: 'hold',
      secret: `${owner} of ${resources}`,
      token,
      value,
      leaseRef: `ref ${token}`,
      resources: resources.split(' '),
      ttlMs: 10_000,
      owner,
      card: '{"t":10000}',
      seen: 0n,
      ...more,
    };
    this.put(op, 'held', nodes);
    return op;
  }

  waits(place: Place, nodes = EVERYWHERE): Place {
    this.put({ kind: 'join', place }, 'queued', nodes);
    return place;
  }

  letsGo({ secret, token, value, resources }: HoldOp): void {
    const end = { why: 'released', reason: '', closing: false, seen: 0n } as const;
    this.put({ kind: 'release', secret, token, value, resources, ...end }, 'released');
  }

  walk(place: Place): Promise<Tangle | undefined> {
    return findCycle(this.replica.quorum, place);
  }

  /** Whether `place` gives way, and the cycle it is told. */
  async told(place: Place): Promise<string> {
    const tangle = await this.walk(place);
    if (tangle === undefined) return 'none';
    expect(tangle.refusal.reason).toBe('DEADLOCK');
    return `${tangle.victim ? 'victim' : 'stays'}: ${tangle.refusal.metadata.cycle}`;
  }

  /** What the first node was asked. */
  asked(): string[] {
    const ops = this.replica.sent.filter(({ node }) => node === 0).map(({ op }) => op);
    return ops.map((op) =>
      op.kind === 'look' ? `look ${op.resource}` : op.kind === 'waits' ? `waits ${op.owner}` : op.kind,
    );
  }

  /** `o1` holds `r1` and waits for `r2`, and so on; the last one, the youngest, waits for what the first one holds. */
  ring(size: number): Place {
    const owners = Array.from({ length: size }, (_, at) => at + 1);
    for (const at of owners) this.holds(`o${at}`, `r${at}`);
    const places = owners.map((at) => this.waits(placeOf(`o${at}`, `r${(at % size) + 1}`, at)));
    return places.at(-1)!;
  }
}

const scene = async (): Promise<Scene> => new Scene(await World.of(3));

describe('the walk', () => {
  test('finds a cycle of two from either side, and the youngest gives way', async () => {
    const it = await scene();
    it.holds('w1', 'a');
    it.holds('w2', 'b');
    const older = it.waits(placeOf('w1', 'b', 1));
    const younger = it.waits(placeOf('w2', 'a', 2));
    expect(await it.told(younger)).toBe('victim: w2 -> a -> w1 -> b -> w2');
    expect(await it.told(older)).toBe('stays: w2 -> a -> w1 -> b -> w2');
  });

  test('finds what its own owner holds by one look at each resource', async () => {
    const it = await scene();
    it.holds('w1', 'b');
    it.holds('w2', 'a');
    it.waits(placeOf('w2', 'b', 9));
    expect(await it.told(placeOf('w1', 'a b', 1))).toBe('victim: w1 -> b -> w1');
    expect(it.asked()).toEqual(['look a', 'look b']);
    expect(await it.told(placeOf('w1', 'a b', 1, { any: 2 }))).toBe('victim: w1 -> b -> w1');
    expect(await it.told(placeOf('w1', 'c b', 1, { any: 1 }))).toBe('none');
  });

  test('finds a cycle through a line, and through readers', async () => {
    const it = await scene();
    it.holds('o', 'a', EVERYWHERE, { mode: 'shared' });
    it.holds('other', 'a', EVERYWHERE, { mode: 'shared' });
    it.waits(placeOf('x', 'a b', 1));
    expect(await it.told(placeOf('o', 'b', 2, { mode: 'shared' }))).toBe('victim: o -> b -> x -> a -> o');
    expect(await it.told(placeOf('y', 'a', 3, { mode: 'shared' }))).toBe('none');
  });

  test("does not ask after holders that are in nobody's way", async () => {
    const it = await scene();
    it.holds('o', 'a', EVERYWHERE, { mode: 'shared' });
    expect(await it.told(placeOf('y', 'a', 3, { mode: 'shared' }))).toBe('none');
    expect(it.asked()).toEqual(['look a']);
  });

  test('counts a waiter that stands too far back for a look to show it', async () => {
    const it = await scene();
    it.holds('w1', 'a');
    it.holds('w2', 'b');
    for (let at = 0; at < 70; at += 1) it.waits(placeOf(`o${at}`, 'b', at));
    it.waits(placeOf('w1', 'b', 100));
    expect(await it.told(placeOf('w2', 'a', 200))).toBe('victim: w2 -> a -> w1 -> b -> w2');
  });

  test('claims none where somebody can still go on', async () => {
    const it = await scene();
    it.holds('w1', 'a');
    it.holds('w2', 'b');
    expect(await it.told(it.waits(placeOf('w1', 'b', 1)))).toBe('none');
    expect(await it.told(placeOf('w3', 'free', 1))).toBe('none');
    it.waits(placeOf('w2', 'a c', 2, { any: 1 }));
    expect(await it.told(placeOf('w1', 'b', 1))).toBe('none');
    expect(await it.told(placeOf('behind', 'b', 4))).toBe('none');
  });

  test('counts its own place though no node knows it, with the ticket of the nodes that do', async () => {
    const it = await scene();
    it.holds('w1', 'a');
    it.holds('w2', 'b');
    it.waits(placeOf('w1', 'b', 5));
    expect(await it.told(placeOf('w2', 'a', 4))).toBe('stays: w1 -> b -> w2 -> a -> w1');
    it.waits(placeOf('w2', 'a', 4), [2]);
    expect(await it.told(placeOf('w2', 'a', 6))).toBe('stays: w1 -> b -> w2 -> a -> w1');
  });

  test('asks all questions of a step in one tick', async () => {
    const it = await scene();
    it.holds('w1', 'a');
    it.holds('w2', 'b');
    it.holds('w3', 'c');
    const place = placeOf('w4', 'a b c', 9);
    it.waits(placeOf('w1', 'd e', 1));
    it.world.fate = () => 'later';
    const walk = it.walk(place);
    const steps: string[][] = [];
    while (it.world.inFlight.length > 0) {
      steps.push(it.asked().slice(steps.flat().length));
      for (const message of [...it.world.inFlight]) await it.world.deliver(message);
      for (const message of [...it.world.inFlight]) {
        if (message.answer !== undefined) await it.world.deliver(message);
      }
      await quiet();
    }
    expect(steps).toEqual([
      ['look a', 'look b', 'look c'],
      ['waits w1', 'waits w2', 'waits w3'],
      ['look d', 'look e'],
    ]);
    expect(await walk).toBeUndefined();
  });
});

describe('without a majority', () => {
  const two = async (holderAt: readonly number[], waiterAt: readonly number[]): Promise<Scene> => {
    const it = await scene();
    it.holds('w1', 'a', [...holderAt]);
    it.holds('w2', 'b');
    it.waits(placeOf('w1', 'b', 1), [...waiterAt]);
    return it;
  };
  const mine = placeOf('w2', 'a', 2);

  test('a holder, a waiter and a hold of its own count for nothing', async () => {
    expect(await (await two([0, 1], [1, 2])).told(mine)).toBe('victim: w2 -> a -> w1 -> b -> w2');
    expect(await (await two([0], EVERYWHERE)).told(mine)).toBe('none');
    expect(await (await two(EVERYWHERE, [2])).told(mine)).toBe('none');
    const it = await scene();
    it.holds('w2', 'a', [1]);
    expect(await it.told(mine)).toBe('none');
  });

  test('of answers none is claimed; with one silent node the others tell', async () => {
    const it = await two(EVERYWHERE, EVERYWHERE);
    it.world.fate = (_, node) => (node === 0 ? 'lost' : 'now');
    expect(await it.told(mine)).toBe('victim: w2 -> a -> w1 -> b -> w2');
    for (const kind of ['look', 'waits']) {
      it.world.fate = (_, node, op) => (node < 2 && op.kind === kind ? 'unheard' : 'now');
      expect(await it.told(mine)).toBe('none');
    }
    it.world.fate = (_, node, op) => (node < 2 && op.kind === 'look' && op.resource === 'c' ? 'lost' : 'now');
    expect(await it.told(placeOf('w2', 'a', 2))).toBe('victim: w2 -> a -> w1 -> b -> w2');
    expect(await it.told(placeOf('w2', 'a c', 2))).toBe('none');
  });
});

describe('what changes meanwhile', () => {
  test('is no deadlock when a hold of it is gone at the last look', async () => {
    for (const late of ['hold', 'wait'] as const) {
      const it = await scene();
      const held = it.holds('w1', 'a');
      it.holds('w2', 'b');
      it.waits(placeOf('w1', 'b', 1));
      let looks = 0;
      it.world.fate = (_, node, op) => {
        if (node !== 0 || op.kind !== 'look' || op.resource !== 'a') return 'now';
        looks += 1;
        if (looks === 2 && late === 'hold') it.letsGo(held);
        if (looks === 2 && late === 'wait') {
          it.put({ kind: 'leave', id: 'of w1', replica: 'r', mode: 'exclusive', resources: ['b'] }, 'left');
        }
        return 'now';
      };
      expect(await it.told(placeOf('w2', 'a', 2))).toBe('none');
      expect(looks).toBe(2);
    }
  });

  test('is no deadlock of who got one of several and still stands in line for the others', async () => {
    const it = await scene();
    it.holds('w2', 'b');
    const place = it.waits(placeOf('w1', 'a b', 1, { any: 1 }));
    it.waits(placeOf('w2', 'a', 2));
    const hold = it.holds('w1', 'a', EVERYWHERE, { place });
    expect(await it.told(placeOf('w2', 'a', 2))).toBe('none');
    it.waits({ ...place, any: 2 });
    expect(await it.told(placeOf('w2', 'a', 2))).toBe('stays: w1 -> a -> w1');
    it.letsGo(hold);
    expect(await it.told(placeOf('w2', 'a', 2))).toBe('victim: w2 -> a -> w1 -> b -> w2');
  });
});

describe('a big tangle', () => {
  test('is a deadlock up to 64 owners in a row, and none is claimed of more', async () => {
    const small = await scene();
    expect(await small.told(small.ring(64))).toMatch(/^victim: o64 -> r1 -> o1 -> .* -> r64 -> o64$/);
    const big = await scene();
    expect(await big.told(big.ring(66))).toBe('none');
  });

  test('is left alone with more than 64 owners, or 64 resources besides those of the place', async () => {
    const readers = async (many: number): Promise<string> => {
      const it = await scene();
      for (let at = 0; at < many; at += 1) it.holds(`o${at}`, 'a', EVERYWHERE, { mode: 'shared' });
      it.holds('w', 'b');
      it.waits(placeOf('o0', 'b', 1));
      return it.told(placeOf('w', 'a', 2));
    };
    expect(await readers(63)).toBe('victim: w -> a -> o0 -> b -> w');
    expect(await readers(65)).toBe('none');
    const wanted = async (many: number): Promise<string> => {
      const it = await scene();
      const names = Array.from({ length: many }, (_, at) => `r${at}`);
      it.holds('o', 'a');
      it.holds('w', 'r0');
      it.waits(placeOf('o', names.join(' '), 1));
      return it.told(placeOf('w', 'a', 2));
    };
    expect(await wanted(64)).toBe('victim: w -> a -> o -> r0 -> w');
    expect(await wanted(65)).toBe('none');
  });
});
