/** Which word starts which command, and how any command may end. */
import { readFileSync } from 'node:fs';
import { type Command, type Io, SettingsError, UsageError } from './command.ts';
import { exit } from './exit.ts';

interface Entry {
  readonly summary: string;
  readonly load: () => Promise<{ readonly command: Command }>;
}

const COMMANDS: Readonly<Record<string, Entry>> = {
  serve: { summary: 'run the service', load: () => import('./serve.ts') },
  config: { summary: 'show the settings; set up or move a cluster', load: () => import('./config.ts') },
  run: { summary: 'run a command under a lease', load: () => import('./run.ts') },
  acquire: { summary: 'take a lease', load: () => import('./acquire.ts') },
  heartbeat: { summary: 'extend a lease', load: () => import('./heartbeat.ts') },
  release: { summary: 'end a lease', load: () => import('./release.ts') },
  inspect: { summary: 'show one resource', load: () => import('./inspect.ts') },
  history: { summary: 'show what happened', load: () => import('./history.ts') },
  list: { summary: 'show what is held', load: () => import('./list.ts') },
  watch: { summary: 'tell what happens', load: () => import('./watch.ts') },
  'force-release': { summary: 'end a lease that hangs', load: () => import('./force-release.ts') },
  janitor: { summary: 'find and mend what faults have left', load: () => import('./janitor.ts') },
  reload: { summary: 'have a replica read its settings again', load: () => import('./reload.ts') },
  'log-level': { summary: 'have a replica log more or less', load: () => import('./log-level.ts') },
  status: { summary: 'show a replica and its nodes', load: () => import('./status.ts') },
  health: { summary: 'ask whether a replica can serve', load: () => import('./health.ts') },
};

function overview(): string {
  const width = Math.max(...Object.keys(COMMANDS).map((name) => name.length));
  const lines = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`);
  return `Usage: holdfast COMMAND [arguments]

Holdfast grants leases on named resources, by a majority of independent Redis nodes.

${lines.join('\n')}

\`holdfast COMMAND --help\` has the flags. Without HOLDFAST_REDIS_NODES, \`holdfast serve\`
keeps its locks in memory. Try it:

  holdfast serve &
  holdfast acquire gpu/0 --ttl 30s
  holdfast inspect gpu/0

Exit codes: 0 done, 2 bad settings, 64 wrong usage, 69 no quorum or not reachable,
75 busy, 76 lease lost.
`;
}

function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/** Runs `argv` (without node and script); the exit code. Whatever goes wrong becomes one. */
export async function dispatch(argv: readonly string[], io: Io): Promise<number> {
  const [word, ...args] = argv;
  if (word === undefined || word === '--help' || word === '-h' || word === 'help') {
    io.out(overview());
    return exit.ok;
  }
  if (word === '--version' || word === 'version') {
    io.out(`holdfast ${version()}\n`);
    return exit.ok;
  }
  const entry = Object.hasOwn(COMMANDS, word) ? COMMANDS[word] : undefined;
  if (entry === undefined) {
    io.err(`holdfast: ${JSON.stringify(word)} is no command; holdfast --help lists them\n`);
    return exit.wrongUsage;
  }
  const { command } = await entry.load();
  const end = args.indexOf('--');
  const flags = end === -1 ? args : args.slice(0, end);
  if (flags.includes('--help') || flags.includes('-h')) {
    io.out(command.usage);
    return exit.ok;
  }
  try {
    return await command.run(args, io);
  } catch (error) {
    return await failed(word, command, error, io, flags.includes('--json'));
  }
}

async function failed(
  word: string,
  command: Command,
  error: unknown,
  io: Io,
  json: boolean,
): Promise<number> {
  if (error instanceof UsageError) {
    io.err(`holdfast ${word}: ${error.message}\n${command.usage.split('\n', 1)[0]}\n`);
    return exit.wrongUsage;
  }
  if (error instanceof SettingsError) {
    for (const problem of error.problems) io.err(`${problem}\n`);
    return exit.badSettings;
  }
  // Only here: gRPC takes longer to load than most commands without it take in all.
  const { CallFailed, reportFailure } = await import('./call.ts');
  if (error instanceof CallFailed) return reportFailure(io, error.error, json);
  io.err(`holdfast ${word}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return exit.noQuorum;
}
