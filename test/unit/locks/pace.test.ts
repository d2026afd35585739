/** A pace lets so many go on at once, keeps the order of the others, and outlives what fails. */
import { expect, test } from 'vitest';
import { Pace } from '../../../src/locks/pace.ts';
import { quiet } from './world.ts';

function bench(most: number) {
  const begun: number[] = [];
  const ends: { resolve(): void; reject(cause: unknown): void }[] = [];
  const defects: unknown[] = [];
  const pace = new Pace(most, (cause) => void defects.push(cause));
  const run = (name: number): void =>
    pace.run(() => {
      begun.push(name);
      return new Promise<void>((resolve, reject) => ends.push({ resolve, reject }));
    });
  return { pace, run, begun, ends, defects };
}

test('the first begin in the tick in which they are asked for, the others in their order as there is room', async () => {
  const { run, begun, ends } = bench(2);
  for (let name = 0; name < 5; name += 1) run(name);
  expect(begun).toEqual([0, 1]);
  ends[1]!.resolve();
  await quiet();
  expect(begun).toEqual([0, 1, 2]);
  ends[0]!.resolve();
  ends[2]!.resolve();
  await quiet();
  expect(begun).toEqual([0, 1, 2, 3, 4]);
});

test('it is idle when nothing is under way and nothing waits', async () => {
  const { pace, run, ends } = bench(1);
  let idle = 0;
  const count = (): void => {
    idle += 1;
  };
  void pace.idle().then(count);
  await quiet();
  expect(idle).toBe(1);
  run(0);
  run(1);
  void pace.idle().then(count);
  ends[0]!.resolve();
  await quiet();
  expect(idle).toBe(1);
  ends[1]!.resolve();
  await quiet();
  expect(idle).toBe(2);
});

test('what fails is told, and the others go on', async () => {
  const { pace, run, begun, ends, defects } = bench(1);
  run(0);
  run(1);
  ends[0]!.reject(new Error('broken'));
  await quiet();
  expect(begun).toEqual([0, 1]);
  ends[1]!.resolve();
  await pace.idle();
  expect(defects).toMatchObject([{ message: 'broken' }]);
});
