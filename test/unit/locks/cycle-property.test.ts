/** Deadlocks in random pictures, against a simulation of what their owners do. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { conflict } from '../../../src/domain/lease.ts';
import { deadlocked, type Picture, verdictOn, type Wait } from '../../../src/locks/cycle.ts';
import { type Asked, pictureOf } from './pictures.ts';

const NAMES = ['a', 'b', 'c', 'd', 'e'];
const OWNERS = ['w0', 'w1', 'w2', 'w3', 'w4', 'w5'];

const holdings = fc.tuple(
  ...NAMES.map(() =>
    fc.oneof(
      fc.constant(''),
      fc.constantFrom(...OWNERS),
      fc.subarray(OWNERS, { minLength: 1, maxLength: 3 }).map((who) => who.map((one) => `${one}~`).join(' ')),
    ),
  ),
);

const askedBy = (owner: string) =>
  fc
    .record({
      resources: fc.shuffledSubarray(NAMES, { minLength: 1, maxLength: 3 }),
      any: fc.constantFrom(0, 0, 1, 2),
      mode: fc.constantFrom('exclusive' as const, 'exclusive' as const, 'shared' as const),
      ticket: fc.nat({ max: 99 }),
      order: fc.nat({ max: 99 }),
    })
    .map((one): Asked => ({ ...one, owner, any: Math.min(one.any, one.resources.length) }));

const pictures = fc
  .tuple(holdings, fc.tuple(...OWNERS.map((owner) => fc.option(askedBy(owner), { freq: 5, nil: undefined }))))
  .map(([held, asked]) => {
    const holds = Object.fromEntries(NAMES.map((name, at) => [name, held[at]!]));
    return pictureOf(holds, ...asked.filter((one) => one !== undefined));
  });

/** What happens if everybody does all it can, one step at a time as `chance` has it: who waits in the end? */
function simulate(picture: Picture, chance: () => number): string[] {
  const held = new Map([...picture.resources].map(([name, { holders }]) => [name, [...holders]]));
  const lines = new Map([...picture.resources].map(([name, { line }]) => [name, [...line]]));
  const waits = new Map(picture.waits.map((wait) => [wait.id, wait]));
  const freeFor = (wait: Wait): string[] =>
    wait.resources.filter((name) => {
      const line = lines.get(name)!;
      const ahead = line.slice(0, line.indexOf(wait.id)).map((id) => waits.get(id)!);
      return ![...held.get(name)!, ...ahead].some(({ mode }) => conflict(mode, wait.mode));
    });
  const finish = (owner: string) => (): void => {
    for (const [name, holders] of held) {
      held.set(
        name,
        holders.filter((hold) => hold.owner !== owner),
      );
    }
  };
  const serve = (wait: Wait, free: readonly string[]) => (): void => {
    waits.delete(wait.id);
    for (const name of wait.resources) lines.get(name)!.splice(lines.get(name)!.indexOf(wait.id), 1);
    const wanted = wait.any === 0 ? free : free.slice(0, wait.any);
    for (const name of wanted) held.get(name)!.push({ owner: wait.owner, mode: wait.mode });
  };
  while (true) {
    const busy = new Set([...waits.values()].map(({ owner }) => owner));
    const holders = new Set([...held.values()].flat().map(({ owner }) => owner));
    const steps = [
      ...[...holders].filter((owner) => !busy.has(owner)).map(finish),
      ...[...waits.values()].flatMap((wait) => {
        const free = freeFor(wait);
        return free.length >= (wait.any || wait.resources.length) ? [serve(wait, free)] : [];
      }),
    ];
    if (steps.length === 0) return [...waits.keys()];
    steps[chance() % steps.length]!();
  }
}

/** Whether each owner on the cycle waits for what the next one holds, or is ahead of it for, as the cycle says. */
function isTrue(picture: Picture, id: string): boolean {
  const { cycle } = verdictOn(picture, id)!;
  return cycle.every(({ owner, resource }, at) => {
    const wait = picture.waits.find((one) => one.owner === owner)!;
    const { holders, line } = picture.resources.get(resource)!;
    const ahead = line.slice(0, line.indexOf(wait.id));
    const inTheWay = [
      ...holders,
      ...ahead.map((other) => picture.waits.find((one) => one.id === other)!),
    ].filter(({ mode }) => conflict(mode, wait.mode));
    return (
      wait.resources.includes(resource) &&
      inTheWay.some((one) => one.owner === cycle[(at + 1) % cycle.length]!.owner)
    );
  });
}

describe('whatever the picture', () => {
  const sample = fc.sample(pictures, { numRuns: 1000, seed: 7 });
  const deadlocks = sample.filter((picture) => deadlocked(picture).size > 0);

  test('exactly those are deadlocked who still wait when everybody has done all it can', () => {
    fc.assert(
      fc.property(pictures, fc.infiniteStream(fc.nat()), (picture, chance) => {
        const left = simulate(picture, () => chance.next().value as number);
        expect([...deadlocked(picture)].sort()).toEqual(left.sort());
      }),
      { numRuns: 2000 },
    );
  });

  test('many of the random ones are deadlocked, and many are not', () => {
    expect(deadlocks.length).toBeGreaterThan(300);
    expect(deadlocks.length).toBeLessThan(900);
  });

  test('everybody on a cycle names the same victim, with a cycle that is there', () => {
    for (const picture of deadlocks) {
      const stuck = deadlocked(picture);
      for (const { id } of picture.waits) {
        const verdict = verdictOn(picture, id);
        if (verdict === undefined) continue;
        expect(stuck.has(id)).toBe(true);
        expect(verdictOn(picture, verdict.victim)).toEqual(verdict);
        expect(isTrue(picture, id)).toBe(true);
      }
    }
  });

  test('refusing one victim after the other ends every deadlock, and refuses nobody who is not deadlocked', () => {
    for (const picture of deadlocks) {
      let { waits } = picture;
      for (let stuck = deadlocked(picture); stuck.size > 0; stuck = deadlocked({ ...picture, waits })) {
        const now = { ...picture, waits };
        const victims = waits.filter(({ id }) => verdictOn(now, id)?.victim === id);
        expect(victims.length).toBeGreaterThan(0);
        expect(victims.every(({ id }) => stuck.has(id))).toBe(true);
        waits = waits.filter((wait) => wait !== victims[0]);
      }
    }
  });
});
