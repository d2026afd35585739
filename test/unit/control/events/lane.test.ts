/** One sink's way out: patience with bounds, nothing lost unsaid, and no harm to the other sinks. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import type { ControlEvent, EventSink } from '../../../../src/control/events/event.ts';
import { ScriptedSink, Stage, settled } from './stage.ts';

const FAST = { batchEvents: 2, deliverMs: 1000, tries: 3, retryMs: 100 };

describe.each(['throw', 'reject', 'hang'] as const)('a sink that does %s', (answer) => {
  test('does not keep events from another one', async () => {
    const stage = new Stage({ bounds: FAST });
    const good = new ScriptedSink('good');
    stage.sinks(new ScriptedSink('bad', answer), good);
    for (const owner of ['a', 'b', 'c', 'd', 'e', 'f']) {
      stage.capture(owner);
      await stage.pass(500);
    }
    expect(good.took.flat()).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
  });

  test('gets the next batch when the first was given up, and hears what it missed before that', async () => {
    const stage = new Stage({ bounds: FAST });
    const bad = new ScriptedSink('bad', answer);
    stage.sinks(bad);
    const order: string[] = [];
    bad.onDeliver = (batch) => order.push(batch.map(({ happening }) => happening.owner).join());
    bad.missed = (count) => order.push(`missed ${count}`);
    stage.capture('a', 'b', 'c', 'd');
    await stage.pass(answer === 'hang' ? 900 : 300);
    bad.answer = 'take';
    await stage.pass(2000);
    const tries = answer === 'hang' ? 1 : FAST.tries;
    // The third try is the one that succeeds where the answer came in time for it.
    if (answer === 'hang') expect(order).toEqual(['a,b', 'missed 2', 'c,d']);
    else expect(order).toEqual([...Array.from({ length: tries }, () => 'a,b'), 'c,d']);
  });
});

test('a batch that fails for good is tried so often, given up and counted; what is missed is told as one stretch', async () => {
  const stage = new Stage({ capacity: 4, bounds: FAST });
  const bad = new ScriptedSink('bad', 'reject');
  stage.sinks(bad);
  stage.capture('a', 'b');
  await stage.pass(10);
  // Two under way; of these seven the queue has room for four.
  stage.capture('c', 'd', 'e', 'f');
  await stage.pass(10);
  stage.capture('g', 'h', 'i');
  await stage.pass(600);
  expect(bad.tried.slice(0, 4)).toEqual([
    ['a', 'b'],
    ['a', 'b'],
    ['a', 'b'],
    ['f', 'g'],
  ]);
  // Three that the queue had no room for, and the two that were given up.
  expect(bad.misses).toEqual([[5, 1, 1]]);
  expect(stage.count('holdfast_sink_dropped_total')).toEqual({ bad: 5 });
  expect(stage.count('holdfast_events_dropped_total')).toEqual({ '': 0 });
});

test('failures are counted each time and told once, until it works again', async () => {
  const stage = new Stage({ bounds: FAST });
  const sink = new ScriptedSink('db', 'reject');
  stage.sinks(sink);
  stage.capture('a', 'b', 'c');
  await stage.pass(1500);
  expect(stage.count('holdfast_sink_failures_total')).toEqual({ db: 6 });
  expect(stage.notices).toEqual(['warn events do not reach db {"sink":"db","why":"rejected"}']);
  sink.answer = 'take';
  stage.capture('d');
  await stage.pass(600);
  expect(stage.notices[1]).toBe('info events reach db again {"sink":"db","missed":3}');
  expect(stage.count('holdfast_sink_pending')).toEqual({ db: 0 });
});

test('a hung delivery is given up after its time; without that bound its sink gets nothing any more', async () => {
  for (const [deliverMs, tried] of [
    [1000, 2],
    [Number.POSITIVE_INFINITY, 1],
  ] as const) {
    const stage = new Stage({ bounds: { ...FAST, deliverMs } });
    const sink = new ScriptedSink('hangs', 'hang');
    stage.sinks(sink);
    stage.capture('a', 'b');
    await stage.pass(10);
    stage.capture('c', 'd');
    await stage.pass(1500);
    expect(sink.tried.length).toBe(tried);
  }
});

test('sinks that share one way out, as without lanes of their own, are all stopped by one that hangs', async () => {
  const good = new ScriptedSink('good');
  const both: readonly EventSink[] = [new ScriptedSink('hangs', 'hang'), good];
  const shared: EventSink = {
    name: 'shared',
    async deliver(batch: readonly ControlEvent[]) {
      for (const sink of both) await sink.deliver(batch);
    },
  };
  const stage = new Stage({ bounds: FAST });
  stage.pipeline.add(shared);
  stage.capture('a', 'b', 'c', 'd');
  await stage.pass(5000);
  expect(good.took).toEqual([]);
});

test('an answer that comes after the delivery was given up changes nothing', async () => {
  const stage = new Stage({ bounds: FAST });
  const answers: (() => void)[] = [];
  const took: number[] = [];
  stage.pipeline.add({
    name: 'slow',
    deliver: (batch) => {
      took.push(batch.length);
      return new Promise((resolve) => answers.push(resolve));
    },
  });
  stage.capture('a', 'b', 'c', 'd');
  await stage.pass(1200);
  expect(took).toEqual([2, 2]);
  answers[0]!();
  await stage.pass(100);
  stage.capture('e', 'f');
  await stage.pass(100);
  // The second is still under way: the late answer was the first one's.
  expect(took).toEqual([2, 2]);
  expect(stage.count('holdfast_sink_dropped_total')).toEqual({ slow: 2 });
});

test('an answer that comes after the end changes nothing either', async () => {
  const stage = new Stage({ bounds: FAST });
  let refuse: (error: Error) => void = () => {};
  stage.pipeline.add({
    name: 'slow',
    deliver: () =>
      new Promise((_, reject) => {
        refuse = reject;
      }),
  });
  stage.capture('a');
  const closed = stage.pipeline.close(400);
  await stage.pass(400);
  await closed;
  refuse(new Error('too late'));
  await stage.pass(2000);
  expect(stage.count('holdfast_sink_failures_total')).toEqual({ slow: 0 });
  expect(stage.count('holdfast_sink_dropped_total')).toEqual({ slow: 1 });
});

test('a promise that never settles keeps neither the batch nor what it was about in memory', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const kept: Promise<void>[] = [];
  const events: WeakRef<ControlEvent>[] = [];
  const stage = new Stage({ bounds: FAST });
  stage.pipeline.add({
    name: 'hangs',
    deliver: (batch) => {
      events.push(...batch.map((event) => new WeakRef(event)));
      const never = new Promise<void>(() => {});
      kept.push(never);
      return never;
    },
  });
  stage.capture('a', 'b', 'c', 'd');
  await stage.pass(3000);
  // A WeakRef keeps what it was made for until the turn of the event loop is over.
  await new Promise((resolve) => setImmediate(resolve));
  collect();
  expect(events.map((event) => event.deref())).toEqual([undefined, undefined, undefined, undefined]);
  expect(kept.length).toBe(2);
});

test('a sink whose missed() throws is counted, and gets what follows', async () => {
  const stage = new Stage({ capacity: 2 });
  const sink = new ScriptedSink('a');
  sink.missed = () => {
    throw new Error('thrown');
  };
  stage.sinks(sink);
  stage.capture('a', 'b', 'c');
  await stage.pass(600);
  await settled();
  expect(sink.took).toEqual([['b', 'c']]);
  expect(stage.count('holdfast_sink_failures_total')).toEqual({ a: 1 });
});
