/** What `holdfast run` was told, checked as a whole before anything happens. */
import { hostname } from 'node:os';
import type { CallerSettings } from '../../config/caller.ts';
import { loadAddresses } from '../../config/client.ts';
import { limits } from '../../domain/limits.ts';
import {
  CALLER_OPTIONS,
  callerOf,
  durationFlag,
  labelsOf,
  parseCommandLine,
  SettingsError,
  UsageError,
  wholeFlag,
} from '../command.ts';
import { type OnLoss, type Terms, termsOf } from './judge.ts';
import { type Template, templateOf } from './variables.ts';

const USUAL_TTL_MS = 30_000;

const OPTIONS = {
  address: { type: 'string', multiple: true },
  'max-wait': { type: 'string' },
  ttl: { type: 'string' },
  'kill-after': { type: 'string' },
  'on-loss': { type: 'string' },
  owner: { type: 'string' },
  mode: { type: 'string' },
  any: { type: 'string' },
  priority: { type: 'string' },
  label: { type: 'string', multiple: true },
  env: { type: 'string', multiple: true },
  'no-gpu-env': { type: 'boolean' },
  quiet: { type: 'boolean' },
  ...CALLER_OPTIONS,
} as const;

export interface Plan {
  readonly resources: readonly string[];
  /** At least one word. */
  readonly command: readonly string[];
  readonly addresses: readonly string[];
  readonly caller: CallerSettings;
  readonly terms: Terms;
  /** Undefined: without limit. */
  readonly maxWaitMs: number | undefined;
  readonly owner: string;
  readonly mode: 'exclusive' | 'shared';
  readonly any: number;
  readonly priority: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly templates: readonly Template[];
  readonly showsCards: boolean;
  readonly isQuiet: boolean;
}

function choice<T extends string>(flag: string, text: string | undefined, choices: readonly T[]): T {
  const found = text === undefined ? choices[0] : choices.find((one) => one === text);
  if (found === undefined)
    throw new UsageError(`--${flag} ${JSON.stringify(text)} must be one of ${choices.join(', ')}`);
  return found;
}

/** Here `0` needs no unit: it is a word of its own, do not wait, no time between TERM and KILL. */
function spanFlag(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  return text === '0' ? 0 : durationFlag(flag, text);
}

function terms(ttl: string | undefined, killAfter: string | undefined, onLoss: OnLoss): Terms {
  const killAfterMs = spanFlag('kill-after', killAfter);
  const found = termsOf(ttl === undefined ? USUAL_TTL_MS : durationFlag('ttl', ttl), killAfterMs, onLoss);
  if (typeof found === 'string') throw new UsageError(found);
  return found;
}

/** Everything after the first `--` is the command's. */
function divided(args: readonly string[]): { flags: readonly string[]; command: readonly string[] } {
  const at = args.indexOf('--');
  if (at === -1 || at === args.length - 1) throw new UsageError('-- CMD is missing');
  return { flags: args.slice(0, at), command: args.slice(at + 1) };
}

/** Throws UsageError and SettingsError. */
export function planOf(args: readonly string[]): Plan {
  const { flags, command } = divided(args);
  const { values, positionals } = parseCommandLine(flags, OPTIONS);
  if (positionals.length === 0) throw new UsageError('RESOURCE is missing');
  if (command[0] === '') throw new UsageError('CMD must not be empty');
  const loaded = loadAddresses(values.address ?? []);
  const plan: Plan = {
    resources: positionals,
    command,
    addresses: loaded.ok ? loaded.addresses : [],
    caller: callerOf(values),
    terms: terms(
      values.ttl,
      values['kill-after'],
      choice('on-loss', values['on-loss'], ['terminate', 'kill', 'warn']),
    ),
    maxWaitMs: spanFlag('max-wait', values['max-wait']),
    owner: values.owner ?? `${hostname()}/${process.pid}/1`,
    mode: choice('mode', values.mode, ['exclusive', 'shared']),
    any: values.any === undefined ? 0 : wholeFlag('any', values.any, limits.resourcesPerRequest),
    priority: values.priority === undefined ? 0 : wholeFlag('priority', values.priority, limits.priorityMax),
    labels: labelsOf(values.label ?? []),
    templates: (values.env ?? []).map(templateOf),
    showsCards: values['no-gpu-env'] !== true,
    isQuiet: values.quiet === true,
  };
  if (!loaded.ok) throw new SettingsError(loaded.problems);
  return plan;
}
