/** Which lines of a room ran, from what V8 counted in all processes of a run (NODE_V8_COVERAGE). */
import { readdirSync, readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { blank } from '../tidy/scan.ts';

export const ROOMS = ['src/locks', 'src/quorum'] as const;
export const LEAST_PERCENT = 90;

export interface Covered {
  /** Relative to the root. */
  readonly path: string;
  /** Lines that bear code: no comment, no type, no lone bracket. */
  readonly lines: number;
  readonly missed: readonly number[];
}

interface Range {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly count: number;
}

interface Report {
  readonly result: readonly {
    readonly url: string;
    readonly functions: readonly { readonly ranges: readonly Range[] }[];
  }[];
}

const root = fileURLToPath(new URL('../../', import.meta.url));

/** Each file of `room`, also those that nobody has loaded; `folder` is where V8 left its counts. */
export function coveredOf(room: string, folder: string): Covered[] {
  const reports = readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as Report);
  return readdirSync(join(root, room))
    .filter((name) => name.endsWith('.ts'))
    .map((name) => {
      const path = `${room}/${name}`;
      const { href } = pathToFileURL(join(root, path));
      const runs = reports.flatMap(({ result }) => result.filter(({ url }) => url === href));
      return coveredIn(path, readFileSync(join(root, path), 'utf8'), runs);
    });
}

/** A line is missed if none of its code ran in any process. */
export function coveredIn(path: string, source: string, runs: Report['result']): Covered {
  const ran = runs.map(({ functions }) => ranIn(source.length, functions));
  // Types become spaces, so every offset stays what it was.
  const code = blank(stripTypeScriptTypes(source)).code;
  let offset = 0;
  let lines = 0;
  const missed: number[] = [];
  for (const [index, line] of code.split('\n').entries()) {
    const first = offset + line.search(/\S/);
    if (/\w/.test(line) && !/^\s*(import|export\s*\{|export\s*\*|\}\s*from)\b/.test(line)) {
      lines += 1;
      const last = offset + line.trimEnd().length;
      if (!ran.some((marks) => marks.subarray(first, last).includes(1))) missed.push(index + 1);
    }
    offset += line.length + 1;
  }
  return { path, lines, missed };
}

/** 1 where a character ran: inner ranges say more than those around them. */
function ranIn(length: number, functions: Report['result'][number]['functions']): Uint8Array {
  const marks = new Uint8Array(length);
  const ranges = functions.flatMap(({ ranges }) => ranges);
  ranges.sort((one, other) => one.startOffset - other.startOffset || other.endOffset - one.endOffset);
  for (const { startOffset, endOffset, count } of ranges)
    marks.fill(count > 0 ? 1 : 0, startOffset, endOffset);
  return marks;
}

/** In percent. */
export function shareOf(files: readonly Covered[]): number {
  const lines = files.reduce((sum, file) => sum + file.lines, 0);
  const missed = files.reduce((sum, file) => sum + file.missed.length, 0);
  return (100 * (lines - missed)) / lines;
}

/** `3-5, 9`. */
export function spansOf(numbers: readonly number[]): string {
  const spans: [number, number][] = [];
  for (const number of numbers) {
    const last = spans.at(-1);
    if (last !== undefined && last[1] === number - 1) last[1] = number;
    else spans.push([number, number]);
  }
  return spans.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(', ');
}
