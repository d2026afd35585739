/** What people read: aligned columns and times relative to now. */
import type { Timestamp__Output } from '../edge/gen/google/protobuf/Timestamp.ts';
import type { Holder__Output } from '../edge/gen/holdfast/v1/Holder.ts';
import { systemClock } from '../std/clock.ts';
import { timeMs } from './proto-json.ts';

/** Other people's text must not steer the terminal. */
export function plain(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '?');
}

/** Columns as wide as their widest cell; no blanks at line ends. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows)
    for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, cell.length);
  const line = (row: readonly string[]) =>
    row
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd();
  return rows.map((row) => `${line(row.map(String))}\n`).join('');
}

/** A table under a title, or nothing where there are no rows. */
export function section(
  title: string,
  head: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  if (rows.length === 0) return '';
  const body = columns([head, ...rows.map((row) => row.map(plain))]);
  return `\n${title}\n${body.replace(/^/gm, '  ').trimEnd()}\n`;
}

/** `in 29s`, `4m ago`, `now`. */
export function relative(atMs: number, nowMs: number): string {
  const apartMs = Math.abs(atMs - nowMs);
  if (apartMs < 1000) return 'now';
  const text = spanText(apartMs);
  return atMs > nowMs ? `in ${text}` : `${text} ago`;
}

export function spanText(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)}ms`;
  const seconds = Math.floor(ms / 1000);
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 2 * 3600) return `${Math.floor(seconds / 60)}m`;
  return seconds < 48 * 3600 ? `${Math.floor(seconds / 3600)}h` : `${Math.floor(seconds / 86_400)}d`;
}

export function when(time: Timestamp__Output | null): string {
  return time === null ? '-' : relative(timeMs(time), systemClock.wallMicros() / 1000);
}

/** `HELD` for `STATE_HELD`, in small letters. */
export function enumText(name: string, prefix: string): string {
  return name.replace(`${prefix}_`, '').toLowerCase();
}

export function labelsText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(' ');
}

export const HOLDER_HEAD = [
  'RESOURCE',
  'OWNER',
  'LEASE_REF',
  'TOKEN',
  'MODE',
  'SINCE',
  'EXPIRES',
  'LABELS',
  'PROGRESS',
] as const;

export function holderRow(holder: Holder__Output): string[] {
  const { resource, owner, lease_ref, fencing_token, mode, labels, progress } = holder;
  return [
    resource,
    owner,
    lease_ref,
    fencing_token,
    enumText(mode, 'MODE'),
    when(holder.acquire_time),
    when(holder.expire_time),
    labelsText(labels),
    progress,
  ];
}
