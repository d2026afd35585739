/** The manual clock that the other tests stand on, and the assertions that stay on in production. */
import { expect, test } from 'vitest';
import { assert, InvariantBroken, unreachable } from '../../../src/std/assert.ts';
import { ManualClock, pause } from '../../../src/std/clock.ts';

test('timers fire in the order of their due time, each at its time', () => {
  const clock = new ManualClock(0);
  const fired: string[] = [];
  for (const [name, delayMs] of Object.entries({ c: 30, a: 10, b: 20 })) {
    clock.after(delayMs, () => void fired.push(`${name} at ${clock.monotonicMs()}`));
  }
  clock.advance(25);
  expect(fired).toEqual(['a at 10', 'b at 20']);
  clock.advance(5);
  expect(fired).toEqual(['a at 10', 'b at 20', 'c at 30']);
  expect(clock.monotonicMs()).toBe(30);
});

test('a timer that is set by a timer still fires within the same move', () => {
  const clock = new ManualClock(0);
  const fired: number[] = [];
  const again = (): void => {
    fired.push(clock.monotonicMs());
    clock.after(10, again);
  };
  clock.after(10, again);
  clock.advance(35);
  expect(fired).toEqual([10, 20, 30]);
});

test('a cancelled timer does not fire, and cancelling twice is no harm', () => {
  const clock = new ManualClock(0);
  let fired = 0;
  const timer = clock.after(10, () => {
    fired += 1;
  });
  clock.after(5, () => timer.cancel());
  clock.advance(20);
  timer.cancel();
  expect(fired).toBe(0);
});

test('the wall clock moves with the monotonic one, and alone when it is stepped', () => {
  const clock = new ManualClock(1_000_000);
  clock.advance(2);
  expect([clock.monotonicMs(), clock.wallMicros()]).toEqual([2, 1_002_000]);
  clock.stepWall(-500_000);
  expect([clock.monotonicMs(), clock.wallMicros()]).toEqual([2, 502_000]);
  clock.setWall(7);
  expect(clock.wallMicros()).toBe(7);
});

test('a pause ends when its time has passed and not before', async () => {
  const clock = new ManualClock();
  let over = false;
  const pausing = pause(clock, 10).then(() => {
    over = true;
  });
  clock.advance(9);
  await Promise.resolve();
  expect(over).toBe(false);
  clock.advance(1);
  await pausing;
  expect(over).toBe(true);
});

test('a broken invariant stops here, by its name', () => {
  expect(() => assert(true, 'fine')).not.toThrow();
  expect(() => assert(1 + 1 === 3, 'sums add up')).toThrow(InvariantBroken);
  expect(() => unreachable({ kind: 'new' } as never)).toThrow(/unexpected variant.*new/);
});
