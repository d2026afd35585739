/** A real Postgres for tests: a new cluster on a unix socket in its own directory, gone with the test. */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { runnable } from './grpcurl.ts';
import { until } from './until.ts';

const DEBIAN = '/usr/lib/postgresql';
const USER = 'holdfast';
const START_MS = 40_000;

/** Where initdb and postgres are: Debian keeps them out of the PATH, by version. */
function programs(): string | undefined {
  const folders = (process.env.PATH ?? '').split(':');
  try {
    folders.push(...readdirSync(DEBIAN).map((version) => join(DEBIAN, version, 'bin')));
  } catch {
    // No Debian, or no postgresql.
  }
  return folders.find((folder) => ['initdb', 'postgres'].every((name) => runnable(join(folder, name))));
}

/** Empty where Postgres is installed; else what a suite says of itself. */
export const withoutPostgres = programs() === undefined ? ' [skipped: no postgres here; run make tools]' : '';

type Command = readonly [file: string, ...args: string[]];

/** How to start one of its programs. It refuses to run as root: then it runs as the user that its Debian package made. */
function launcher(bin: string): { readonly uid: number | undefined; command(name: string): Command } {
  const mortal = ['--pdeathsig', 'KILL'];
  if (process.getuid?.() !== 0) {
    return { uid: undefined, command: (name) => ['setpriv', ...mortal, join(bin, name)] };
  }
  const uid = Number(execFileSync('id', ['-u', 'postgres'], { encoding: 'utf8' }));
  const other = ['--reuid=postgres', '--regid=postgres', '--clear-groups'];
  return { uid, command: (name) => ['setpriv', ...mortal, ...other, join(bin, name)] };
}

async function serving(child: ChildProcess): Promise<ChildProcess> {
  let log = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk) => {
      log = (log + chunk).slice(-10_000);
    });
  }
  process.once('exit', () => child.kill('SIGKILL'));
  const ready = (): boolean => {
    if (child.exitCode !== null) throw new Error(`postgres ended with ${child.exitCode}:\n${log}`);
    return log.includes('database system is ready to accept connections');
  };
  await until('postgres serves', ready, START_MS);
  return child;
}

export class Postgres {
  readonly directory: string;
  /** Whom the server runs as; undefined: who runs the test. */
  readonly uid: number | undefined;
  readonly #start: () => Promise<ChildProcess>;
  #child: ChildProcess;

  private constructor(
    directory: string,
    uid: number | undefined,
    child: ChildProcess,
    start: () => Promise<ChildProcess>,
  ) {
    this.directory = directory;
    this.uid = uid;
    this.#child = child;
    this.#start = start;
  }

  static async start(): Promise<Postgres> {
    const bin = programs();
    if (bin === undefined) throw new Error('postgres is not installed: make tools');
    const { uid, command } = launcher(bin);
    const directory = mkdtempSync(join(tmpdir(), 'holdfast-postgres-'));
    if (uid !== undefined) chownSync(directory, uid, uid);
    const data = join(directory, 'data');
    const [initdb, ...first] = command('initdb');
    const options = ['-D', data, '-U', USER, '-A', 'trust', '-E', 'UTF8', '--no-locale', '--no-sync'];
    await promisify(execFile)(initdb, [...first, ...options], { cwd: directory });
    const [postgres, ...args] = command('postgres');
    const settings = ['listen_addresses=', 'fsync=off', 'max_connections=50'].flatMap((each) => ['-c', each]);
    const start = (): Promise<ChildProcess> =>
      serving(
        spawn(postgres, [...args, '-D', data, '-k', directory, ...settings], {
          cwd: directory,
          stdio: ['ignore', 'pipe', 'pipe'],
        }),
      );
    return new Postgres(directory, uid, await start(), start);
  }

  /** As psql and most drivers take it from the environment. */
  get env(): Readonly<Record<string, string>> {
    return { PGHOST: this.directory, PGUSER: USER, PGDATABASE: 'postgres' };
  }

  /** What psql prints, without ornament. */
  async run(statement: string): Promise<string> {
    const args = ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-c', statement];
    const { stdout } = await promisify(execFile)('psql', args, {
      env: { PATH: process.env.PATH, ...this.env },
    });
    return stdout.trim();
  }

  /** Runs it in a session that stays open with what it holds; the answer ends that. */
  async holding(
    statement: string,
    more: Readonly<Record<string, string>> = {},
  ): Promise<() => Promise<void>> {
    const args = ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1'];
    const child = spawn('psql', args, { env: { PATH: process.env.PATH, ...this.env, ...more } });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        said += chunk;
      });
    }
    child.stdin.write(`${statement};\n\\echo held\n`);
    await until(`it holds: ${statement}`, () => said.includes('held\n'), START_MS).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${said}`);
    });
    return async () => {
      const gone = once(child, 'exit');
      child.stdin.end();
      await gone;
    };
  }

  /** As a driver takes it. */
  url(database = 'postgres'): string {
    return `postgres://${USER}@localhost/${database}?host=${this.directory}`;
  }

  /** kill -9: what it was told and had not written down is gone. */
  async crash(): Promise<void> {
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }

  /** After a crash, once the last of its processes has noticed. */
  async revive(): Promise<void> {
    const again = (): Promise<ChildProcess | undefined> => this.#start().catch(() => undefined);
    this.#child = await until('postgres starts again', again, START_MS, 50);
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const gone = once(this.#child, 'exit');
      this.#child.kill('SIGQUIT');
      await gone;
    }
    rmSync(this.directory, { recursive: true, force: true });
  }
}
