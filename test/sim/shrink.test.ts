/** A failure becomes as small as it can: what does not matter to it is left out, what matters stays. */
import { expect, test } from 'vitest';
import { Dice } from './dice.ts';
import { planOf } from './generate.ts';
import type { Fault, Plan } from './plan.ts';
import { onlyClients, shrink, sizeOf } from './shrink.ts';

/** A plan with many faults of two kinds that the fake player below looks for. */
function busyPlan(): Plan {
  const seed = Array.from({ length: 500 }, (_, index) => index + 1).find((candidate) => {
    const { faults, clients } = planOf(candidate);
    return clients.length > 8 && faults.length > 20 && pairIn(faults);
  });
  return planOf(seed!);
}

/** What a defect might need: a cut with a pause of a node somewhere. */
const pairIn = (faults: readonly Fault[]): boolean =>
  faults.some(({ kind }) => kind === 'cut') &&
  faults.some((fault) => fault.kind === 'pause' && fault.who === 'node');

test('what needs two faults is shrunk to these two, one client and no bad manners', async () => {
  let plays = 0;
  const plan = busyPlan();
  const shrunk = await shrink(plan, {
    breaks: ({ faults }) => {
      plays += 1;
      return Promise.resolve(pairIn(faults));
    },
    spent: () => false,
  });
  expect(shrunk.faults.map(({ kind }) => kind).sort()).toEqual(['cut', 'pause']);
  expect(pairIn(shrunk.faults)).toBe(true);
  expect(shrunk.clients.length).toBe(1);
  expect(shrunk.resources.length).toBe(1);
  expect(shrunk.endMs).toBeLessThan(plan.endMs);
  expect(sizeOf(shrunk)).toBeLessThan(4100);
  expect(plays).toBeLessThan(200);
});

test('what a failure needs stays: the client that does it, and its habit', async () => {
  const plan = busyPlan();
  const needed = plan.clients.at(-1)!.name;
  const strict: Plan = {
    ...plan,
    clients: plan.clients.map((client) => ({
      ...client,
      habits: { ...client.habits, forgets: 0.1, looks: 0.1 },
    })),
  };
  const shrunk = await shrink(strict, {
    breaks: ({ clients }) =>
      Promise.resolve(clients.some(({ name, habits }) => name === needed && habits.forgets > 0)),
    spent: () => false,
  });
  expect(shrunk.faults).toEqual([]);
  expect(shrunk.clients.map(({ name, habits }) => [name, habits.forgets, habits.looks])).toEqual([
    [needed, 0.1, 0],
  ]);
});

test('when there is no time left, what was found so far is the answer, and still breaks', async () => {
  const plan = busyPlan();
  for (const most of [0, 1, 5, 20]) {
    let plays = 0;
    const shrunk = await shrink(plan, {
      breaks: ({ faults }) => {
        plays += 1;
        return Promise.resolve(pairIn(faults));
      },
      spent: () => plays >= most,
    });
    expect(pairIn(shrunk.faults)).toBe(true);
    expect(plays).toBeLessThan(most + 12);
  }
});

test('faults of a client move with it, and go with it', () => {
  const base = busyPlan();
  const span = { atMs: 1, untilMs: 2 } as const;
  const faults: Fault[] = [
    { kind: 'cut', ...span, client: 2, direction: 'both', manner: 'drop' },
    { kind: 'pause', ...span, who: 'client', index: 1 },
    { kind: 'pause', ...span, who: 'node', index: 1 },
  ];
  const kept = onlyClients({ ...base, faults }, [0, 2]);
  expect(kept.clients.map(({ name }) => name)).toEqual(['c0', 'c2']);
  expect(kept.faults).toEqual([{ ...faults[0], client: 1 }, faults[2]]);
});

test('the same seed gives the same plan, another one another', () => {
  expect(planOf(7)).toEqual(planOf(7));
  expect(planOf(7)).not.toEqual(planOf(8));
  expect(new Dice(7).seed()).not.toBe(new Dice(8).seed());
});
