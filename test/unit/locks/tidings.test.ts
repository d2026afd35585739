/** One story from what 3 or 5 nodes tell, each for itself, in any order: every step once, and nothing that came to nothing. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { EventType } from '../../../src/locks/locks.ts';
import { Tidings } from '../../../src/locks/tidings.ts';
import type { News, NewsType } from '../../../src/nodes/node.ts';
import { majorityOf } from '../../../src/quorum/ballot.ts';

function news(type: NewsType, changes: Partial<News> = {}): News {
  return {
    type,
    timeMicros: 7_000_000,
    resource: 'r',
    token: 5n,
    leaseRef: 'lease',
    owner: 'w',
    reason: '',
    remainingMs: 0,
    ...changes,
  };
}

interface Word {
  readonly node: number;
  readonly news: News;
}

/** What each node tells, in its own order, mixed with the others' as `choices` say. */
function mixed(told: readonly (readonly News[])[], choices: readonly number[]): Word[] {
  const left = told.map((some, node) => some.map((one) => ({ node, news: one })));
  const words: Word[] = [];
  for (let at = 0; left.some((some) => some.length > 0); at += 1) {
    const talking = left.filter((some) => some.length > 0);
    words.push(talking[(choices[at % choices.length] ?? 0) % talking.length]!.shift()!);
  }
  return words;
}

function heard(tidings: Tidings, words: readonly Word[]): EventType[] {
  return words.flatMap(({ node, news: one }) => tidings.hear(node, one)?.type ?? []);
}

const choices = fc.array(fc.nat(99), { minLength: 1, maxLength: 30 });
const sizes = [3, 5];

/** The numbers of the nodes in every order. */
function orders(size: number): number[][] {
  if (size === 0) return [[]];
  return orders(size - 1).flatMap((order) =>
    Array.from({ length: size }, (_, at) => order.toSpliced(at, 0, size - 1)),
  );
}

describe.each(sizes)('of %i nodes', (size) => {
  const majority = majorityOf(size);
  const told = (...types: readonly NewsType[]): News[][] =>
    Array.from({ length: size }, () => types.map((type) => news(type)));

  test('every step of a lease is told once, however their news mix', () => {
    fc.assert(
      fc.property(choices, fc.nat(size - majority), (mix, missing) => {
        const all = told('queued', 'held', 'renewed', 'released').slice(missing);
        const events = heard(new Tidings(majority), mixed(all, mix));
        expect([...events].sort()).toEqual(['granted', 'queued', 'released', 'renewed']);
      }),
    );
  });

  test('a step that all tell is told in order when each node is done with one before the next', () => {
    for (const order of orders(size)) {
      const tidings = new Tidings(majority);
      const events = (['queued', 'held', 'released'] as const).flatMap((type) =>
        heard(
          tidings,
          order.map((node) => ({ node, news: news(type) })),
        ),
      );
      expect(events).toEqual(['queued', 'granted', 'released']);
    }
  });

  test('a vote that came to nothing is never shown, nor is its undoing', () => {
    fc.assert(
      fc.property(choices, fc.nat(majority - 1), (mix, voted) => {
        const events = heard(new Tidings(majority), mixed(told('held', 'undone').slice(0, voted), mix));
        expect(events).toEqual([]);
      }),
    );
  });

  test('one node alone cannot tell a thing twice', () => {
    const words = Array.from({ length: 9 }, () => ({ node: 1, news: news('held') }));
    expect(heard(new Tidings(majority), words)).toEqual([]);
  });

  test.each(['released', 'forced', 'lost'] as const)('%s is told by the first node that says so', (type) => {
    const tidings = new Tidings(majority);
    for (let node = 0; node < size; node += 1) {
      const event = tidings.hear(node, news(type, { reason: `by ${node}` }));
      expect(event?.reason).toBe(node === 0 ? 'by 0' : undefined);
    }
  });

  test('expired takes a majority, and comes once', () => {
    for (const order of orders(size)) {
      const tidings = new Tidings(majority);
      const counts = order.map((node) => heard(tidings, [{ node, news: news('expired') }]).length);
      expect(counts).toEqual(order.map((_, at) => (at === majority - 1 ? 1 : 0)));
    }
  });

  test.each(['released', 'forced', 'lost'] as const)('expired is none after it was %s', (type) => {
    const tidings = new Tidings(majority);
    heard(tidings, [{ node: 0, news: news(type) }]);
    const rest = Array.from({ length: size }, (_, node) => ({ node, news: news('expired') }));
    expect(heard(tidings, rest)).toEqual([]);
  });

  /** The nodes that take part in each round, one second after another. */
  const rounds = (least: number) =>
    fc.array(fc.shuffledSubarray([...orders(size)[0]!], { minLength: least, maxLength: size }), {
      minLength: 1,
      maxLength: 6,
    });
  const renewals = (taken: readonly (readonly number[])[]): EventType[][] => {
    const tidings = new Tidings(majority);
    return taken.map((nodes, round) =>
      heard(
        tidings,
        nodes.map((node) => ({
          node,
          news: news('renewed', { timeMicros: (round + 1) * 1_000_000 + node }),
        })),
      ),
    );
  };

  test('renewed is told once for each round of all nodes, in whatever order', () => {
    fc.assert(
      fc.property(rounds(size), (taken) => {
        expect(renewals(taken)).toEqual(taken.map(() => ['renewed']));
      }),
    );
  });

  test('renewed is told once at most for a round in which not all take part, and never by a minority', () => {
    fc.assert(
      fc.property(rounds(majority), (taken) => {
        for (const told of renewals(taken)) expect(told.length).toBeLessThanOrEqual(1);
        expect(renewals([taken[0]!.slice(0, majority - 1)])).toEqual([[]]);
      }),
    );
  });

  test('leases, resources and waits are told apart', () => {
    const some = [{}, { resource: 'q' }, { token: 6n }, { leaseRef: 'other' }];
    for (const [at, one] of some.entries()) {
      for (const other of some.slice(at + 1)) {
        const tidings = new Tidings(2);
        expect(tidings.hear(0, news('held', one))).toBeUndefined();
        expect(tidings.hear(1, news('held', other))).toBeUndefined();
        expect(tidings.hear(1, news('held', one))?.type).toBe('granted');
        expect(tidings.hear(2, news('held', other))?.type).toBe('granted');
      }
    }
  });
});

describe('an event', () => {
  test('says what the node said that completed it', () => {
    const tidings = new Tidings(2);
    tidings.hear(0, news('held', { timeMicros: 1_000_000 }));
    expect(tidings.hear(2, news('held', { timeMicros: 2_500_000 }))).toEqual({
      type: 'granted',
      timeMs: 2500,
      resource: 'r',
      owner: 'w',
      leaseRef: 'lease',
      token: 5n,
      reason: '',
    });
  });

  test('of a wait does not give the id of the waiter away', () => {
    const tidings = new Tidings(1);
    expect(tidings.hear(0, news('queued', { leaseRef: 'the id', token: 0n }))).toMatchObject({
      type: 'queued',
      leaseRef: '',
    });
  });
});
