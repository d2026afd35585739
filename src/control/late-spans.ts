/**
 * Sampled spans that are only written down while their call runs; the SDK makes them afterwards, many in a row.
 *
 * With one call in a hundred sampled, what the SDK needs for a span has left the processor's caches when the next one
 * comes, and each costs five to ten times what it costs in a loop (docs/benchmarks.md). Ids are needed at once, for they
 * travel with the lock: they are drawn here, and the SDK's generator of ids gives them out again for the span they are of.
 */
import {
  type Attributes,
  type Context,
  context,
  diag,
  type Exception,
  isSpanContextValid,
  type Link,
  type Span,
  type SpanContext,
  type SpanOptions,
  type SpanStatus,
  type TimeInput,
  TraceFlags,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import type { Clock, Timer } from '../std/clock.ts';

/** As the SDK calls it. */
export interface SpanIds {
  generateTraceId(): string;
  generateSpanId(): string;
}

/** What of a tracer is used here. */
export type SpanStarter = Pick<Tracer, 'startSpan'>;

/** Enough to share one cold start, few enough that no call waits for long behind them. */
export const BATCH = 64;
/** For the last ones of a burst. */
export const LINGER_MS = 250;

/** Has the SDK make a span that ended. */
type Making = () => void;

export class LateSpans {
  readonly #clock: Clock;
  readonly #drawn: SpanIds;
  /** Of the span that is being made. */
  #known: SpanContext | undefined;
  /** Spans that were started and have not ended. */
  #open = 0;
  #ended: Making[] = [];
  #timer: Timer | undefined;

  constructor(clock: Clock, drawn: SpanIds) {
    this.#clock = clock;
    this.#drawn = drawn;
  }

  /** For the SDK. */
  readonly ids: SpanIds = {
    generateTraceId: () => this.#known?.traceId ?? this.#drawn.generateTraceId(),
    generateSpanId: () => this.#known?.spanId ?? this.#drawn.generateSpanId(),
  };

  /**
   * Right only where the sampler follows the parent and takes each root that it is asked about: here it is asked when the
   * span has long ended. Below a parent that is not sampled nothing is recorded, and the SDK answers at once.
   */
  starter(sdk: SpanStarter): SpanStarter {
    return {
      startSpan: (name, options = {}, parent = context.active()) => {
        const above = parentOf(options, parent);
        const sampled = above === undefined || (above.traceFlags & TraceFlags.SAMPLED) !== 0;
        if (!sampled) return sdk.startSpan(name, options, parent);
        const own: SpanContext = {
          traceId: above?.traceId ?? this.#drawn.generateTraceId(),
          spanId: this.#drawn.generateSpanId(),
          traceFlags: TraceFlags.SAMPLED,
          ...(above?.traceState === undefined ? {} : { traceState: above.traceState }),
        };
        this.#open += 1;
        return new LateSpan(own, this.#clock, (startTime, told, endTime) => {
          this.#open -= 1;
          this.#later(() => {
            this.#known = own;
            const span = sdk.startSpan(name, { startTime, ...options }, parent);
            this.#known = undefined;
            for (const tell of told) tell(span);
            span.end(endTime);
          });
        });
      },
    };
  }

  /** Where no sampled call is under way, which is mostly so, nothing has to be looked up. */
  recording(): Span | undefined {
    return this.#open === 0 ? undefined : recording();
  }

  /** Before a shutdown, for what ended just now. */
  flush(): void {
    const ended = this.#ended;
    this.#ended = [];
    for (const make of ended) {
      try {
        make();
      } catch (error) {
        this.#known = undefined;
        diag.error(`a span was lost: ${String(error)}`);
      }
    }
  }

  #later(make: Making): void {
    const waiting = this.#ended.push(make);
    if (waiting === 1) this.#wake(LINGER_MS);
    // Not here and now: this is the end of a call.
    else if (waiting === BATCH) this.#wake(0);
  }

  #wake(afterMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.after(afterMs, () => this.flush());
  }
}

/** The span of the call that is running, if it is sampled. */
export function recording(): Span | undefined {
  const span = trace.getSpan(context.active());
  return span?.isRecording() === true ? span : undefined;
}

/** As the SDK finds it. */
function parentOf({ root = false }: SpanOptions, parent: Context): SpanContext | undefined {
  const above = root ? undefined : trace.getSpanContext(parent);
  return above !== undefined && isSpanContextValid(above) ? above : undefined;
}

/** What was told of a span, in its order, to be told again. */
type Told = ((span: Span) => void)[];
type End = (startTime: TimeInput, told: Told, endTime: TimeInput) => void;

class LateSpan implements Span {
  readonly #own: SpanContext;
  readonly #clock: Clock;
  readonly #onEnd: End;
  readonly #startedMs: number;
  readonly #startedEpochMs: number;
  readonly #told: Told = [];
  #ended = false;

  constructor(own: SpanContext, clock: Clock, onEnd: End) {
    this.#own = own;
    this.#clock = clock;
    this.#onEnd = onEnd;
    this.#startedMs = clock.monotonicMs();
    this.#startedEpochMs = clock.wallMicros() / 1000;
  }

  spanContext(): SpanContext {
    return this.#own;
  }

  isRecording(): boolean {
    return !this.#ended;
  }

  setAttribute(key: string, value: NonNullable<Attributes[string]>): this {
    return this.#tell((span) => span.setAttribute(key, value));
  }

  setAttributes(attributes: Attributes): this {
    return this.#tell((span) => span.setAttributes(attributes));
  }

  addEvent(name: string, facts?: Attributes | TimeInput, at?: TimeInput): this {
    if (isTime(facts)) return this.#tell((span) => span.addEvent(name, facts));
    const time = at ?? this.#nowEpochMs();
    return this.#tell((span) => span.addEvent(name, facts, time));
  }

  addLink(link: Link): this {
    return this.#tell((span) => span.addLink(link));
  }

  addLinks(links: Link[]): this {
    return this.#tell((span) => span.addLinks(links));
  }

  setStatus(status: SpanStatus): this {
    return this.#tell((span) => span.setStatus(status));
  }

  updateName(name: string): this {
    return this.#tell((span) => span.updateName(name));
  }

  recordException(exception: Exception, at: TimeInput = this.#nowEpochMs()): void {
    this.#tell((span) => span.recordException(exception, at));
  }

  end(at: TimeInput = this.#nowEpochMs()): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#onEnd(this.#startedEpochMs, this.#told, at);
  }

  /** The wall clock may jump while a call runs; its length does not. */
  #nowEpochMs(): number {
    return this.#startedEpochMs + this.#clock.monotonicMs() - this.#startedMs;
  }

  /** After its end nothing is told of it, as with the SDK's. */
  #tell(tell: (span: Span) => void): this {
    if (!this.#ended) this.#told.push(tell);
    return this;
  }
}

function isTime(facts: Attributes | TimeInput | undefined): facts is TimeInput {
  return typeof facts === 'number' || facts instanceof Date || Array.isArray(facts);
}
