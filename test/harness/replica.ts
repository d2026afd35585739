/** Replicas for tests: in this process by startReplica, or as a process of their own by bin/holdfast. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { bootstrap, type Replica, type ReplicaHooks, startReplica } from '../../src/app.ts';
import { loadSettings, type Settings } from '../../src/config.ts';
import { RpcClient } from './rpc-client.ts';
import { until } from './until.ts';

export * from './rpc-client.ts';

export type Environment = Readonly<Record<string, string>>;

/**
 * Short times keep the suite quick; a test that needs others says so. The node timeout is what a stall of this whole
 * process, on a busy machine, must stay below.
 */
const usual: Environment = {
  HOLDFAST_LISTEN: '127.0.0.1:0',
  HOLDFAST_HTTP_LISTEN: '127.0.0.1:0',
  HOLDFAST_MIN_TTL: '50ms',
  HOLDFAST_DEFAULT_TTL: '2s',
  HOLDFAST_MAX_TTL: '2s',
  HOLDFAST_NODE_TIMEOUT: '500ms',
  HOLDFAST_CLOCK_SKEW: '50ms',
  HOLDFAST_LOG_LEVEL: 'silent',
  // A test that asks for them says so: hundreds of replicas would all write to one file.
  HOLDFAST_ARCHIVE: 'off',
  HOLDFAST_JANITOR: '0',
};

/** `list` as HOLDFAST_REDIS_NODES takes it; empty: the embedded store. */
export function settingsFor(list: string, env: Environment = {}): Settings {
  const nodes: Environment = list === '' ? {} : { HOLDFAST_REDIS_NODES: list };
  const loaded = loadSettings({ argv: [], env: { ...usual, ...nodes, ...env } });
  if (!loaded.ok) throw new Error(loaded.problems.join('\n'));
  return loaded.settings;
}

/** `holdfast config bootstrap` for a list of empty nodes. */
export async function bootstrapped(list: string, env: Environment = {}): Promise<void> {
  const report = await bootstrap(settingsFor(list, env));
  if (!report.ok) throw new Error(report.lines.join('\n'));
}

export class TestReplica {
  readonly client: RpcClient;
  readonly replica: Replica;

  private constructor(replica: Replica) {
    this.replica = replica;
    this.client = new RpcClient(replica.addresses[0]!);
  }

  static async start(list: string, env: Environment = {}, hooks: ReplicaHooks = {}): Promise<TestReplica> {
    return new TestReplica(await startReplica(settingsFor(list, env), hooks));
  }

  /** `ready`, `silent`... by node, in the order of the list. */
  get states(): string[] {
    return this.replica.status().nodes.map(({ state }) => state);
  }

  detail(index: number): string {
    return this.replica.status().nodes[index]!.detail;
  }

  async becomes(...states: readonly string[]): Promise<void> {
    let now: string[] = [];
    const look = () => {
      now = this.states;
      return now.join() === states.join();
    };
    await until(`the nodes are ${states.join(', ')}`, look).catch((error: unknown) => {
      throw new Error(`${String(error)}; they are ${now.join(', ')}`);
    });
  }

  /** The status and the text of a path of the side door. */
  async http(path: string): Promise<{ status: number; text: string }> {
    const answer = await fetch(`http://${this.replica.httpAddress}${path}`);
    return { status: answer.status, text: await answer.text() };
  }

  /** The sum over its labels. */
  async metric(name: string): Promise<number> {
    const { text } = await this.http('/metrics');
    const found = [...text.matchAll(new RegExp(`^${name}(?:{[^}]*})? (\\d+)$`, 'gm'))];
    if (found.length === 0) throw new Error(`no metric ${name}`);
    return found.reduce((sum, [, value]) => sum + Number(value), 0);
  }

  async stop(): Promise<void> {
    this.client.close();
    await this.replica.drain();
  }
}

/** Two seconds on an idle machine; one on which a dozen of them start at once is slow. */
const START_MS = 60_000;

const bin = fileURLToPath(new URL('../../bin/holdfast', import.meta.url));

/** A replica that a signal can reach and whose logs somebody could read. */
export class ReplicaProcess {
  readonly client: RpcClient;
  readonly address: string;
  readonly http: string;
  readonly #child: ChildProcess;
  readonly #output: { text: string };

  private constructor(child: ChildProcess, output: { text: string }, address: string, http: string) {
    this.#child = child;
    this.#output = output;
    this.address = address;
    this.http = http;
    this.client = new RpcClient(address);
  }

  /** `within`: what runs it, in front of its own command line. */
  static async start(
    list: string,
    env: Environment = {},
    within: readonly string[] = [],
  ): Promise<ReplicaProcess> {
    const nodes: Environment = list === '' ? {} : { HOLDFAST_REDIS_NODES: list };
    const [file = bin, ...args] = [...within, bin, 'serve'];
    const child = spawn(file, args, {
      env: { PATH: process.env.PATH, ...usual, HOLDFAST_LOG_LEVEL: 'trace', ...nodes, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const kill = (): void => void child.kill('SIGKILL');
    process.once('exit', kill);
    child.once('exit', () => process.removeListener('exit', kill));
    const output = { text: '' };
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk) => {
        output.text += chunk;
      });
    }
    const line = await until(
      'the replica serves',
      () => {
        if (child.exitCode !== null)
          throw new Error(`the replica ended with ${child.exitCode}:\n${output.text}`);
        return output.text.split('\n').find((text) => text.includes('"serving"') && text.endsWith('}'));
      },
      START_MS,
    );
    const { addresses, http } = JSON.parse(line) as { addresses: string[]; http: string };
    return new ReplicaProcess(child, output, addresses[0]!, http);
  }

  /** Everything that it has written so far. */
  get output(): string {
    return this.#output.text;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Resolves when it stands still. */
  async pause(): Promise<void> {
    this.signal('SIGSTOP');
    const stopped = () => / T /.test(readFileSync(`/proc/${this.pid}/stat`, 'latin1'));
    await until('the replica stands still', stopped);
  }

  resume(): void {
    this.signal('SIGCONT');
  }

  /** Its exit code, or the signal that ended it. */
  async ended(): Promise<number | NodeJS.Signals | null> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'exit');
    this.client.close();
    return this.#child.exitCode ?? this.#child.signalCode;
  }

  async stop(): Promise<void> {
    this.signal('SIGKILL');
    await this.ended();
  }
}
