/** A pipeline on a clock that stands still, sinks that behave as a test says, and what was told on the way. */
import type { ControlEvent, EventSink } from '../../../../src/control/events/event.ts';
import { EventMetrics } from '../../../../src/control/events/event-metrics.ts';
import { EventPipeline, type PipelineOptions } from '../../../../src/control/events/pipeline.ts';
import type { Happening } from '../../../../src/domain/probe.ts';
import { ManualClock } from '../../../../src/std/clock.ts';

export function happening(owner: string, more: Partial<Happening> = {}): Happening {
  const lease = { leaseRef: 'ref', token: 7n };
  return { type: 'granted', timeMs: 1, resources: ['r'], owner, lease, reason: '', ...more };
}

export const owners = (batch: readonly ControlEvent[]): string[] =>
  batch.map(({ happening: { owner } }) => owner);

type Answer = 'take' | 'throw' | 'reject' | 'hang' | 'nothing';

/** Behaves as `answer` says when it is called; remembers what it was given. */
export class ScriptedSink implements EventSink {
  readonly name: string;
  readonly urgentOnly: boolean;
  answer: Answer;
  closing: Answer = 'take';
  readonly tried: string[][] = [];
  readonly took: string[][] = [];
  readonly misses: (readonly [count: number, fromMs: number, untilMs: number])[] = [];
  closed = 0;
  onDeliver: (batch: readonly ControlEvent[]) => unknown = () => {};

  constructor(name: string, answer: Answer = 'take', { urgentOnly = false } = {}) {
    this.name = name;
    this.answer = answer;
    this.urgentOnly = urgentOnly;
  }

  deliver(batch: readonly ControlEvent[]): Promise<void> {
    this.tried.push(owners(batch));
    this.onDeliver(batch);
    if (this.answer === 'take') this.took.push(owners(batch));
    return play(this.answer);
  }

  missed(count: number, fromMs: number, untilMs: number): void {
    this.misses.push([count, fromMs, untilMs]);
  }

  close(): Promise<void> {
    this.closed += 1;
    return play(this.closing);
  }
}

function play(answer: Answer): Promise<void> {
  if (answer === 'throw') throw new Error('thrown');
  if (answer === 'reject') return Promise.reject(new Error('rejected'));
  if (answer === 'hang') return new Promise(() => {});
  // Against the types, as a sink in plain JavaScript might.
  if (answer === 'nothing') return undefined as unknown as Promise<void>;
  return Promise.resolve();
}

export class Stage {
  readonly clock = new ManualClock();
  readonly metrics = new EventMetrics();
  readonly notices: string[] = [];
  readonly pipeline: EventPipeline;

  constructor(options: Partial<PipelineOptions> = {}) {
    this.pipeline = new EventPipeline({
      clock: this.clock,
      capacity: 16,
      metrics: this.metrics,
      notice: (level, message, facts) => {
        this.notices.push(`${level} ${message} ${JSON.stringify(facts)}`);
      },
      ...options,
    });
  }

  sinks(...sinks: readonly ScriptedSink[]): void {
    for (const sink of sinks) this.pipeline.add(sink);
  }

  capture(...names: readonly string[]): void {
    for (const owner of names) this.pipeline.probe.happened(happening(owner));
  }

  /** Moves time in small steps, with everything that promises do in between. */
  async pass(ms: number, stepMs = 50): Promise<void> {
    for (let left = ms; ; left -= stepMs) {
      await settled();
      if (left <= 0) return;
      this.clock.advance(Math.min(left, stepMs));
    }
  }

  /** The series of a metric that are not 0, as `sink=value`. */
  count(name: string): Record<string, number> {
    const family = this.metrics.families.find((one) => one.name === name);
    if (family === undefined) throw new Error(`no family ${name}`);
    return Object.fromEntries(
      family.get().values.map(({ labels, value }) => [String(labels.sink ?? ''), value]),
    );
  }
}

/** More turns of the microtask queue than any chain of promises here is long. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}
