/** A replica under attack, the well-behaved client beside its attackers, and what must be the same when they have gone. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { BareConnection, type BareHold } from './bare-streams.ts';
import { type Environment, type Lease, ReplicaProcess, RpcClient } from './replica.ts';
import { until } from './until.ts';

const PRELOAD = new URL('hostile-preload.ts', import.meta.url);
const MIB = 2 ** 20;
const LOOK_MS = 250;
/** Rounds of the client that count as being served: one may have been answered before the attack arrived. */
const ROUNDS = 3;
/** What is said at a start over the embedded store, and what the preload says. */
const EXPECTED = [/^WARNING: HOLDFAST_REDIS_NODES is not set/, /^LEFT /];

const env: Environment = {
  HOLDFAST_DEFAULT_TTL: '30s',
  HOLDFAST_MAX_TTL: '60s',
  HOLDFAST_NODE_TIMEOUT: '2500ms',
  HOLDFAST_LOG_LEVEL: 'info',
  // Of this very process, which plays both sides, a stall must not look like silence.
  HOLDFAST_KEEPALIVE_TIME: '60s',
  HOLDFAST_KEEPALIVE_TIMEOUT: '60s',
  NODE_OPTIONS: `--import ${fileURLToPath(PRELOAD)}`,
};

/** What is left after garbage was collected. */
export interface Census {
  readonly heapMiB: number;
  readonly outsideMiB: number;
  readonly rssMiB: number;
  readonly files: number;
  readonly timers: number;
}

/** Takes and returns a lock without a pause, and keeps two more all the while: one by a Hold, one by Heartbeats. */
export class Citizen {
  rounds = 0;
  readonly failures: unknown[] = [];
  readonly #client: RpcClient;
  readonly #connection: BareConnection;
  readonly #hold: BareHold;
  readonly #lease: Lease;
  #stopped = false;
  #loop: Promise<void> | undefined;

  private constructor(client: RpcClient, connection: BareConnection, hold: BareHold, lease: Lease) {
    this.#client = client;
    this.#connection = connection;
    this.#hold = hold;
    this.#lease = lease;
  }

  static async at(address: string): Promise<Citizen> {
    const client = new RpcClient(address, { 'grpc.use_local_subchannel_pool': 1 });
    const connection = await BareConnection.to(address);
    const hold = connection.hold({ acquire: { resources: ['citizen/held'], owner: 'citizen' } });
    await hold.granted();
    const citizen = new Citizen(
      client,
      connection,
      hold,
      await client.lock('citizen/kept', { owner: 'citizen' }),
    );
    citizen.#loop = citizen.#run();
    return citizen;
  }

  /** Resolves when it was served several times more. */
  async served(): Promise<void> {
    const from = this.rounds;
    await until('the client beside is served', () => {
      if (this.failures.length > 0) throw this.failures[0];
      return this.rounds >= from + ROUNDS;
    });
  }

  /** Throws unless both kept leases are still those that were granted. */
  async unharmed(): Promise<void> {
    if (this.failures.length > 0) throw this.failures[0];
    if (this.#hold.closed) throw new Error(`its Hold ended with ${this.#hold.status} ${this.#hold.detail}`);
    await this.#client.heartbeat(this.#lease.lease_id);
    for (const [name, token] of [
      ['citizen/kept', this.#lease.fencing_token],
      ['citizen/held', this.#hold.messages[0]!.granted!.fencing_token],
    ] as const) {
      const { current } = await this.#client.checkToken(name, token);
      if (!current) throw new Error(`${name} was lost`);
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#loop;
    this.#connection.close();
    this.#client.close();
  }

  async #run(): Promise<void> {
    while (!this.#stopped && this.failures.length === 0) {
      try {
        const lease = await this.#client.lock('citizen/round', { owner: 'citizen' });
        if (!(await this.#client.release(lease.lease_id))) throw new Error('its lease was gone');
        await this.#client.heartbeat(this.#lease.lease_id);
        this.rounds += 1;
      } catch (error) {
        this.failures.push(error);
      }
    }
  }
}

export class Target {
  readonly replica: ReplicaProcess;
  readonly citizen: Citizen;
  readonly pid: number;

  private constructor(replica: ReplicaProcess, citizen: Citizen) {
    this.replica = replica;
    this.citizen = citizen;
    this.pid = Number(/"pid":(\d+)/.exec(replica.output)?.[1]);
  }

  /** `list`: Redis nodes; empty for the embedded store. */
  static async start(list = '', more: Environment = {}): Promise<Target> {
    const replica = await ReplicaProcess.start(list, { ...env, ...more });
    return new Target(replica, await Citizen.at(replica.address));
  }

  get address(): string {
    return this.replica.address;
  }

  get http(): string {
    return `http://${this.replica.http}`;
  }

  get files(): number {
    return readdirSync(`/proc/${this.pid}/fd`).length;
  }

  /** The most memory that it ever had. */
  get peakMiB(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1024;
  }

  /** How many descriptors it may have from now on. */
  limitFiles(most: number): void {
    execFileSync('prlimit', ['--pid', String(this.pid), `--nofile=${most}:20000`]);
  }

  async census(): Promise<Census> {
    const said = () => this.replica.output.match(/^LEFT .*}$/gm) ?? [];
    const before = said().length;
    this.replica.signal('SIGUSR2');
    const line = await until('it says what is left', () => said()[before]);
    const left = JSON.parse(line.slice('LEFT '.length)) as Record<string, number>;
    return {
      heapMiB: left.heapUsed! / MIB,
      outsideMiB: left.external! / MIB,
      rssMiB: left.rss! / MIB,
      files: this.files,
      timers: left.timers!,
    };
  }

  /** Resolves once no more than `mostMiB` are left: what has just ended lets go of its last a moment later. */
  async shrunk(mostMiB: number): Promise<Census> {
    let left = await this.census();
    const look = async (): Promise<boolean> => {
      left = await this.census();
      return left.heapMiB <= mostMiB;
    };
    await until('its heap is as it was', look, 20_000, LOOK_MS).catch((error: unknown) => {
      throw new Error(`${String(error)}: at most ${mostMiB} MiB, and there are ${JSON.stringify(left)}`);
    });
    return left;
  }

  /** Lines of its output that nobody should have to read: anything that is no log line, and errors. */
  get complaints(): string[] {
    const lines = this.replica.output.split('\n').slice(0, -1);
    return lines.filter((line) => {
      if (EXPECTED.some((expected) => expected.test(line))) return false;
      return !/^{"level":"(info|warn)",.*}$/.test(line);
    });
  }

  /** The very process, serving, whoever attacked it. */
  async unharmed(): Promise<void> {
    await this.citizen.served();
    await this.citizen.unharmed();
    // On a connection of its own: the side door lets go of old ones.
    const { status } = await fetch(`${this.http}/livez`, { headers: { connection: 'close' } });
    if (status !== 200) throw new Error(`/livez says ${status}`);
    if (this.complaints.length > 0) throw new Error(`it complained:\n${this.complaints.join('\n')}`);
  }

  async stop(): Promise<void> {
    await this.citizen.stop();
    this.replica.signal('SIGTERM');
    const code = await this.replica.ended();
    if (code !== 0) throw new Error(`it ended with ${code}`);
  }
}
