/** A fence that somebody was told of, and that did not refuse it, is a hint: where nodes find it too far ahead, it is dropped. */
import { expect, test } from 'vitest';
import { Attempts } from '../../../src/locks/attempt.ts';
import { SeededRandom } from '../../../src/std/random.ts';
import { asking, stays } from '../../harness/asking.ts';
import { World } from './world.ts';

const HOUR_MICROS = 3_600_000_000n;

test('an attempt whose hint was too far ahead asks by its clock the next time, and is granted', async () => {
  const world = await World.of();
  const replica = world.replica('a');
  const attempts = new Attempts(replica.quorum, new SeededRandom(1), asking(), stays);
  const now = BigInt(world.nodeClocks[0]!.wallMicros());
  const manner = { resources: ['r'], fence: now + HOUR_MICROS };
  expect(await attempts.attempt(manner)).toEqual({ kind: 'again' });
  const outcome = await attempts.attempt(manner);
  expect(outcome.kind).toBe('granted');
  const tokens = replica.sent.flatMap(({ op }) => (op.kind === 'hold' ? [op.token] : []));
  expect(tokens[0]).toBeGreaterThan(now + HOUR_MICROS);
  expect(tokens.at(-1)).toBeLessThan(now + HOUR_MICROS);
});

test('a hint that nodes do not mind is kept: it saves the refusal', async () => {
  const world = await World.of();
  const replica = world.replica('a');
  const attempts = new Attempts(replica.quorum, new SeededRandom(1), asking(), stays);
  const fence = BigInt(world.nodeClocks[0]!.wallMicros()) + 500_000n;
  expect((await attempts.attempt({ resources: ['r'], fence })).kind).toBe('granted');
  expect(replica.sent[0]?.op).toMatchObject({ kind: 'hold', token: fence + 1n });
});
