/** The service's own clock: the order of what happened on the embedded store rests on it. */
import { expect, test } from 'vitest';
import { systemClock } from '../../src/std/clock.ts';

test('within a millisecond of the wall clock microseconds never go back', () => {
  let last = systemClock.wallMicros();
  let back = 0;
  // Long enough to see many milliseconds begin.
  const endMs = systemClock.monotonicMs() + 100;
  while (systemClock.monotonicMs() < endMs) {
    const now = systemClock.wallMicros();
    if (now < last && Math.floor(now / 1000) === Math.floor(last / 1000)) back += 1;
    last = now;
  }
  expect(back).toBe(0);
});
