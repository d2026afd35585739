/** The quorum as events: told once when it goes and once when it comes back, and not at the start. */
import { expect, test } from 'vitest';
import { watchQuorum } from '../../../../src/control/events/quorum-watch.ts';
import { ManualClock } from '../../../../src/std/clock.ts';

function watched(): { told: string[]; say: (node: string, state: string) => void } {
  const told: string[] = [];
  const clock = new ManualClock(5_000_999);
  const watch = watchQuorum(['a', 'b', 'c'], clock, ({ type, timeMs, reason }) =>
    told.push(`${type} ${timeMs} ${reason}`),
  );
  return { told, say: (node, state) => watch.nodeState(node, state, '') };
}

test('a start, the loss of a minority and unknown nodes are no news', () => {
  const { told, say } = watched();
  say('a', 'silent');
  for (const node of ['a', 'b', 'c']) say(node, 'ready');
  say('b', 'silent');
  say('other', 'silent');
  say('b', 'ready');
  expect(told).toEqual([]);
});

test('a majority that goes, in whatever way, and comes back', () => {
  const { told, say } = watched();
  for (const node of ['a', 'b', 'c']) say(node, 'ready');
  say('b', 'quarantined');
  say('c', 'suspect');
  say('a', 'silent');
  say('b', 'ready');
  say('c', 'ready');
  say('a', 'ready');
  say('a', 'silent');
  expect(told).toEqual(['quorum_lost 5000 without b, c', 'quorum_regained 5000 without a']);
});
