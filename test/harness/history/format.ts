/** A history as text: lines for people, in the order of time, and lines of JSON for other processes. */
import type { Asked, Entry, Held, History, Ms, Violation, Wrote } from './history.ts';

export function formatViolation(violation: Violation): string {
  const { rule, resource, atMs, detail, entries } = violation;
  const shown = formatHistory(entries)
    .split('\n')
    .map((line) => `  ${line}`);
  return [
    `${rule} on ${resource || 'no resource'} at ${ms(atMs)}: ${detail}`,
    ...(entries.length > 0 ? shown : []),
  ].join('\n');
}

/** One line for each entry: when it began and ended, and what it was. */
export function formatHistory(history: History): string {
  return [...history]
    .sort((one, other) => beginOf(one) - beginOf(other) || endOf(one) - endOf(other))
    .map((entry) => `${`${ms(beginOf(entry))} .. ${ms(endOf(entry))}`.padEnd(24)}  ${wordsOf(entry)}`)
    .join('\n');
}

function beginOf(entry: Entry): Ms {
  if (entry.kind === 'held') return entry.fromMs;
  return 'calledMs' in entry ? entry.calledMs : entry.atMs;
}

function endOf(entry: Entry): Ms {
  switch (entry.kind) {
    case 'held':
      return entry.untilMs;
    case 'fault':
      return entry.untilMs ?? entry.atMs;
    case 'healed':
    case 'rest':
      return entry.atMs;
    default:
      return entry.answeredMs ?? Number.POSITIVE_INFINITY;
  }
}

/** Infinity: no answer came. */
function ms(at: Ms): string {
  return Number.isFinite(at) ? String(Math.round(at * 1000) / 1000) : '?';
}

function wordsOf(entry: Entry): string {
  switch (entry.kind) {
    case 'acquire':
      return askedWords(entry);
    case 'held':
      return heldWords(entry);
    case 'renew':
    case 'release':
      return `${entry.client} ${entry.kind} ${entry.leaseRef} -> ${entry.outcome}`;
    case 'force':
      return `force ${entry.resource} -> ${entry.leaseRefs.join(' ') || 'nobody'}`;
    case 'write':
      return wroteWords(entry);
    case 'fault':
      return `FAULT ${entry.name} ${entry.where}`;
    case 'healed':
      return `HEALED, alive by ${ms(entry.aliveByMs)}`;
    case 'rest':
      return `REST ${entry.resource}: leases [${entry.leaseRefs.join(' ')}], waiters [${entry.waiters.join(' ')}]`;
  }
}

function askedWords(asked: Asked): string {
  const {
    client,
    owner,
    resources,
    mode,
    any,
    priority,
    requestId,
    waits,
    queuedMs,
    outcome,
    reason,
    grant,
  } = asked;
  return [
    `${client} acquire ${resources.join('+')}`,
    ...(mode === 'shared' ? ['shared'] : []),
    ...(any > 0 ? [`any ${any}`] : []),
    ...(owner === client ? [] : [`owner ${owner}`]),
    ...(priority === 0 ? [] : [`priority ${priority}`]),
    ...(requestId === '' ? [] : [`request ${requestId}`]),
    ...(waits ? ['waits'] : []),
    ...(queuedMs === undefined ? [] : [`queued ${ms(queuedMs)}`]),
    `-> ${outcome}`,
    ...(reason === undefined ? [] : [reason]),
    ...(grant === undefined
      ? []
      : [
          `${grant.leaseRef} token ${grant.token} of ${grant.resources.join('+')}${grant.replayed ? ' replayed' : ''}`,
        ]),
  ].join(' ');
}

function heldWords({ client, resources, mode, leaseRef, token, end }: Held): string {
  return `${client} HOLDS ${resources.join('+')} ${mode} lease ${leaseRef} token ${token}, ${end}`;
}

function wroteWords({ client, register, resource, token, read, wrote, outcome }: Wrote): string {
  return `${client} ${register} ${resource} token ${token} saw '${read}' wrote '${wrote}' -> ${outcome}`;
}

/** One line; a token is written as text, for JSON has no bigint. */
export function writeEntry(entry: Entry): string {
  return JSON.stringify(entry, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
}

/** Lines of `writeEntry`. What a killed process has left of its last line, without an end, is let go. */
export function readEntries(text: string): Entry[] {
  const lines = text.split('\n');
  const cut = lines.pop() ?? '';
  return [...lines, ...(isWhole(cut) ? [cut] : [])]
    .filter((line) => line.trim() !== '')
    .map(
      (line) =>
        JSON.parse(line, (key, value: unknown) =>
          key === 'token' ? BigInt(value as string) : value,
        ) as Entry,
    );
}

function isWhole(line: string): boolean {
  try {
    JSON.parse(line);
    return true;
  } catch {
    return false;
  }
}
