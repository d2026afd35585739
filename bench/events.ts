/** What it costs the path to announce an event: 10,000 a second, with a sink that hangs, one that throws and a slow one. */
import type { ControlEvent, EventSink } from '../src/control/events/event.ts';
import { EventMetrics } from '../src/control/events/event-metrics.ts';
import { EventPipeline } from '../src/control/events/pipeline.ts';
import { createTelemetry } from '../src/control/telemetry.ts';
import { type Happening, type Probe, silentProbe } from '../src/domain/probe.ts';
import { awake, pause, systemClock } from '../src/std/clock.ts';
import { fixed, type Gate, gate, heading, judge, say, table } from './lib/report.ts';
import { median, quantile } from './lib/stats.ts';

const PER_SECOND = 10_000;
const SECONDS = process.argv.includes('--quick') ? 2 : 5;
/** Noise only ever adds: of so many runs the best one counts. */
const RUNS = 3;
const CAPACITY = 16_384;
const MOST_MS = 1;
/** What the slow sink does with each batch before it answers, as one that encodes or writes would. */
const BUSY_MS = 2;
/** A build that calls sinks at once takes so long for each that more of them show nothing new. */
const SLOWED_EVENTS = 300;
const SLICES = 15;
const SLICE_EVENTS = 20_000;

type Capture = Probe['happened'];

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

/**
 * Of each call: how long it took by the clock, and its own time, which is the lesser of that and of the CPU that this
 * thread had: the clock also counts while another process has the core, the CPU also what reading it costs.
 */
interface Took {
  readonly wallMs: Float64Array;
  readonly ownMs: Float64Array;
}

function threadCpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

/** `perSecond` calls at a steady pace. */
async function paced(capture: Capture, count: number, perSecond: number): Promise<Took> {
  const [wallMs, ownMs] = [new Float64Array(count), new Float64Array(count)];
  const startedMs = performance.now();
  for (let at = 0; at < count; ) {
    const due = Math.min(count, Math.floor(((performance.now() - startedMs) * perSecond) / 1000));
    for (; at < due; at += 1) {
      const event = happening(at);
      const beforeCpuMs = threadCpuMs();
      const beforeMs = performance.now();
      capture(event);
      wallMs[at] = performance.now() - beforeMs;
      ownMs[at] = Math.min(wallMs[at]!, threadCpuMs() - beforeCpuMs);
    }
    await pause(systemClock, 1);
  }
  return { wallMs, ownMs };
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

interface Run {
  readonly took: Took;
  readonly gates: readonly Gate[];
}

async function oneRun(): Promise<Run> {
  const [slow, hanging, throwing] = [new Slow(), hangs(), throws()];
  const { pipeline, metrics, capture } = opened([hanging, throwing, slow]);
  const count = PER_SECOND * SECONDS;
  const took = await paced(capture, count, PER_SECOND);
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

function callGate(runs: readonly Took[]): Gate {
  const most = runs.map(({ ownMs }) => longest(ownMs));
  return gate(
    `a call takes at most ${MOST_MS} ms`,
    Math.min(...most) <= MOST_MS,
    `longest of each run: ${most.map((ms) => `${fixed(ms, 3)} ms`).join(', ')} of its own (the best counts)`,
  );
}

function spread(name: string, { wallMs, ownMs }: Took): string[] {
  const us = (at: number): string => fixed(quantile([...wallMs], at) * 1000, 2);
  return [name, us(0.5), us(0.99), us(0.999), us(1), fixed(longest(ownMs) * 1000, 0)];
}

/** Nanoseconds for each call in a tight loop, beside a probe that does nothing. */
async function costs(): Promise<void> {
  const { pipeline, capture } = opened([new Slow(), hangs(), throws()]);
  const slice = (call: Capture): number => {
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

/** Would the gate notice a build that calls its sinks inside the call? */
async function slowedGate(): Promise<Gate> {
  const slow = new Slow();
  let seq = 0;
  const slowed: Capture = (event) => {
    seq += 1;
    void slow.deliver([{ seq, priority: 'routine', happening: event }]);
  };
  const caught = callGate([await paced(slowed, SLOWED_EVENTS, PER_SECOND)]);
  return gate('a build that calls sinks inside the call is caught', !caught.passed, caught.detail);
}

/** Nothing but timers of clocks is waited for, and these keep no process alive. */
export const run = (): Promise<boolean> => awake(measured());

async function measured(): Promise<boolean> {
  heading(
    `${PER_SECOND} events a second for ${SECONDS} s, with a sink that hangs, one that throws, one that is slow`,
  );
  const runs: Run[] = [];
  for (let nth = 0; nth < RUNS; nth += 1) runs.push(await oneRun());
  table([
    ['one call, us', 'p50', 'p99', 'p99.9', 'max', 'max own'],
    ...runs.map(({ took }, at) => spread(`run ${at + 1}`, took)),
  ]);
  await costs();
  say();
  return judge([
    callGate(runs.map(({ took }) => took)),
    ...runs.flatMap(({ gates }) => gates),
    await slowedGate(),
  ]);
}
