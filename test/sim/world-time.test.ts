/** Virtual time, its clocks and processes, and how a holder counts by them. */
import { describe, expect, test } from 'vitest';
import type { Entry } from '../harness/history/history.ts';
import { Belief, goodForMs } from './world/belief.ts';
import { MachineClock } from './world/clocks.ts';
import { Process } from './world/process.ts';
import { Timeline } from './world/timeline.ts';

const TTL_MS = 1000;

describe('time', () => {
  test('events happen in order, and what one makes ready ends before the next', async () => {
    const timeline = new Timeline(0);
    const seen: string[] = [];
    timeline.at(5, () => seen.push('b'));
    timeline.at(1, () => {
      seen.push('a');
      void Promise.resolve()
        .then(() => {})
        .then(() => seen.push('a, later'));
    });
    timeline.at(5, () => seen.push('c'));
    timeline.at(7, () => seen.push('never')).cancel();
    await timeline.run(10);
    expect(seen).toEqual(['a', 'a, later', 'b', 'c']);
    expect(timeline.nowMs).toBe(10);
  });

  test('what an event throws ends the run', async () => {
    const timeline = new Timeline(0);
    let after = false;
    timeline.at(1, () => {
      throw new Error('a defect');
    });
    timeline.at(2, () => {
      after = true;
    });
    await timeline.run(10);
    expect([timeline.defect?.message, after]).toEqual(['a defect', false]);
  });

  test('a rate moves both readings and the timers of that clock alone, a step only its wall clock', async () => {
    const timeline = new Timeline(0);
    const [fast, other] = [new MachineClock(timeline), new MachineClock(timeline)];
    const fired: [string, number][] = [];
    fast.after(200, () => fired.push(['fast', timeline.nowMs]));
    other.after(200, () => fired.push(['other', timeline.nowMs]));
    timeline.at(100, () => fast.setRate(2));
    timeline.at(160, () => other.step(-5000));
    const startMicros = other.wallMicros();
    await timeline.run(1000);
    // 100 ms at one, the other 100 at twice that.
    expect(fired.map(([name, ms]) => [name, Math.round(ms)])).toEqual([
      ['fast', 150],
      ['other', 200],
    ]);
    expect(Math.round(fast.monotonicMs())).toBe(1900);
    expect([Math.round(other.monotonicMs()), other.wallMicros() - startMicros]).toEqual([1000, -4_000_000]);
  });

  test('a process that stands still works off what came, its clock goes on; a killed one does nothing', async () => {
    const timeline = new Timeline(0);
    const process = new Process(timeline, new MachineClock(timeline));
    const seen: string[] = [];
    process.pause();
    timeline.at(10, () => process.run(() => seen.push(`message at ${timeline.nowMs}`)));
    process.after(20, () => seen.push(`timer at ${timeline.nowMs}`));
    timeline.at(50, () => process.resume());
    await timeline.run(60);
    expect(seen).toEqual(['timer at 50', 'message at 50']);
    expect(process.monotonicMs()).toBe(60);
    process.after(5, () => seen.push('dead'));
    process.kill();
    process.run(() => seen.push('dead'));
    await timeline.run(100);
    expect(seen).toHaveLength(2);
  });
});

test('a holder counts on its own clock, and no longer while it stands still', async () => {
  const timeline = new Timeline(0);
  const clock = new MachineClock(timeline);
  clock.setRate(0.995);
  const history: Entry[] = [];
  const lease = { resources: ['r'], leaseRef: 'l', token: 1n, mode: 'exclusive' } as const;
  const told = {
    kind: 'lease',
    leaseId: '',
    owner: 'o',
    ttlMs: TTL_MS,
    acquireTimeMs: 0,
    expireTimeMs: 0,
  } as const;
  const belief = new Belief({
    timeline,
    clock,
    history,
    client: 'c',
    owner: 'o',
    lease: { ...lease, ...told, labels: {}, replayed: false },
  });
  belief.extend(clock.monotonicMs() + goodForMs(TTL_MS));
  await timeline.run(2000);
  expect(goodForMs(TTL_MS)).toBe(988);
  expect(history).toMatchObject([{ kind: 'held', fromMs: 0, end: 'expired' }]);
  expect((history[0] as { untilMs: number }).untilMs).toBeCloseTo(988 / 0.995, 3);
  expect(belief.valid).toBe(false);
});
