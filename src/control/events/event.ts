/** What the pipeline carries and what a sink promises: history, alerts and the event stream all hang on this contract. */
import type { Happening, Probe } from '../../domain/probe.ts';

/** Decides when it leaves: `now` at once, `routine` in batches by count or age. */
export type Priority = 'now' | 'routine';

export interface ControlEvent {
  /** Grows by one with each capture of this process, those that were dropped included. */
  readonly seq: number;
  readonly priority: Priority;
  readonly happening: Happening;
}

/** It gets one batch at a time, in order; the next when its promise settles or it is given up. */
export interface EventSink {
  /** A metric's label and a log's word: a few fixed names. */
  readonly name: string;
  /** Takes nothing but events of priority `now`: routine ones pass it by, and are not among what it misses. */
  readonly urgentOnly?: boolean;
  /** A batch that failed comes again, a bounded number of times. */
  deliver(batch: readonly ControlEvent[]): Promise<void>;
  /** So many events of this time span (wall clock, both ends included) will never reach this sink. */
  missed?(count: number, fromMs: number, untilMs: number): void;
  close?(): Promise<void>;
}

export interface Pipeline {
  readonly probe: Pick<Probe, 'happened'>;
  add(sink: EventSink): void;
  /** What was captured before is with every sink, or given up. */
  flush(): Promise<void>;
  /** Flushes and closes the sinks within the limit; never rejects. */
  close(limitMs: number): Promise<void>;
}
