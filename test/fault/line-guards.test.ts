/** What keeps the line in order and moving, attacked with the rule on and with it off. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { scripts } from '../../src/nodes/scripts.ts';
import { countLooks, type Desk } from '../harness/desk.ts';
import { deadStandInLine, overtaking } from '../harness/rules-off.ts';
import { inspected, Scene } from '../harness/scene.ts';
import { FOREVER_MS, Turns, told, withoutTimersOf } from '../harness/turns.ts';
import { until } from '../harness/until.ts';

const NAME = 'gpu/0';

let scene: Scene;
beforeEach(async () => {
  scene = await Scene.open();
});
afterEach(() => scene.close());

describe('a newcomer who finds the lock free while the head of the line does not know yet', () => {
  /** What the newcomer was answered, and who was served after it. */
  async function newcomer(using: typeof scripts): Promise<{ answer: string; order: readonly string[] }> {
    const one = await scene.desk({ scripts: using });
    // This one does not look for itself: its wakes decide when it asks.
    const two = await scene.desk({
      scripts: using,
      clock: withoutTimersOf(300),
      waiting: { livenessMs: 60_000 },
    });
    const letWakesGo = holdWakes(two);
    const turns = new Turns();
    const first = await one.lock(NAME, { owner: 'first', ttlMs: 20_000 });
    const head = turns.take(two, { owner: 'head', resources: [NAME] });
    await scene.queued(NAME, 1);
    await one.release(first);
    await scene.nodes.free(NAME);
    const answer = await one.acquire(NAME, { owner: 'newcomer' });
    if (answer.kind === 'lease') {
      turns.begin('newcomer', answer.token);
      turns.end('newcomer');
      await one.release(answer);
    }
    letWakesGo();
    await head;
    expect(turns.faults).toEqual([]);
    return { answer: answer.kind === 'lease' ? 'lease' : told(answer), order: turns.order };
  }

  test('does not overtake the head', async () => {
    const { answer, order } = await newcomer(scripts);
    expect(JSON.parse(answer)).toMatchObject({ kind: 'busy', holders: [], queueLength: 1, position: 0 });
    expect(order).toEqual(['head']);
  });

  test('without that rule overtakes it', async () => {
    const { answer, order } = await newcomer(overtaking);
    expect(answer).toBe('lease');
    expect(order).toEqual(['newcomer', 'head']);
  });
});

describe('behind a head whose replica has died', () => {
  const livenessMs = 600;

  /** Whether the next one in line has been served when it has looked twice after the head's place ran out. */
  async function served(using: typeof scripts): Promise<{ served: boolean; line: readonly string[] }> {
    const options = { scripts: using, waiting: { livenessMs } };
    const [one, doomed] = await scene.desks(2, options);
    const turns = new Turns();
    const first = await one!.lock(NAME, { owner: 'first', ttlMs: 20_000 });
    void doomed!.acquire(NAME, { owner: 'head', waitMs: FOREVER_MS });
    await scene.queued(NAME, 1);
    const next = turns.take(one!, { owner: 'next', resources: [NAME] });
    await scene.queued(NAME, 2);
    doomed!.close();
    const diedMs = await scene.nodeMs(0);
    await one!.release(first);
    await until(
      'the place of the head has run out',
      async () => (await scene.nodeMs(0)) > diedMs + livenessMs,
    );
    const looks = countLooks(one!);
    await until(
      'the next one has been served or has looked twice',
      () => turns.order.length > 0 || looks() > 2,
    );
    const line = (await inspected(one!, NAME)).waiters.map(({ owner }) => owner);
    const wasServed = turns.order.length > 0;
    if (wasServed) await next;
    expect(turns.faults).toEqual([]);
    return { served: wasServed, line };
  }

  test('the next one goes on', async () => {
    expect(await served(scripts)).toEqual({ served: true, line: [] });
  });

  test('without deadlines for places it is blocked for good', async () => {
    expect(await served(deadStandInLine)).toEqual({ served: false, line: ['head', 'next'] });
  });
});

/** What the nodes tell this replica arrives only when the result is called. */
function holdWakes({ quorum: { wakeups } }: Desk): () => void {
  const wake = wakeups.onWake;
  const held: Parameters<typeof wake>[] = [];
  wakeups.onWake = (...told) => void held.push(told);
  return () => {
    wakeups.onWake = wake;
    for (const told of held) wake(...told);
  };
}
