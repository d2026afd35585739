/** The example of docs/testing.md: a worker that must stop when its lock is lost. */

import { test as base, expect } from 'vitest';
import type { Holdfast } from '../../src/index.ts';
import { type HoldfastContext, holdfastFixture } from '../../src/testing/index.ts';

/** What is tested: works in steps until it has lost the lock. */
async function work(holdfast: Holdfast, step: () => Promise<void>): Promise<string> {
  await using lease = await holdfast.lock('gpu/0', { ttl: '30s' });
  while (!lease.signal.aborted) await step();
  return `stopped: ${lease.lost?.reason}`;
}

const test = base.extend<HoldfastContext>(holdfastFixture());

test('the worker stops when its lock is taken away', async ({ fake, holdfast }) => {
  let steps = 0;
  const working = work(holdfast, async () => {
    steps += 1;
    if (steps === 3) await fake.lose('gpu/0');
  });
  await expect(working).rejects.toThrow('forced');
  expect(steps).toBe(3);
});

test('the worker stops when it was suspended for too long', async ({ fake, holdfast }) => {
  const working = work(holdfast, async () => fake.clock.jump('1m'));
  await expect(working).rejects.toThrow();
});
