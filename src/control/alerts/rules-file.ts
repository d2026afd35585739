/** Reads the file of HOLDFAST_ALERTS; every mistake is named with its line and key, and no secret with them. */
import { dirname, resolve } from 'node:path';
import { type Document, isAlias, isNode, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { schema } from './schema.ts';
import { type AlertsConfig, channelsOf, configOf } from './settings.ts';

export type LoadedAlerts =
  | { readonly config: AlertsConfig; readonly warnings: readonly string[] }
  | { readonly faults: readonly string[] };

export type ReadFile = (path: string) => string;

const FILE_CHARACTERS_MAX = 1 << 20;

type Where = readonly PropertyKey[];

/** `channels[1].url` */
function pathText(path: Where): string {
  return path
    .map((part, at) => (typeof part === 'number' ? `[${part}]` : `${at === 0 ? '' : '.'}${String(part)}`))
    .join('');
}

/** Writes where something is wrong, as `FILE:LINE: KEY why`. */
function teller(path: string, document: Document, lines: LineCounter): (where: Where, why: string) => string {
  const line = (where: Where): number => {
    for (let length = where.length; length >= 0; length--) {
      const found = document.getIn(where.slice(0, length), true);
      if (isNode(found) && !isAlias(found) && found.range) return lines.linePos(found.range[0]).line;
    }
    return 1;
  };
  return (where, why) =>
    `${path}:${line(where)}: ${[pathText(where), why].filter((part) => part !== '').join(' ')}`;
}

/** Reads files through `readFile` alone, and does nothing else: what it returns can be applied, or forgotten. */
export function loadAlerts(path: string, readFile: ReadFile): LoadedAlerts {
  let content: string;
  try {
    content = readFile(path);
  } catch (error) {
    return { faults: [`${path}: cannot be read: ${codeOf(error)}`] };
  }
  if (content.length > FILE_CHARACTERS_MAX) return { faults: [`${path}: is longer than 1 MiB`] };
  const lines = new LineCounter();
  const document = parseDocument(content, { lineCounter: lines });
  if (document.errors.length > 0) {
    const faults = document.errors.map(
      ({ linePos, code }) => `${path}:${linePos?.[0].line ?? 1}: is no YAML: ${code}`,
    );
    return { faults };
  }
  const told = teller(path, document, lines);
  let plain: unknown;
  try {
    plain = document.toJS() ?? {};
  } catch {
    return { faults: [`${path}: has aliases that lead too far`] };
  }
  const parsed = schema.safeParse(plain);
  if (!parsed.success) {
    return { faults: parsed.error.issues.flatMap(faultsOf).map(({ where, why }) => told(where, why)) };
  }
  const faults: string[] = [];
  const warnings: string[] = [];
  const channels = channelsOf(parsed.data, {
    read: (name) => readFile(resolve(dirname(path), name)).trim(),
    fault: (where, why) => void faults.push(told(where, why)),
    warn: (where, why) => void warnings.push(told(where, why)),
  });
  return faults.length > 0 ? { faults } : { config: configOf(parsed.data, channels), warnings };
}

function codeOf(error: unknown): string {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? code : 'it failed';
}

interface Fault {
  readonly where: Where;
  readonly why: string;
}

function faultsOf(issue: z.core.$ZodIssue): Fault[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ where: [...issue.path, key], why: 'is no key that is known here' }));
  }
  if (issue.code === 'invalid_key')
    return [{ where: issue.path, why: 'is not written as a class of HOLDFAST_CLASSES' }];
  const bare = issue.code === 'invalid_type' && issue.message.startsWith('Invalid');
  return [{ where: issue.path, why: bare ? `must be a ${issue.expected}` : issue.message }];
}
