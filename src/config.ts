/** The one door to settings: flags, environment and file become one frozen value, or a list of everything that is wrong. */
import { readFileSync } from 'node:fs';
import { LIVE } from './config/live.ts';
import type { ArchiveSetting, ClientAuth, LockClass } from './config/operations.ts';
import { parseRedisNodes, type RedisNode, withPassword } from './config/redis-nodes.ts';
import { brokenRelations, doubts } from './config/relations.ts';
import type { Secret } from './config/secret.ts';
import {
  CONFIG,
  type Environment,
  fileForm,
  type Layer,
  parseFile,
  readEnvironment,
  readFlags,
  type Source,
} from './config/sources.ts';
import { stateDirOf } from './config/state-dir.ts';
import { flagOf, type Key, keys, type LogLevel, type Setting, table, type Values } from './config/table.ts';
import { type TracingSettings, tracingOf } from './config/tracing.ts';
import { type Address, formatAddress, isShowable, parseAddress } from './config/values.ts';

export type { ArchiveSetting, ClientAuth, LockClass } from './config/operations.ts';
export { connectionUrl, type RedisNode } from './config/redis-nodes.ts';
export type { Secret } from './config/secret.ts';
export type { LogLevel } from './config/table.ts';
export type { Address } from './config/values.ts';
export { formatAddress, formatDuration, parseDurationMs } from './config/values.ts';

/** What the service runs by; times in milliseconds; frozen to the last leaf. */
export interface Settings {
  readonly listen: readonly Address[];
  readonly httpListen: Address;
  /** Empty: the embedded store. */
  readonly redisNodes: readonly RedisNode[];
  readonly defaultTtlMs: number;
  readonly minTtlMs: number;
  readonly maxTtlMs: number;
  readonly bootstrap: boolean;
  readonly nodeTimeoutMs: number;
  readonly namespace: string;
  readonly logLevel: LogLevel;
  readonly drainTimeoutMs: number;
  readonly keepaliveTimeMs: number;
  readonly keepaliveTimeoutMs: number;
  readonly waiterLivenessMs: number;
  readonly maxWaiters: number;
  readonly maxWaitersPerResource: number;
  readonly workers: number;
  readonly clockSkewMs: number;
  readonly priorityStepMs: number;
  readonly yieldAfterMs: number;
  readonly allowInsecure: boolean;
  /** Undefined: callers are not authenticated. */
  readonly access?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsClientCa?: string;
  readonly tlsClientAuth: ClientAuth;
  readonly classes?: readonly LockClass[];
  readonly auditLog?: string;
  readonly archive: ArchiveSetting;
  readonly archiveRetentionMs: number;
  readonly archiveMaxBytes: number;
  readonly eventStream?: Secret;
  readonly eventBuffer: number;
  readonly alerts?: string;
  readonly janitor: boolean;
  readonly janitorEveryMs: number;
  /** What the service may keep between runs; undefined: this user has no such place. */
  readonly stateDir?: string;
  readonly tracing: TracingSettings;
}

/** One line of `holdfast config`; the value never shows a secret. */
export interface Effective {
  readonly name: string;
  readonly value: string;
  readonly source: Source;
}

export interface SettingsInput {
  readonly argv?: readonly string[];
  readonly env?: Environment;
  /** Throws where there is no such file. */
  readonly readFile?: (path: string) => string;
}

export type LoadedSettings =
  | {
      readonly ok: true;
      readonly settings: Settings;
      readonly warnings: readonly string[];
      readonly effective: readonly Effective[];
    }
  | { readonly ok: false; readonly problems: readonly string[] };

type ReadFile = (path: string) => string;

const readText: ReadFile = (path) => readFileSync(path, 'utf8');

/** Flags before environment before file before default; every problem of every setting is told at once. */
export function loadSettings(input: SettingsInput = {}): LoadedSettings {
  const env = input.env ?? process.env;
  const readFile = input.readFile ?? readText;
  const problems: string[] = [];
  const warnings: string[] = [];
  const layers: Layer[] = [readFlags(input.argv ?? [], problems), readEnvironment(env, problems)];
  layers.push(...configFile(layers, readFile, problems));
  const { values, effective } = readValues(layers, readFile, problems);
  const given = effective.filter(({ source }) => source !== 'default').map(({ name }) => name);
  problems.push(...brokenRelations(values, new Set(given)));
  if (problems.length > 0) return { ok: false, problems };
  const { redisPassword, redisNodes, ...rest } = values as Values;
  const settings: Settings = {
    ...rest,
    redisNodes: withPassword(redisNodes ?? [], redisPassword),
    ...stateDirOf(env),
    tracing: tracingOf(env),
  };
  warnings.push(...doubts(settings));
  return { ok: true, settings: deepFreeze(settings), warnings, effective };
}

function configFile(layers: readonly Layer[], readFile: ReadFile, problems: string[]): Layer[] {
  const path = layers
    .map((layer) => layer.texts.get(CONFIG))
    .find((text) => text !== undefined && text !== '');
  if (path === undefined) return [];
  const text = attempt(CONFIG, path, readFile, problems);
  return text === undefined ? [] : [parseFile(text, problems)];
}

function attempt(name: string, path: string, readFile: ReadFile, problems: string[]): string | undefined {
  try {
    return readFile(path);
  } catch (error) {
    const code = (error as { code?: unknown } | null)?.code;
    problems.push(`${name} "${path}" cannot be read${typeof code === 'string' ? ` (${code})` : ''}`);
    return undefined;
  }
}

interface Found {
  readonly text: string;
  readonly source: Source;
}

function readValues(layers: readonly Layer[], readFile: ReadFile, problems: string[]) {
  const values: Partial<Values> = {};
  const effective: Effective[] = [];
  for (const key of keys) {
    const setting = table[key] as Setting<unknown>;
    const before = problems.length;
    const found = find(key, layers, readFile, problems);
    if (problems.length > before) continue;
    const text = found?.text ?? setting.fallback;
    if (text === undefined) {
      // Unlike a list that is wrong, one that is not there has a meaning: the embedded store.
      if (key === 'redisNodes') values.redisNodes = [];
      effective.push({ name: setting.name, value: '', source: 'default' });
      continue;
    }
    const parsed = setting.parse(text);
    if ('faults' in parsed) {
      problems.push(...parsed.faults.map((why) => described(setting, text, found?.source ?? 'default', why)));
      continue;
    }
    const ours = found === undefined && key === 'defaultTtlMs';
    const value = ours ? fitting(values, parsed.value as number) : parsed.value;
    Object.assign(values, { [key]: value });
    effective.push({ name: setting.name, value: setting.show(value), source: found?.source ?? 'default' });
  }
  return { values, effective };
}

/**
 * The default ttl that nobody chose gives way to the bounds that somebody did: `HOLDFAST_MAX_TTL=10s` alone is a
 * whole configuration.
 */
function fitting(
  { minTtlMs = 0, maxTtlMs = Number.POSITIVE_INFINITY }: Partial<Values>,
  ttlMs: number,
): number {
  return Math.min(Math.max(ttlMs, minTtlMs), maxTtlMs);
}

function described(setting: Setting<unknown>, text: string, source: Source, why: string): string {
  const label = source === 'flag' ? flagOf(setting.name) : setting.name;
  const value = setting.secret ? '' : ` ${isShowable(text) ? JSON.stringify(text) : '(not shown)'}`;
  return `${label}${value} (${source}): ${why}`;
}

/** The text of the strongest layer that has one. */
function find(key: Key, layers: readonly Layer[], readFile: ReadFile, problems: string[]): Found | undefined {
  const { name } = table[key];
  for (const { source, texts } of layers) {
    const direct = texts.get(name);
    const path = fileForm(key).map((form) => texts.get(form))[0];
    if (direct !== undefined && path !== undefined) {
      problems.push(`${name} and ${name}_FILE (${source}): only one of them may be set`);
      return undefined;
    }
    if (direct === undefined && path === undefined) continue;
    const text = direct ?? attempt(`${name}_FILE`, path ?? '', readFile, problems)?.replace(/\r?\n$/, '');
    if (text === undefined) return undefined;
    if (text !== '') return { text, source };
    // `VAR=` counts as unset everywhere else, but a list that came out empty must not turn a cluster into one
    // process that forgets.
    if (key !== 'redisNodes') continue;
    problems.push(
      `${name} (${source}) is empty: leave it unset for the embedded store, else it must be ${table[key].allowed}`,
    );
    return undefined;
  }
  return undefined;
}

/** The table of settings for usage texts, in its order. */
export interface SettingDescription {
  readonly name: string;
  readonly flag: string;
  readonly placeholder: string;
  readonly fallback: string | undefined;
  readonly allowed: string;
  readonly meaning: string;
  readonly secret: boolean;
  /** Takes effect while the service runs (SIGHUP, AdminService.Reload). */
  readonly live: boolean;
}

export function describeSettings(): readonly SettingDescription[] {
  return keys.map((key) => {
    const { name, placeholder, fallback, allowed, meaning, secret } = table[key] as Setting<unknown>;
    const live = LIVE.has(key);
    return { name, flag: flagOf(name), placeholder, fallback, allowed, meaning, secret, live };
  });
}

export const DEFAULT_ADDRESS = '127.0.0.1:7420';

/** Whom a client command calls: the flag, else HOLDFAST_ADDRESS, else the default. */
export function loadAddress(
  flag: string | undefined,
  env: Environment = process.env,
):
  | { readonly ok: true; readonly address: string }
  | { readonly ok: false; readonly problems: readonly string[] } {
  const fromEnv = env.HOLDFAST_ADDRESS;
  const text = flag ?? (fromEnv === undefined || fromEnv === '' ? DEFAULT_ADDRESS : fromEnv);
  const parsed = parseAddress(text);
  if ('value' in parsed) return { ok: true, address: formatAddress(parsed.value) };
  const label = flag === undefined ? 'HOLDFAST_ADDRESS' : '--address';
  return {
    ok: false,
    problems: parsed.faults.map(
      (why) => `${label} ${isShowable(text) ? JSON.stringify(text) : '(not shown)'}: ${why}`,
    ),
  };
}

/** A list of nodes that is not the configured one: what `config adopt --from` names. */
export function loadNodes(
  label: string,
  text: string,
): { nodes: readonly RedisNode[] } | { problems: readonly string[] } {
  const parsed = parseRedisNodes(text);
  if ('value' in parsed) return { nodes: deepFreeze(parsed.value) };
  return { problems: parsed.faults.map((why) => `${label}: ${why}`) };
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const part of Object.values(value)) deepFreeze(part);
  }
  return value;
}
