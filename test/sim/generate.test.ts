/** The plans attack everything that the guarantees allow, and nothing that they exclude. */
import { describe, expect, test } from 'vitest';
import { planOf } from './generate.ts';
import { FAULT_KINDS, type Fault, type Plan } from './plan.ts';

const plans = Array.from({ length: 2000 }, (_, index) => planOf(index + 1));
const faults = plans.flatMap((plan) => plan.faults);

const forgets = (fault: Fault): boolean =>
  fault.kind === 'flush' || (fault.kind === 'crash' && fault.memory !== 'durable');

/** Losses of memory in order, those of one moment together. */
function momentsOf(plan: Plan): Fault[][] {
  const moments = new Map<number, Fault[]>();
  for (const fault of plan.faults.filter(forgets))
    moments.set(fault.atMs, [...(moments.get(fault.atMs) ?? []), fault]);
  return [...moments.entries()].sort(([one], [other]) => one - other).map(([, together]) => together);
}

describe('what the guarantees assume', () => {
  test('a node loses its memory only after the last one that did may vote again', () => {
    for (const plan of plans) {
      const moments = momentsOf(plan);
      for (const [index, moment] of moments.entries()) {
        const next = moments[index + 1]?.[0];
        const endMs = Math.max(...moment.map((fault) => ('untilMs' in fault ? fault.untilMs : fault.atMs)));
        if (next !== undefined)
          expect(next.atMs - endMs, `seed ${plan.seed}`).toBeGreaterThan(2 * plan.longestTtlMs);
      }
    }
  });

  test('all nodes lose it at once only where nobody sets a clock', () => {
    const total = plans.filter((plan) => momentsOf(plan).some(({ length }) => length > 1));
    expect(total.length).toBeGreaterThan(10);
    for (const { seed, faults, nodes } of total) {
      expect(
        faults.filter(({ kind }) => kind === 'step'),
        `seed ${seed}`,
      ).toEqual([]);
      expect(momentsOf({ ...planOf(seed), faults })[0]?.length).toBe(nodes);
    }
  });

  test('where nodes are adopted, none forgets, and nobody asks for more than both settings allow', () => {
    const adopting = plans.filter(({ adoption }) => adoption !== undefined);
    expect(adopting.length).toBeGreaterThan(50);
    for (const { adoption, faults, longestTtlMs, clients, healMs } of adopting) {
      expect(faults.filter(forgets)).toEqual([]);
      expect(adoption!.untilMs).toBeLessThan(healMs);
      const shorter = Math.min(longestTtlMs, adoption!.longestTtlMs);
      expect(Math.max(...clients.map(({ habits }) => habits.ttlMs[1]))).toBeLessThanOrEqual(shorter);
    }
  });

  test('clocks run within 1 % of each other, each at one rate at a time', () => {
    for (const plan of plans) {
      const rates = plan.faults.filter((fault) => fault.kind === 'rate');
      const all = [1, ...rates.map(({ rate }) => rate)];
      expect(Math.max(...all) / Math.min(...all)).toBeLessThan(1.01);
      expect(new Set(rates.map(({ who, index }) => `${who} ${index}`)).size).toBe(rates.length);
    }
  });

  test('every fault is over by the heal, and names somebody who is there', () => {
    for (const { faults, healMs, endMs, nodes, replicas, clients } of plans) {
      expect(endMs).toBeGreaterThan(healMs);
      const sizes = { node: nodes, replica: replicas, client: clients.length };
      for (const fault of faults) {
        expect('untilMs' in fault ? fault.untilMs : fault.atMs).toBeLessThanOrEqual(healMs);
        expect(fault.atMs).toBeGreaterThanOrEqual(0);
        if ('untilMs' in fault) expect(fault.untilMs).toBeGreaterThan(fault.atMs);
        const named = { node: 0, replica: 0, client: 0, ...fault };
        for (const who of ['node', 'replica', 'client'] as const) expect(named[who]).toBeLessThan(sizes[who]);
        if ('who' in fault) expect(fault.index).toBeLessThan(sizes[fault.who]);
      }
    }
  });
});

describe('what they attack', () => {
  test.each(FAULT_KINDS)('%s is among the faults of many seeds, and missing from many', (kind) => {
    const having = plans.filter((plan) => plan.faults.some((fault) => fault.kind === kind)).length;
    expect(having).toBeGreaterThan(plans.length / 20);
    expect(having).toBeLessThan(plans.length * 0.95);
  });

  test('every variant of a fault is there, and runs without any', () => {
    const seen = new Set(
      faults.flatMap((fault) => [
        ...('memory' in fault ? [fault.memory] : []),
        ...('manner' in fault ? [fault.manner] : []),
        ...('direction' in fault ? [fault.direction] : []),
        ...(fault.kind === 'pause' ? [`pause ${fault.who}`] : []),
        ...(fault.kind === 'step' ? [`step ${fault.who} ${fault.ms > 0 ? 'on' : 'back'}`] : []),
      ]),
    );
    for (const variant of [
      ...['durable', 'tail', 'empty', 'hold', 'drop', 'reset', 'in', 'out', 'both'],
      ...['pause node', 'pause replica', 'pause client'],
      ...['step node on', 'step node back', 'step replica on', 'step replica back'],
    ])
      expect(seen).toContain(variant);
    expect(plans.filter((plan) => plan.faults.length === 0).length).toBeGreaterThan(50);
  });
});
