/** Real redis-server processes for tests: each on a unix socket in its own directory, none outliving the test. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

export interface RedisServerOptions {
  /** A TCP port beside the unix socket; 0 (the default) for none. */
  readonly port?: number;
  /** More of redis-server's own arguments; the last word on an option wins. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** What runs the server, in front of its own command line: a network namespace's `nsenter`. */
  readonly within?: readonly string[];
}

/** How long a server may take to answer its first PING before the test is told that it never will. */
const START_MS = 10_000;
const POLL_MS = 5;

const running = new Set<RedisServer>();
// Runs after a crash of the test too; a SIGKILL of the test process is left to --pdeathsig, see `command`.
process.on('exit', () => {
  for (const server of running) server.remove();
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    for (const server of running) server.remove();
    process.kill(process.pid, signal);
  });
}

export class RedisServer {
  readonly directory = mkdtempSync(join(tmpdir(), 'holdfast-redis-'));
  readonly socketPath = join(this.directory, 'redis.sock');
  readonly port: number;
  readonly #options: RedisServerOptions;
  #child: ChildProcess | undefined;
  #output = '';

  constructor(options: RedisServerOptions = {}) {
    this.#options = options;
    this.port = options.port ?? 0;
    running.add(this);
  }

  /** As HOLDFAST_REDIS_NODES takes it. */
  get url(): string {
    return `unix://${this.socketPath}`;
  }

  get tcpUrl(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Resolves once the server answers PING. */
  async start(): Promise<this> {
    if (this.#child !== undefined) throw new Error('the server runs already');
    running.add(this);
    this.#output = '';
    const [file = '', ...before] = [...(this.#options.within ?? []), ...command()];
    const child = spawn(file, [...before, ...this.#arguments()], {
      cwd: this.directory,
      env: { ...process.env, ...this.#options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    const failed = new Promise<Error>((resolve) => {
      child.once('error', resolve);
      child.once('exit', (code) => resolve(new Error(`redis-server ended with ${code}:\n${this.#output}`)));
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk) => {
        this.#output = (this.#output + chunk).slice(-10_000);
      });
    }
    const fault = await Promise.race([failed, this.#answers()]);
    if (fault === undefined) return this;
    this.remove();
    throw fault;
  }

  /** Sends `signal` and resolves when the process is gone. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#child = undefined;
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    // A stopped process acts on no signal but this one.
    if (signal !== 'SIGKILL') child.kill('SIGCONT');
    await gone;
  }

  /** Stops the process where it is: connections stay open and nothing is answered. */
  pause(): void {
    this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    this.#child?.kill('SIGCONT');
  }

  /** Another run of the process; `empty` takes its files away in between. */
  async restart(options: { readonly empty: boolean; readonly signal?: NodeJS.Signals }): Promise<void> {
    await this.kill(options.signal ?? (options.empty ? 'SIGKILL' : 'SIGTERM'));
    if (options.empty) {
      for (const name of ['dump.rdb', 'appendonlydir', 'appendonly.aof']) {
        rmSync(join(this.directory, name), { recursive: true, force: true });
      }
    }
    await this.start();
  }

  async stop(): Promise<void> {
    await this.kill();
    this.remove();
  }

  /** The end, without waiting: what is left to do while the test process itself ends. */
  remove(): void {
    this.#child?.kill('SIGKILL');
    this.#child = undefined;
    running.delete(this);
    rmSync(this.directory, { recursive: true, force: true });
  }

  #arguments(): string[] {
    const { args = [] } = this.#options;
    const network = ['--port', String(this.port), '--bind', '127.0.0.1', '--unixsocket', this.socketPath];
    return [...network, '--dir', this.directory, '--save', '', '--appendonly', 'no', ...args];
  }

  /** Asks until the server answers or the start has taken too long. */
  async #answers(): Promise<Error | undefined> {
    const deadlineMs = performance.now() + START_MS;
    while (performance.now() < deadlineMs) {
      if (await ping(this.socketPath)) return undefined;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    return new Error(`redis-server did not answer within ${START_MS} ms:\n${this.#output}`);
  }
}

/** Started already, for the usual case. */
export function startRedis(options: RedisServerOptions = {}): Promise<RedisServer> {
  return new RedisServer(options).start();
}

/** What starts a server; where setpriv exists the kernel kills the server with whoever started it. */
function command(): [string, ...string[]] {
  const server = onPath('redis-server');
  if (server === undefined) throw new Error('redis-server is not on the PATH: apt-get install redis-server');
  const setpriv = onPath('setpriv');
  return setpriv === undefined ? [server] : [setpriv, '--pdeathsig', 'KILL', server];
}

function onPath(name: string): string | undefined {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .map((directory) => join(directory, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** Whether somebody at `path` answers PING with PONG; a server that still loads its file answers with an error. */
function ping(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const end = (answered: boolean): void => {
      socket.destroy();
      resolve(answered);
    };
    socket.once('connect', () => socket.write('PING\r\n'));
    socket.once('data', (reply) => end(reply.toString().startsWith('+PONG')));
    socket.once('error', () => end(false));
    socket.once('close', () => resolve(false));
  });
}
