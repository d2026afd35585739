/** The pipeline: what is captured leaves in time and in order, and no sink can stop it or another sink. */
import { describe, expect, test } from 'vitest';
import { happening, owners, ScriptedSink, Stage, settled } from './stage.ts';

const names = (count: number, from = 0): string[] =>
  Array.from({ length: count }, (_, at) => `o${from + at}`);

describe('when events leave', () => {
  test('never inside the call that captures them', async () => {
    const stage = new Stage();
    const sink = new ScriptedSink('a');
    stage.sinks(sink);
    stage.pipeline.probe.happened(happening('x', { type: 'forced' }));
    stage.capture(...names(300));
    await settled();
    expect(sink.tried).toEqual([]);
  });

  test('routine ones when the first of them is half a second old', async () => {
    const stage = new Stage();
    const sink = new ScriptedSink('a');
    stage.sinks(sink);
    stage.capture('a', 'b');
    await stage.pass(499);
    expect(sink.took).toEqual([]);
    await stage.pass(1);
    expect(sink.took).toEqual([['a', 'b']]);
  });

  test('routine ones at once when a batch is full', async () => {
    const stage = new Stage({ bounds: { batchEvents: 4 } });
    const sink = new ScriptedSink('a');
    stage.sinks(sink);
    stage.capture(...names(4));
    await stage.pass(1);
    expect(sink.took).toEqual([names(4)]);
  });

  test.each(['forced', 'lost', 'quorum_lost', 'quorum_regained'] as const)(
    'a %s at once, behind what came before it',
    async (type) => {
      const stage = new Stage();
      const sink = new ScriptedSink('a');
      stage.sinks(sink);
      stage.capture('routine');
      stage.pipeline.probe.happened(happening('urgent', { type }));
      await stage.pass(1);
      expect(sink.took).toEqual([['routine', 'urgent']]);
    },
  );

  test('with numbers that grow by one, and their priority', async () => {
    const stage = new Stage();
    const sink = new ScriptedSink('a');
    const seen: unknown[] = [];
    sink.onDeliver = (batch) => seen.push(...batch.map(({ seq, priority }) => [seq, priority]));
    stage.sinks(sink);
    stage.capture('a');
    stage.pipeline.probe.happened(happening('b', { type: 'forced' }));
    await stage.pass(1);
    expect(seen).toEqual([
      [1, 'routine'],
      [2, 'now'],
    ]);
  });

  test('one batch at a time, in order, all of them', async () => {
    const stage = new Stage({ capacity: 100, bounds: { batchEvents: 8 } });
    const sink = new ScriptedSink('a');
    stage.sinks(sink);
    stage.capture(...names(50));
    await stage.pass(600);
    expect(sink.took.flat()).toEqual(names(50));
    expect(Math.max(...sink.took.map(({ length }) => length))).toBe(8);
  });

  test('a batch in each turn of the event loop, however quick the sink is', async () => {
    const stage = new Stage({ bounds: { batchEvents: 4 } });
    const sink = new ScriptedSink('a');
    stage.sinks(sink);
    stage.capture(...names(12));
    for (const batches of [1, 2, 3]) {
      stage.clock.advance(0);
      await settled();
      expect(sink.took.length).toBe(batches);
    }
  });

  test('captures made while sinks are called are kept for the next time', async () => {
    const stage = new Stage();
    const sink = new ScriptedSink('a');
    let captured = false;
    const other = new ScriptedSink('b');
    other.onDeliver = () => {
      if (!captured) stage.capture('meanwhile');
      captured = true;
    };
    stage.sinks(other, sink);
    stage.capture('first');
    await stage.pass(1200);
    expect(sink.took).toEqual([['first'], ['meanwhile']]);
  });
});

describe('a sink that announces events itself', () => {
  test('does not get them back, others do, and nothing goes round for ever', async () => {
    const stage = new Stage();
    const echo = new ScriptedSink('echo');
    const other = new ScriptedSink('other');
    echo.onDeliver = async (batch) => {
      stage.pipeline.probe.happened(happening('sync', { type: 'forced' }));
      await settled();
      stage.pipeline.probe.happened(happening(`later for ${owners(batch).join()}`, { type: 'forced' }));
    };
    stage.sinks(echo, other);
    stage.capture('x');
    await stage.pass(5000);
    expect(echo.took).toEqual([['x']]);
    expect(other.took).toEqual([['x'], ['sync'], ['later for x']]);
  });

  test('of a sink that says it has missed something, too', async () => {
    const stage = new Stage({ capacity: 2 });
    const echo = new ScriptedSink('echo');
    echo.missed = (count) => stage.capture(`missed ${count}`);
    stage.sinks(echo);
    stage.capture('a', 'b', 'c');
    await stage.pass(3000);
    expect(echo.took).toEqual([['b', 'c']]);
  });
});

describe('the ring', () => {
  test('is bounded: the oldest are dropped, counted, and told with their time to each sink before the rest', async () => {
    const stage = new Stage({ capacity: 16 });
    const sinks = [new ScriptedSink('a'), new ScriptedSink('b')] as const;
    const order: string[] = [];
    sinks[0].missed = (count, fromMs, untilMs) => order.push(`missed ${count} ${fromMs}-${untilMs}`);
    sinks[0].onDeliver = (batch) => order.push(`${batch.length}`);
    stage.sinks(...sinks);
    for (let at = 0; at < 36; at += 1)
      stage.pipeline.probe.happened(happening(`o${at}`, { timeMs: 1000 + at }));
    await stage.pass(1);
    expect(order).toEqual(['missed 20 1000-1019', '16']);
    expect(sinks[1].misses).toEqual([[20, 1000, 1019]]);
    expect(stage.count('holdfast_events_dropped_total')).toEqual({ '': 20 });
  });

  test('off: with room for everything nothing is dropped, and memory is what pays', async () => {
    const stage = new Stage({ capacity: 100_000 });
    const sink = new ScriptedSink('hangs', 'hang');
    stage.sinks(sink);
    stage.capture(...names(50_000));
    await stage.pass(1);
    expect(stage.count('holdfast_events_dropped_total')).toEqual({ '': 0 });
    expect(stage.count('holdfast_sink_pending')).toEqual({ hangs: 50_000 });
  });
});

describe('a sink that wants nothing but what is urgent', () => {
  const urgentOnly = (name: string) => new ScriptedSink(name, 'take', { urgentOnly: true });

  test('is not called for routine events, beside one that gets them all', async () => {
    const stage = new Stage();
    const [some, all] = [urgentOnly('some'), new ScriptedSink('all')];
    stage.sinks(some, all);
    stage.capture('a', 'b');
    stage.pipeline.probe.happened(happening('urgent', { type: 'lost' }));
    stage.capture('c');
    await stage.pass(600);
    expect(some.tried).toEqual([['urgent']]);
    expect(all.took.flat()).toEqual(['a', 'b', 'urgent', 'c']);
  });

  test('does not miss routine events that were dropped, and does miss urgent ones', async () => {
    const stage = new Stage({ capacity: 2 });
    const [some, all] = [urgentOnly('some'), new ScriptedSink('all')];
    stage.sinks(some, all);
    const urgent = (timeMs: number): void =>
      stage.pipeline.probe.happened(happening(`urgent ${timeMs}`, { type: 'lost', timeMs }));
    urgent(5);
    stage.capture('a', 'b', 'c');
    await stage.pass(600);
    // A storm of routine pushes out none that is urgent.
    expect([some.took, some.misses, all.misses]).toEqual([[['urgent 5']], [], [[2, 1, 1]]]);
    for (const timeMs of [6, 7, 8]) urgent(timeMs);
    await stage.pass(600);
    expect([some.misses, all.misses]).toEqual([
      [[1, 6, 6]],
      [
        [2, 1, 1],
        [1, 6, 6],
      ],
    ]);
  });

  test('where no sink wants more, routine events are not kept: they can push out no other', async () => {
    const stage = new Stage({ capacity: 2 });
    const some = urgentOnly('some');
    stage.sinks(some);
    stage.pipeline.probe.happened(happening('urgent', { type: 'lost' }));
    stage.capture('a', 'b', 'c');
    await stage.pass(600);
    expect([some.took, some.misses]).toEqual([[['urgent']], []]);
    expect(stage.count('holdfast_events_dropped_total')).toEqual({ '': 0 });
    expect(stage.count('holdfast_sink_pending')).toEqual({ some: 0 });
  });
});

describe('the end', () => {
  test('flush waits until every sink has what was captured before', async () => {
    const stage = new Stage();
    const sink = new ScriptedSink('a', 'reject');
    stage.sinks(sink);
    stage.capture('x');
    let flushed = false;
    void stage.pipeline.flush().then(() => {
      flushed = true;
    });
    await stage.pass(50);
    expect(flushed).toBe(false);
    sink.answer = 'take';
    await stage.pass(200);
    expect([flushed, sink.took]).toEqual([true, [['x']]]);
  });

  test('close delivers what is left, without the pauses between tries, and closes every sink', async () => {
    const stage = new Stage();
    const good = new ScriptedSink('good');
    const failing = new ScriptedSink('failing', 'reject');
    stage.sinks(good, failing);
    stage.capture('early');
    await stage.pass(4000);
    stage.capture('late');
    failing.answer = 'take';
    const closed = stage.pipeline.close(1000);
    await stage.pass(500);
    await closed;
    expect(good.took).toEqual([['early'], ['late']]);
    expect(failing.took).toEqual([['early'], ['late']]);
    expect([good.closed, failing.closed]).toEqual([1, 1]);
  });

  test.each(['hang', 'throw', 'reject', 'nothing'] as const)(
    'a sink that does %s at its end costs its own events and no more than the limit',
    async (answer) => {
      const stage = new Stage();
      const bad = new ScriptedSink('bad', answer);
      bad.closing = answer;
      const good = new ScriptedSink('good');
      stage.sinks(bad, good);
      stage.capture('x');
      let over = false;
      void stage.pipeline.close(1000).then(() => {
        over = true;
      });
      await stage.pass(1001);
      expect([over, good.took, good.closed, bad.closed]).toEqual([true, [['x']], 1, 1]);
      expect(bad.misses).toEqual(answer === 'nothing' ? [] : [[1, 1, 1]]);
    },
  );

  test('what is captured after it is counted as dropped', async () => {
    const stage = new Stage();
    const sink = new ScriptedSink('a');
    stage.sinks(sink);
    await stage.pipeline.close(10);
    stage.capture('late');
    await stage.pass(1000);
    expect(sink.tried).toEqual([]);
    expect(stage.count('holdfast_events_dropped_total')).toEqual({ '': 1 });
  });
});
