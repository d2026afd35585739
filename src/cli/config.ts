/** `holdfast config`: the settings in force; and the two acts that change what the nodes remember of the cluster. */
import { readFileSync } from 'node:fs';
import { bearsPassword } from '../config/sources.ts';
import { type LoadedSettings, loadNodes, loadSettings, type RedisNode } from '../config.ts';
import { digestOf, makeToken } from '../domain/access-token.ts';
import { systemRandom } from '../std/random.ts';
import { type Report, theApp } from './app.ts';
import { type Command, type Io, SettingsError, UsageError } from './command.ts';
import { exit } from './exit.ts';
import { columns } from './format.ts';
import { settingsUsage } from './settings-usage.ts';

const usage = `Usage: holdfast config [--json] [flags]
       holdfast config bootstrap [flags]
       holdfast config adopt --from URL,... [flags]
       holdfast config token [--name NAME]

Without a word: prints the settings in force and where each comes from, secrets
starred; exit 2 and every problem when they are wrong.

bootstrap  sets up a NEW cluster: only where every node is reachable and none has
           been used before. Writes and ends.
adopt      moves the cluster to the configured nodes or longest ttl, from the OLD
           list of nodes (--from, or --from-file where the URLs hold passwords).
token      makes a bearer token: the first line is for its owner and told only now,
           the rest is for the access file (HOLDFAST_ACCESS), which keeps its hash.

${settingsUsage()}`;

type Loaded = Extract<LoadedSettings, { ok: true }>;

function load(argv: readonly string[], io: Io): Loaded {
  const loaded = loadSettings({ argv });
  if (!loaded.ok) throw new SettingsError(loaded.problems);
  for (const warning of loaded.warnings) io.err(`WARNING: ${warning}\n`);
  return loaded;
}

/** Takes `--name VALUE` or `--name=VALUE` out of `args`; the rest are settings. */
function take(args: string[], name: string): string | undefined {
  const at = args.findIndex((arg) => arg === `--${name}` || arg.startsWith(`--${name}=`));
  if (at === -1) return undefined;
  const [arg = ''] = args.splice(at, 1);
  if (arg.includes('=')) return arg.slice(arg.indexOf('=') + 1);
  const [value] = args.splice(at, 1);
  if (value === undefined) throw new UsageError(`--${name} needs a value`);
  return value;
}

function show(args: readonly string[], io: Io): number {
  const rest = args.filter((arg) => arg !== '--json');
  const { effective, warnings } = load(rest, io);
  if (rest.length !== args.length) {
    const settings = Object.fromEntries(
      effective.map(({ name, value, source }) => [name, { value, source }]),
    );
    io.out(`${JSON.stringify({ settings, warnings })}\n`);
  } else {
    const rows = effective.map(({ name, value, source }) => [name, value === '' ? '-' : value, source]);
    io.out(columns([['SETTING', 'VALUE', 'FROM'], ...rows]));
  }
  return exit.ok;
}

function oldNodes(args: string[]): readonly RedisNode[] {
  const path = take(args, 'from-file');
  const direct = take(args, 'from');
  if ((path === undefined) === (direct === undefined))
    throw new UsageError('adopt needs --from URL,... or --from-file FILE');
  let text = direct ?? '';
  if (text.includes('@')) throw new SettingsError([bearsPassword('from')]);
  if (path !== undefined) {
    try {
      text = readFileSync(path, 'utf8').trim();
    } catch {
      throw new SettingsError([`--from-file ${JSON.stringify(path)} cannot be read`]);
    }
  }
  const loaded = loadNodes('--from', text);
  if ('problems' in loaded) throw new SettingsError(loaded.problems);
  return loaded.nodes;
}

async function act(
  args: readonly string[],
  io: Io,
  start: (loaded: Loaded) => Promise<Report>,
): Promise<number> {
  const loaded = load(args, io);
  if (loaded.settings.redisNodes.length === 0) {
    throw new SettingsError([
      'HOLDFAST_REDIS_NODES is not set: the embedded store keeps nothing that could be set up',
    ]);
  }
  const { ok, lines } = await start(loaded);
  for (const line of lines) (ok ? io.out : io.err)(`${line}\n`);
  return ok ? exit.ok : exit.noQuorum;
}

const TOKEN_NAME = /^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$/;

function token(args: string[], io: Io): number {
  const name = take(args, 'name') ?? 'NAME';
  if (args.length > 0) throw new UsageError('token knows --name NAME only');
  if (!TOKEN_NAME.test(name))
    throw new UsageError('--name must be at most 64 letters, digits and . _ @ + -, no sign at its beginning');
  const made = makeToken(systemRandom);
  io.out(`${made}\n`);
  io.out(`- { name: ${name}, sha256: ${digestOf(made)} }\n`);
  return exit.ok;
}

export const command: Command = {
  usage,
  async run(args, io) {
    const [verb, ...rest] = args;
    if (verb === 'bootstrap')
      return act(rest, io, async ({ settings }) => (await theApp()).bootstrap(settings));
    if (verb === 'adopt') {
      const old = oldNodes(rest);
      return act(rest, io, async ({ settings }) => (await theApp()).adopt(settings, old));
    }
    if (verb === 'token') return token(rest, io);
    if (verb !== undefined && !verb.startsWith('-'))
      throw new UsageError('config knows bootstrap, adopt and token');
    return show(args, io);
  },
};
