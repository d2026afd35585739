/** Where settings come from: flags, then the environment, then one file; each finds its texts and its own mistakes. */
import { flagOf, isToggle, type Key, keys, nameOf, table } from './table.ts';

export type Source = 'flag' | 'environment' | 'file' | 'default';

/** Texts by environment name, `_FILE` names included. */
export interface Layer {
  readonly source: Exclude<Source, 'default'>;
  readonly texts: ReadonlyMap<string, string>;
}

export const CONFIG = 'HOLDFAST_CONFIG';
/** Not settings of the service: they belong to the client commands and to children of `holdfast run`. */
const FOREIGN = new Set([
  'HOLDFAST_ADDRESS',
  'HOLDFAST_TOKEN',
  'HOLDFAST_RESOURCES',
  'HOLDFAST_AUTH_TOKEN',
  'HOLDFAST_AUTH_TOKEN_FILE',
  'HOLDFAST_CLIENT_CA',
  'HOLDFAST_CLIENT_CERT',
  'HOLDFAST_CLIENT_KEY',
]);
/**
 * Kubernetes puts these into every pod beside a Service whose name begins with `holdfast`; Docker links do alike.
 * Refusing them would keep the service from starting for a reason nobody wrote down.
 */
const SERVICE_LINK = /_SERVICE_(HOST|PORT)(_[A-Z0-9_]+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/;
const SERVICE_URL = /^(tcp|udp|sctp):\/\//;

const settingNames = new Set<string>(keys.flatMap((key) => [table[key].name, ...fileForm(key)]));
const toggles = new Set<string>(keys.filter((key) => isToggle(table[key])).map((key) => table[key].name));
const secrets = new Set<string>(keys.filter((key) => table[key].secret).map((key) => table[key].name));

/** The name by which a secret is read from a file of its own. */
export function fileForm(key: Key): string[] {
  return table[key].secret ? [`${table[key].name}_FILE`] : [];
}

/**
 * Written by hand because a switch may stand alone (`--bootstrap`) or have a value (`--bootstrap=0`), which
 * `node:util` parseArgs cannot express.
 */
export function readFlags(argv: readonly string[], problems: string[]): Layer {
  const texts = new Map<string, string>();
  for (let at = 0; at < argv.length; at++) {
    const arg = argv[at] ?? '';
    const match = /^--([a-z][a-z0-9-]*)(?:=(.*))?$/s.exec(arg);
    if (match === null) {
      // The argument itself may be half of a URL with a password: name its place only.
      problems.push(`argument ${at + 1} is no flag: settings are written --name VALUE or --name=VALUE`);
      continue;
    }
    const [, flag = '', inline] = match;
    const bare = flag.startsWith('no-') ? nameOf(flag.slice(3)) : '';
    if (toggles.has(bare) && inline === undefined) {
      texts.set(bare, '0');
      continue;
    }
    const name = nameOf(flag);
    const known = settingNames.has(name) || name === CONFIG;
    const next = argv[at + 1];
    const lone = toggles.has(name) && !(next !== undefined && /^(0|1|true|false)$/.test(next));
    const taken = inline === undefined && !lone && next !== undefined && !next.startsWith('--');
    if (taken) at++;
    const text = inline ?? (lone ? '1' : taken ? next : undefined);
    if (!known) problems.push(`--${flag} is no setting${suggestion(`--${flag}`, flagNames())}`);
    else if (text === undefined) problems.push(`--${flag} needs a value`);
    else texts.set(name, text);
    if (secrets.has(name) && /@|PASSWORD/.test(`${name}${text}`)) {
      problems.push(`${bearsPassword(flag)}, or the environment`);
    }
  }
  return { source: 'flag', texts };
}

export function bearsPassword(flag: string): string {
  return `--${flag} bears a password, and all users of this machine can read the arguments of a process: use --${flag}-file FILE`;
}

export type Environment = Readonly<Record<string, string | undefined>>;

export function readEnvironment(env: Environment, problems: string[]): Layer {
  const texts = new Map<string, string>();
  for (const [name, text] of Object.entries(env)) {
    if (!name.startsWith('HOLDFAST_') || text === undefined) continue;
    if (settingNames.has(name) || name === CONFIG) texts.set(name, text);
    else if (
      !FOREIGN.has(name) &&
      !SERVICE_LINK.test(name) &&
      !(name.endsWith('_PORT') && SERVICE_URL.test(text))
    ) {
      problems.push(`${name} is no setting${suggestion(name, [...settingNames, CONFIG])}`);
    }
  }
  return { source: 'environment', texts };
}

/**
 * The form of `docker run --env-file` and of systemd's EnvironmentFile: one KEY=VALUE a line, empty lines and lines
 * that begin with # left out, one pair of quotes around the value taken off. Nothing is expanded.
 */
export function parseFile(text: string, problems: string[]): Layer {
  const texts = new Map<string, string>();
  for (const [at, line] of text.split(/\r?\n/).entries()) {
    const trimmed = line.trim();
    if (trimmed === '' || trimmed.startsWith('#')) continue;
    const place = `line ${at + 1} of the settings file`;
    const match = /^([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)$/.exec(trimmed);
    const [, name = '', value = ''] = match ?? [];
    if (match === null) problems.push(`${place} is not KEY=VALUE`);
    else if (name.startsWith('OTEL_')) problems.push(`${place}: ${name} is read from the environment only`);
    else if (!settingNames.has(name))
      problems.push(`${place}: ${name} is no setting${suggestion(name, settingNames)}`);
    else if (texts.has(name)) problems.push(`${place}: ${name} was set before`);
    else texts.set(name, /^(["']).*\1$/.test(value) && value.length > 1 ? value.slice(1, -1) : value);
  }
  return { source: 'file', texts };
}

function flagNames(): string[] {
  return [...settingNames, CONFIG].map(flagOf);
}

/** `; did you mean X?` for a name that is a few keys away from one that exists. */
export function suggestion(wrong: string, names: Iterable<string>): string {
  let best: string | undefined;
  let least = Math.max(2, Math.floor(wrong.length / 5)) + 1;
  for (const name of names) {
    const apart = distance(wrong, name);
    if (apart < least) {
      least = apart;
      best = name;
    }
  }
  return best === undefined ? '' : `; did you mean ${best}?`;
}

/** Levenshtein: how many letters to add, drop or change. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
