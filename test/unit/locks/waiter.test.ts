/** One waiter: every step that its picture shows, none that it does not, and what it believes of the nodes' words. */
import { describe, expect, test } from 'vitest';
import { preference } from '../../../src/locks/sight.ts';
import { type Call, type WaitEnd, Waiter, type WaiterState } from '../../../src/locks/waiter.ts';
import type { LineView, Place } from '../../../src/nodes/node.ts';
import { placed, quiet } from './world.ts';

const NODES = 3;
const MAJORITY = 2;
const ELAPSED: WaitEnd = { kind: 'elapsed' };
const GONE: WaitEnd = { kind: 'gone' };

function waiterOf(changes: Partial<Place> = {}): Waiter {
  return new Waiter(placed(changes), NODES, MAJORITY);
}

function lineView(changes: Partial<LineView> = {}): LineView {
  return { position: 1, length: 1, ticket: 100, order: 100, free: [], tangled: false, ...changes };
}

/** A waiter in each state, by the shortest way there. */
const inState: Record<WaiterState, () => Waiter> = {
  asking: () => waiterOf(),
  queued() {
    const waiter = waiterOf();
    void waiter.turn();
    return waiter;
  },
  served() {
    const waiter = waiterOf();
    waiter.serve();
    return waiter;
  },
  left() {
    const waiter = waiterOf();
    waiter.giveUp();
    return waiter;
  },
};

const acts = {
  turn: (waiter: Waiter) => void waiter.turn(),
  call: (waiter: Waiter) => waiter.call(['r']),
  serve: (waiter: Waiter) => waiter.serve(),
  giveUp: (waiter: Waiter) => waiter.giveUp(),
  end: (waiter: Waiter) => waiter.end(ELAPSED),
};

/** What is heard of a turn: `calls` fills once it resolves. */
function listen(waiter: Waiter): Call[] {
  const calls: Call[] = [];
  void waiter.turn().then((call) => calls.push(call));
  return calls;
}

describe('a step', () => {
  const steps: readonly (readonly [WaiterState, keyof typeof acts, WaiterState])[] = [
    ['asking', 'turn', 'queued'],
    ['asking', 'serve', 'served'],
    ['asking', 'giveUp', 'left'],
    ['queued', 'call', 'asking'],
    ['queued', 'end', 'left'],
  ];

  test.each(steps)('from %s by %s leads to %s', (from, act, to) => {
    const waiter = inState[from]();
    expect(waiter.state).toBe(from);
    acts[act](waiter);
    expect(waiter.state).toBe(to);
  });

  const forbidden: readonly (readonly [WaiterState, keyof typeof acts])[] = [
    ['queued', 'turn'],
    ['queued', 'serve'],
    ['served', 'turn'],
    ['served', 'serve'],
    ['served', 'giveUp'],
    ['left', 'turn'],
    ['left', 'serve'],
    ['left', 'giveUp'],
  ];

  test.each(forbidden)('from %s by %s throws and changes nothing', (from, act) => {
    const waiter = inState[from]();
    expect(() => acts[act](waiter)).toThrow(`a waiter goes from ${from}`);
    expect(waiter.state).toBe(from);
  });

  const unheard: readonly (readonly [WaiterState, keyof typeof acts])[] = [
    ['asking', 'call'],
    ['asking', 'end'],
    ['served', 'call'],
    ['served', 'end'],
    ['left', 'call'],
    ['left', 'end'],
  ];

  test.each(unheard)('from %s by %s leads nowhere', (from, act) => {
    const waiter = inState[from]();
    expect(acts[act](waiter) ?? false).toBe(false);
    expect(waiter.state).toBe(from);
  });

  test('can go round any number of times until it is served', async () => {
    const waiter = waiterOf();
    expect(waiter.waited).toBe(false);
    for (let round = 0; round < 3; round += 1) {
      const calls = listen(waiter);
      expect(waiter.call([`r${round}`])).toBe(true);
      expect(waiter.call(['again'])).toBe(false);
      await quiet();
      expect(calls).toEqual([{ kind: 'turn', names: [`r${round}`] }]);
    }
    waiter.serve();
    expect(waiter.waited).toBe(true);
  });
});

describe('an end', () => {
  test('while queued resolves the turn at once', async () => {
    const waiter = waiterOf();
    const calls = listen(waiter);
    waiter.end(GONE);
    await quiet();
    expect([calls, waiter.state, waiter.ending]).toEqual([[GONE], 'left', GONE]);
  });

  test('while asking waits for the attempt, and ends the turn that follows it', async () => {
    const waiter = inState.queued();
    waiter.call(['r']);
    waiter.end(ELAPSED);
    await quiet();
    expect([waiter.state, waiter.ending]).toEqual(['asking', ELAPSED]);
    const calls = listen(waiter);
    await quiet();
    expect([calls, waiter.state]).toEqual([[ELAPSED], 'left']);
  });

  test('while asking leaves a grant that raced with it good', () => {
    const waiter = waiterOf();
    waiter.end(ELAPSED);
    waiter.serve();
    expect([waiter.state, waiter.ending]).toEqual(['served', ELAPSED]);
  });

  test('counts only if it is the first', async () => {
    const [asking, queued] = [waiterOf(), waiterOf()];
    asking.end(ELAPSED);
    asking.end(GONE);
    const calls = [asking, queued].map(listen);
    queued.end(GONE);
    queued.end(ELAPSED);
    await quiet();
    expect(calls).toEqual([[ELAPSED], [GONE]]);
    expect([asking.ending, queued.ending]).toEqual([ELAPSED, GONE]);
  });

  test('after it was served or has left is none', () => {
    for (const waiter of [inState.served(), inState.left()]) {
      waiter.end(ELAPSED);
      expect(waiter.ending).toBeUndefined();
    }
  });
});

describe('what nodes say', () => {
  test('is forgotten when an attempt begins, and kept while it is out', () => {
    const waiter = waiterOf();
    waiter.mark('r', 0);
    waiter.mark('r', 1);
    void waiter.turn();
    // Heard while the first attempt was out.
    expect(waiter.obtainable()).toEqual(['r']);
    waiter.call(['r']);
    expect(waiter.obtainable()).toBeUndefined();
    waiter.mark('r', 2);
    void waiter.turn();
    expect(waiter.obtainable()).toBeUndefined();
    waiter.mark('r', 1);
    expect(waiter.obtainable()).toEqual(['r']);
  });

  test('counts a majority of different nodes, and those no more that took it back', () => {
    const waiter = waiterOf();
    waiter.mark('r', 1, false);
    waiter.mark('r', 1);
    waiter.mark('r', 1);
    expect(waiter.obtainable()).toBeUndefined();
    waiter.mark('r', 0);
    expect(waiter.obtainable()).toEqual(['r']);
    waiter.mark('r', 1, false);
    expect(waiter.obtainable()).toBeUndefined();
    waiter.markAll('r');
    expect(waiter.obtainable()).toEqual(['r']);
  });

  test('of a gang makes it obtainable only when all of it is, in the order in which it was asked for', () => {
    const waiter = waiterOf({ resources: ['c', 'a', 'b'] });
    for (const name of ['a', 'b']) waiter.markAll(name);
    expect(waiter.obtainable()).toBeUndefined();
    waiter.markAll('c');
    expect(waiter.obtainable()).toEqual(['c', 'a', 'b']);
  });

  test('of any k makes the k that it prefers among those that are free obtainable', () => {
    const resources = ['a', 'b', 'c', 'd', 'e'];
    const liked = preference('w', resources);
    for (let free = 0; free < 2 ** resources.length; free += 1) {
      const names = liked.filter((_, at) => (free & (2 ** at)) !== 0);
      for (let any = 1; any <= resources.length; any += 1) {
        const waiter = waiterOf({ id: 'w', owner: 'w', resources, any });
        for (const name of names) waiter.markAll(name);
        expect(waiter.obtainable()).toEqual(names.length >= any ? names.slice(0, any) : undefined);
      }
    }
  });

  test('does not make another resource obtainable', () => {
    const waiter = waiterOf();
    waiter.markAll('q');
    expect(waiter.obtainable()).toBeUndefined();
  });
});

describe('a place', () => {
  test('that a node kept from before counts if it is the earlier one, with its ticket', () => {
    const waiter = waiterOf({ ticket: 100, order: 90 });
    waiter.hear(0, lineView({ ticket: 40, order: 30 }));
    expect(waiter.place).toMatchObject({ ticket: 40, order: 30, id: 'w' });
    waiter.hear(1, lineView({ ticket: 60, order: 60 }));
    expect(waiter.place).toMatchObject({ ticket: 40, order: 30 });
  });

  test('that a node does not know changes nothing', () => {
    const waiter = waiterOf({ ticket: 100, order: 90 });
    waiter.hear(0, lineView({ position: 0, ticket: 0, order: 0 }));
    expect(waiter.place).toMatchObject({ ticket: 100, order: 90 });
  });

  test('shows the line as it was last heard, and what is free in it counts for that node', () => {
    const waiter = waiterOf();
    const line = lineView({ position: 3, length: 7, free: ['r'] });
    waiter.hear(2, line);
    expect(waiter.line).toEqual(line);
    expect(waiter.obtainable()).toBeUndefined();
    waiter.hear(2, line);
    expect(waiter.obtainable()).toBeUndefined();
    waiter.hear(0, line);
    expect(waiter.obtainable()).toEqual(['r']);
  });

  test('remembers the highest fence that its turn was told with', () => {
    const waiter = waiterOf();
    for (const fence of [5n, 9n, 7n]) waiter.pass(fence);
    expect(waiter.fence).toBe(9n);
  });
});
