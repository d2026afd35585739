/** What a command is: its usage, its arguments, and the world it may touch. */
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import { type CallerFlags, type CallerSettings, loadCaller } from '../config/caller.ts';
import { parseDurationMs } from '../config.ts';

/** Standard streams, handed in so that tests see what a user sees. */
export interface Io {
  out(text: string): void;
  err(text: string): void;
  /** All of standard input. */
  input(): Promise<string>;
}

export interface Command {
  /** Printed for --help and, shortened to its first line, for wrong usage. */
  readonly usage: string;
  /** The exit code. */
  run(args: readonly string[], io: Io): Promise<number>;
}

/** The caller of the command made a mistake: exit 64. */
export class UsageError extends Error {
  override name = 'UsageError';
}

/** A setting is wrong: exit 2, each problem on a line. */
export class SettingsError extends Error {
  override name = 'SettingsError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}

export const CALLER_OPTIONS = {
  'auth-token-file': { type: 'string' },
  'tls-ca': { type: 'string' },
  'tls-cert': { type: 'string' },
  'tls-key': { type: 'string' },
} as const satisfies ParseArgsOptionsConfig;

export const CALLER_USAGE = `
      --auth-token-file FILE  who calls: a bearer token
                         (HOLDFAST_AUTH_TOKEN_FILE, HOLDFAST_AUTH_TOKEN)
      --tls-ca FILE      speak TLS, and trust these certificates; \`system\`: the system's
                         (HOLDFAST_CLIENT_CA)
      --tls-cert FILE, --tls-key FILE  a certificate of one's own
                         (HOLDFAST_CLIENT_CERT, HOLDFAST_CLIENT_KEY)
`;

export const CLIENT_OPTIONS = {
  address: { type: 'string' },
  timeout: { type: 'string' },
  json: { type: 'boolean' },
  ...CALLER_OPTIONS,
} as const satisfies ParseArgsOptionsConfig;

export const CLIENT_USAGE = `
      --address ADDRESS  whom to call: HOST:PORT or unix:/path
                         (HOLDFAST_ADDRESS, default 127.0.0.1:7420)
      --timeout D        give up after this time (default 10s)
      --json             one JSON object on standard output${CALLER_USAGE}`;

/** `parseArgs`, with its complaints as usage errors. */
export function parseCommandLine<T extends ParseArgsOptionsConfig>(args: readonly string[], options: T) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** Throws SettingsError. */
export function callerOf(flags: CallerFlags): CallerSettings {
  const loaded = loadCaller(flags);
  if (!loaded.ok) throw new SettingsError(loaded.problems);
  return loaded.caller;
}

/** `text` of `flag` in milliseconds. */
export function durationFlag(flag: string, text: string): number {
  const ms = parseDurationMs(text);
  if (ms === undefined)
    throw new UsageError(`--${flag} ${JSON.stringify(text)} must be a duration, such as 250ms, 30s or 15m`);
  return ms;
}

export function wholeFlag(flag: string, text: string, max: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value <= max))
    throw new UsageError(`--${flag} ${JSON.stringify(text)} must be a whole number from 0 to ${max}`);
  return value;
}

/** What --label was given: KEY=VALUE, each key once. */
export function labelsOf(texts: readonly string[]): Record<string, string> {
  const labels: [string, string][] = [];
  for (const text of texts) {
    const at = text.indexOf('=');
    if (at < 1) throw new UsageError(`--label ${JSON.stringify(text)} must be KEY=VALUE`);
    const key = text.slice(0, at);
    if (labels.some(([other]) => other === key)) throw new UsageError(`--label ${key} is given twice`);
    labels.push([key, text.slice(at + 1)]);
  }
  // Not `labels[key] = ...`: a key may be called __proto__.
  return Object.fromEntries(labels);
}

/** Exactly one positional argument, called `what`. */
export function onlyArgument(positionals: readonly string[], what: string): string {
  const [first] = positionals;
  if (first === undefined || first === '') throw new UsageError(`${what} is missing`);
  if (positionals.length > 1) throw new UsageError(`one ${what} is expected, not ${positionals.length}`);
  return first;
}

export function noArguments(positionals: readonly string[]): void {
  if (positionals.length > 0) throw new UsageError(`no argument is expected, not ${positionals.length}`);
}

/** A lease id from the command line, or from standard input where other users of the machine cannot read it. */
export async function leaseIdArgument(positionals: readonly string[], io: Io): Promise<string> {
  const given = onlyArgument(positionals, 'LEASE_ID');
  const leaseId = given === '-' ? ((await io.input()).split('\n', 1)[0] ?? '').trim() : given;
  if (leaseId === '') throw new UsageError('LEASE_ID is missing: standard input was empty');
  return leaseId;
}
