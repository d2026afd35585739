/** Durations as people write them. */

const UNITS_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;
const DURATION = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h)$/;

/** `30s`, `250ms`, `1.5m`, `1h` in milliseconds; undefined when it is no such thing. */
export function parseDurationMs(text: string): number | undefined {
  const match = DURATION.exec(text);
  if (match === null) return undefined;
  const ms = Number(match[1]) * UNITS_MS[match[2] as keyof typeof UNITS_MS];
  // Fractions of a millisecond are below what any timer here can keep.
  return Math.abs(ms - Math.round(ms)) < 1e-6 ? Math.round(ms) : undefined;
}

/** As people write it: 60000 is `60s`, 120000 is `2m`, 0 is `0s`. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0s';
  if (ms % UNITS_MS.h === 0) return `${ms / UNITS_MS.h}h`;
  if (ms % UNITS_MS.m === 0 && ms > UNITS_MS.m) return `${ms / UNITS_MS.m}m`;
  return ms % UNITS_MS.s === 0 ? `${ms / UNITS_MS.s}s` : `${ms}ms`;
}
