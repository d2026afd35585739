/** Votes in traces: an event in the span of the call for each, with who had answered what, and when, by the decision. */
import type { Span } from '@opentelemetry/api';
import type { VoteTrace } from '../domain/probe.ts';
import type { Clock } from '../std/clock.ts';
import type { Tracing } from './tracing.ts';

/** Not a span of its own with an event for each answer: made and sent, those were two fifths of what a sampled call cost. */
class VoteEvent implements VoteTrace {
  readonly #span: Span;
  readonly #clock: Clock;
  readonly #op: string;
  readonly #startedMs: number;
  #answers = '';
  #decided = false;

  constructor(span: Span, clock: Clock, op: string) {
    this.#span = span;
    this.#clock = clock;
    this.#op = op;
    this.#startedMs = clock.monotonicMs();
  }

  answered(node: string, answer: string): void {
    // Most votes are decided before the last node has answered.
    if (this.#decided) return;
    const tookMs = this.#clock.monotonicMs() - this.#startedMs;
    this.#answers += `${this.#answers === '' ? '' : ', '}${node} ${answer} ${tookMs.toFixed(2)} ms`;
  }

  decided(carried: boolean): void {
    this.#decided = true;
    // A call may be answered before its last vote is decided, and the SDK warns of events that come too late.
    if (!this.#span.isRecording()) return;
    this.#span.addEvent(`vote ${this.#op}`, {
      'holdfast.carried': carried,
      'holdfast.answers': this.#answers,
    });
  }
}

/** Undefined where the call is not sampled: a vote then pays for one look at the active span. */
export function voteTraces(
  { recording }: Pick<Tracing, 'recording'>,
  clock: Clock,
): (op: string) => VoteTrace | undefined {
  return (op) => {
    const span = recording();
    return span === undefined ? undefined : new VoteEvent(span, clock, op);
  };
}
