/** What it costs the path to announce an event: 10,000 a second, with a sink that hangs, one that throws and a slow one. */
import type { ControlEvent, EventSink } from '../src/control/events/event.ts';
import { EventMetrics } from '../src/control/events/event-metrics.ts';
import { EventPipeline } from '../src/control/events/pipeline.ts';
import { createTelemetry } from '../src/control/telemetry.ts';
import { type Happening, silentProbe } from '../src/domain/probe.ts';
import { awake, pause, systemClock } from '../src/std/clock.ts';
import { type Call, paced, type Timed, type Times, withoutWaits } from './lib/call-times.ts';
import { fixed, type Gate, gate, heading, judge, say, table } from './lib/report.ts';
import { median, quantile } from './lib/stats.ts';

const PER_SECOND = 10_000;
const SECONDS = process.argv.includes('--quick') ? 2 : 5;
/**
 * Told, not judged: a process compiles the path anew as it learns of it, twice in seconds and then no more, and a call in
 * which that begins or ends may be held for milliseconds.
 */
const WARM_UPS = 2;
/** Each of them has to pass. */
const RUNS = 3;
const CAPACITY = 16_384;
const MOST_MS = 1;
/** What the slow sink does with each batch before it answers, as one that encodes or writes would. */
const BUSY_MS = 2;
/** Little more than is allowed: what is far too long would be noticed by a coarser clock, too. */
const SLOWED_MS = 1.5;
const SLICES = 15;
const SLICE_EVENTS = 20_000;

function busy(ms: number): void {
  const untilMs = performance.now() + ms;
  while (performance.now() < untilMs);
}

class Slow implements EventSink {
  readonly name = 'slow';
  delivered = 0;
  inOrder = true;
  #last = 0;

  async deliver(batch: readonly ControlEvent[]): Promise<void> {
    busy(BUSY_MS);
    for (const { seq } of batch) {
      this.inOrder &&= seq === this.#last + 1;
      this.#last = seq;
    }
    this.delivered += batch.length;
  }
}

/** Fails in its own way, and hears what it misses. */
class Bad implements EventSink {
  readonly name: string;
  misses = 0;
  readonly #deliver: () => Promise<void>;

  constructor(name: string, deliver: () => Promise<void>) {
    this.name = name;
    this.#deliver = deliver;
  }

  deliver(): Promise<void> {
    return this.#deliver();
  }

  missed(count: number): void {
    this.misses += count;
  }
}

const hangs = (): Bad => new Bad('hangs', () => new Promise(() => {}));
const throws = (): Bad =>
  new Bad('throws', () => {
    throw new Error('thrown');
  });

function happening(at: number): Happening {
  const lease = { leaseRef: 'YAM9M5EWdfeE_Foe', token: BigInt(at) };
  const type = at % 1000 === 0 ? 'forced' : 'granted';
  return { type, timeMs: at, resources: ['gpu/0'], owner: 'trainer/1', lease, reason: '' };
}

/** As the control room puts it together. */
function opened(sinks: readonly EventSink[]) {
  const metrics = new EventMetrics();
  const pipeline = new EventPipeline({ clock: systemClock, capacity: CAPACITY, metrics, notice: () => {} });
  for (const sink of sinks) pipeline.add(sink);
  const probe = createTelemetry([{ name: 'events', probe: pipeline.probe }], () => {});
  return { pipeline, metrics, capture: probe.happened };
}

function countOf(metrics: EventMetrics, name: string, sink = ''): number {
  const family = metrics.families.find((one) => one.name === name);
  return family?.get().values.find(({ labels }) => (labels.sink ?? '') === sink)?.value ?? Number.NaN;
}

/** All calls of a run go to `call`, beside as many that do nothing. */
const timed = (call: Call, count: number): Promise<Timed> =>
  paced(call, silentProbe.happened, happening, count, PER_SECOND);

interface Run {
  readonly took: Timed;
  readonly gates: readonly Gate[];
}

async function oneRun(): Promise<Run> {
  const [slow, hanging, throwing] = [new Slow(), hangs(), throws()];
  const { pipeline, metrics, capture } = opened([hanging, throwing, slow]);
  const count = PER_SECOND * SECONDS;
  const took = await timed(capture, count);
  await pipeline.close(2000);
  const dropped = countOf(metrics, 'holdfast_events_dropped_total');
  const lost = (sink: string): number => countOf(metrics, 'holdfast_sink_dropped_total', sink);
  say(
    `  ${count} captured, ${dropped} dropped by the ring; slow: ${slow.delivered} delivered; ` +
      `hangs: ${lost('hangs')} dropped; throws: ${lost('throws')} dropped`,
  );
  return {
    took,
    gates: [
      gate(
        'the sink that works has all, in order',
        slow.delivered === count && slow.inOrder,
        `${slow.delivered} of ${count}`,
      ),
      gate(
        'the others were told of each one that they missed',
        hanging.misses === count && throwing.misses === count && lost('hangs') === count,
        `${hanging.misses} and ${throwing.misses} of ${count}`,
      ),
    ],
  };
}

const longest = (all: Float64Array): number => all.reduce((a, b) => Math.max(a, b), 0);

/** More calls than of those that do nothing took too long, in any run: then it was not the machine. */
function callGate(runs: readonly Timed[]): Gate {
  const told = (which: keyof Timed): string =>
    runs.map((run) => `${run[which].over(MOST_MS)} (${fixed(longest(run[which].ownMs), 3)} ms)`).join(', ');
  return gate(
    `a call takes at most ${MOST_MS} ms`,
    runs.every(({ call, nothing }) => call.over(MOST_MS) <= nothing.over(MOST_MS)),
    `of ${runs[0]!.call.ownMs.length} took longer in each run (and the longest took): ${told('call')}; ` +
      `of as many that do nothing: ${told('nothing')}`,
  );
}

function spread(name: string, { wallMs, ownMs }: Times): string[] {
  const all = [...wallMs];
  const us = [0.5, 0.99, 0.999, 0.9999, 1].map((at) => fixed(quantile(all, at) * 1000, 2));
  const over = wallMs.filter((ms) => ms > MOST_MS).length;
  return [name, ...us, String(over), fixed(longest(ownMs) * 1000, 2)];
}

/** Nanoseconds for each call in a tight loop, beside a probe that does nothing. */
async function costs(): Promise<void> {
  const { pipeline, capture } = opened([new Slow(), hangs(), throws()]);
  const slice = (call: Call): number => {
    const events = Array.from({ length: SLICE_EVENTS }, (_, at) => happening(at + 1));
    const beforeMs = performance.now();
    for (const event of events) call(event);
    return ((performance.now() - beforeMs) * 1e6) / SLICE_EVENTS;
  };
  const figures: Record<'capture' | 'nothing', number[]> = { capture: [], nothing: [] };
  for (let round = 0; round < SLICES; round += 1) {
    figures.capture.push(slice(capture));
    figures.nothing.push(slice(silentProbe.happened));
    // The pipeline works outside of the calls.
    await pause(systemClock, 20);
  }
  await pipeline.close(500);
  const [ours, nothing] = [median(figures.capture), median(figures.nothing)];
  say(
    `  in a tight loop: ${fixed(ours, 0)} ns a call, ${fixed(nothing, 0)} ns for a probe that does nothing`,
  );
}

function asleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** Would the gate notice a build of which one call of a whole run is slow? */
async function slowedGate(what: string, waste: (ms: number) => void): Promise<Gate> {
  const { pipeline, capture } = opened([new Slow(), hangs(), throws()]);
  const count = PER_SECOND * SECONDS;
  let calls = 0;
  const slowed: Call = (event) => {
    calls += 1;
    if (calls === count / 2) waste(SLOWED_MS);
    capture(event);
  };
  const caught = callGate([await timed(slowed, count)]);
  await pipeline.close(2000);
  return gate(
    `a build of which one call in ${count} ${what} for ${SLOWED_MS} ms is caught`,
    !caught.passed,
    caught.detail,
  );
}

/** Nothing but timers of clocks is waited for, and these keep no process alive. */
export const run = (): Promise<boolean> => awake(measured());

async function measured(): Promise<boolean> {
  heading(
    `${PER_SECOND} events a second for ${SECONDS} s, with a sink that hangs, one that throws, one that is slow`,
  );
  const runs: Run[] = [];
  for (let nth = 0; nth < WARM_UPS + RUNS; nth += 1) runs.push(await oneRun());
  const judged = runs.slice(WARM_UPS);
  table([
    ['one call, us', 'p50', 'p99', 'p99.9', 'p99.99', 'max', `> ${MOST_MS} ms`, 'max own'],
    ...runs.flatMap(({ took }, at) => [
      spread(at < WARM_UPS ? `warm-up ${at + 1}` : `run ${at + 1 - WARM_UPS}`, took.call),
      spread('  a call that does nothing', took.nothing),
    ]),
  ]);
  if (withoutWaits !== '') say(`  ${withoutWaits}`);
  await costs();
  say();
  return judge([
    callGate(judged.map(({ took }) => took)),
    ...runs.flatMap(({ gates }) => gates),
    await slowedGate('works', busy),
    await slowedGate('sleeps', asleep),
  ]);
}
