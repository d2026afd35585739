/** Spans of time as callers write them: a number of milliseconds, or a text such as `500ms`, `30s`, `1m`, `2h`. */
import { InvalidFieldError } from './errors.ts';
import type { Duration, DurationRead, TimestampRead } from './gen/messages.ts';
import { wideToNumber } from './wire/wide.ts';

/** Milliseconds, or a text with its unit: `ms`, `s`, `m` or `h`. */
export type Span = number | string;

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const TEXT = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/;
/** What google.protobuf.Duration holds. */
const LONGEST_MS = 315_576_000_000_000;

/** Milliseconds; throws InvalidFieldError for what is no span, or negative. */
export function spanMs(field: string, span: Span): number {
  const ms = typeof span === 'number' ? span : textMs(span);
  if (ms === undefined || Number.isNaN(ms)) {
    throw InvalidFieldError.of(field, 'must be milliseconds or a text such as 500ms, 30s, 1m or 2h');
  }
  if (ms < 0) throw InvalidFieldError.of(field, `must not be negative, as ${ms}ms is`);
  if (ms > LONGEST_MS && ms !== Infinity) throw InvalidFieldError.of(field, 'is longer than 10,000 years');
  return ms;
}

function textMs(text: unknown): number | undefined {
  const found = typeof text === 'string' ? TEXT.exec(text) : null;
  return found === null ? undefined : Number(found[1]) * UNITS_MS[found[2]!]!;
}

export function duration(ms: number): Duration {
  const seconds = Math.trunc(ms / 1000);
  const nanos = Math.round((ms - seconds * 1000) * 1e6);
  return nanos < 1e9 ? { seconds, nanos } : { seconds: seconds + 1, nanos: 0 };
}

export function durationMs(read: DurationRead | null): number {
  return read === null ? 0 : wideToNumber(read.seconds) * 1000 + read.nanos / 1e6;
}

/** Milliseconds since 1970, with fractions. */
export function timestampMs(read: TimestampRead | null): number {
  return read === null ? 0 : wideToNumber(read.seconds) * 1000 + read.nanos / 1e6;
}

export function dateOf(read: TimestampRead | null): Date | undefined {
  return read === null ? undefined : new Date(timestampMs(read));
}
