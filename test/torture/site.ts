/** What a run stands on: nodes and a register, a link between each node and each asker, and the replicas. */
import { readdirSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { Link } from '../harness/link.ts';
import { Nodes } from '../harness/nodes.ts';
import { nowMs, pause } from '../harness/pace.ts';
import { Preload } from '../harness/preload.ts';
import { type RedisServer, startRedis } from '../harness/redis-server.ts';
import { bootstrapped, type Environment, ReplicaProcess } from '../harness/replica.ts';
import type { Subject } from './orders.ts';

export type Memory = 'always' | 'everysec' | 'none';

const MEMORIES: readonly Memory[] = ['always', 'everysec', 'none'];
const ARGS: Readonly<Record<Memory, readonly string[]>> = {
  always: ['--appendonly', 'yes', '--appendfsync', 'always'],
  everysec: ['--appendonly', 'yes', '--appendfsync', 'everysec'],
  none: [],
};
/** How often a node's file is measured, so that the last second of it can be cut off. */
const TAIL_MS = 1000;
/** More than a lease may last, for the libraries: what Redis' own page asks of whoever restarts a node. */
const DRIFT = 1.01;

export interface SiteOptions {
  readonly subject: Subject;
  readonly nodes: number;
  readonly ways: number;
  readonly ttlMs: number;
  readonly clocks: boolean;
  /** More of the replicas' environment. */
  readonly env: Environment;
}

interface Replica {
  address: string;
  process: ReplicaProcess | undefined;
}

export class Site {
  readonly nodes: Nodes;
  readonly register: RedisServer;
  /** By way and node. */
  readonly links: readonly (readonly Link[])[];
  readonly options: SiteOptions;
  /** What nobody did, and happened: a replica that ended by itself. */
  readonly crashes: string[] = [];
  readonly #replicas: Replica[] = [];
  readonly #clocks: readonly (Preload | undefined)[];
  readonly #skewMicros: number[];
  #lostMs = Number.NEGATIVE_INFINITY;

  private constructor(
    options: SiteOptions,
    nodes: Nodes,
    register: RedisServer,
    links: readonly (readonly Link[])[],
    clocks: readonly (Preload | undefined)[],
  ) {
    this.options = options;
    this.nodes = nodes;
    this.register = register;
    this.links = links;
    this.#clocks = clocks;
    this.#skewMicros = clocks.map(() => 0);
  }

  static async open(options: SiteOptions): Promise<Site> {
    const { nodes: count, ways, clocks: skewed } = options;
    const clocks = Array.from({ length: count }, () => (skewed ? Preload.skewedClock() : undefined));
    const nodes = await Nodes.start(count, (index) => ({
      args: [...ARGS[MEMORIES[index % MEMORIES.length]!], '--enable-debug-command', 'yes'],
      env: clocks[index]?.env ?? {},
    }));
    const register = await startRedis();
    const links = await Promise.all(
      Array.from({ length: ways }, () =>
        Promise.all(nodes.servers.map(({ socketPath }) => Link.to(socketPath))),
      ),
    );
    const site = new Site(options, nodes, register, links, clocks);
    if (options.subject === 'holdfast') await site.#serve();
    return site;
  }

  memory(node: number): Memory {
    return MEMORIES[node % MEMORIES.length]!;
  }

  /** Of the nodes, as clients on this way reach them. */
  sockets(way: number): string[] {
    return this.links[way]!.map(({ path }) => path);
  }

  /** Of the replicas, another one first for each `turn`. */
  addresses(turn: number): string[] {
    const all = this.#replicas.map(({ address }) => address);
    return all.map((_, at) => all[(at + turn) % all.length]!);
  }

  get environment(): Environment {
    const { ttlMs, env } = this.options;
    return {
      HOLDFAST_DEFAULT_TTL: `${ttlMs}ms`,
      HOLDFAST_MAX_TTL: `${ttlMs * 1.5}ms`,
      HOLDFAST_NODE_TIMEOUT: `${NODE_TIMEOUT_MS}ms`,
      HOLDFAST_WAITER_LIVENESS: `${LIVENESS_MS}ms`,
      HOLDFAST_DRAIN_TIMEOUT: '3s',
      // Who is stopped must be found within the length of a stop.
      HOLDFAST_KEEPALIVE_TIME: '500ms',
      HOLDFAST_KEEPALIVE_TIMEOUT: '500ms',
      HOLDFAST_PRIORITY_STEP: `${PRIORITY_STEP_MS}ms`,
      HOLDFAST_LOG_LEVEL: 'info',
      ...env,
    };
  }

  async startReplica(way: number): Promise<void> {
    const replica = this.#replicas[way]!;
    const env = { ...this.environment, HOLDFAST_LISTEN: replica.address };
    const started = await ReplicaProcess.start(this.#list(way), env);
    replica.address = started.address;
    replica.process = started;
    void started.ended().then((how) => {
      if (replica.process === started)
        this.crashes.push(`replica ${way + 1} ended with ${how}: ${started.output.slice(-2000)}`);
    });
  }

  signalReplica(way: number, signal: NodeJS.Signals): void {
    this.#replicas[way]!.process?.signal(signal);
  }

  runs(way: number): boolean {
    return this.#replicas[way]!.process !== undefined;
  }

  /** How its process ended; it does not come back by itself. */
  async endReplica(way: number, signal: 'SIGKILL' | 'SIGTERM'): Promise<string | number | null> {
    const replica = this.#replicas[way]!;
    const { process: running } = replica;
    if (running === undefined) return null;
    replica.process = undefined;
    running.signal(signal);
    return running.ended();
  }

  /** Whether each node has its memory, or has come back to voting since it lost it. */
  async allVote(): Promise<boolean> {
    const { subject, ttlMs } = this.options;
    if (subject !== 'holdfast') return nowMs() - this.#lostMs > ttlMs * 1.5 * DRIFT;
    const votes = await Promise.all(this.nodes.servers.map((_, node) => this.#votes(node)));
    return votes.every(Boolean);
  }

  /** The node forgets all, or the last of what it was told. */
  async loseMemory(node: number, part: number, forMs: number, signal: AbortSignal): Promise<string> {
    const server = this.nodes.servers[node]!;
    try {
      if (part < 0.1) {
        await this.nodes.run(node, 'FLUSHALL');
        return 'memory: FLUSHALL';
      }
      const tail = this.memory(node) === 'everysec' ? await this.#tail(server, part) : undefined;
      await server.kill('SIGKILL');
      await pause(forMs, signal);
      if (tail === undefined) {
        await server.restart({ empty: true });
        return 'memory: restarted empty';
      }
      truncateSync(tail.path, tail.size);
      await server.start();
      return 'memory: tail cut';
    } finally {
      this.#lostMs = nowMs();
    }
  }

  /** From now on the node's clock is off by so much more. */
  stepClock(node: number, stepMs: number): void {
    this.#skewMicros[node]! += stepMs * 1000;
    this.#clocks[node]?.set(this.#skewMicros[node]!);
  }

  async close(): Promise<void> {
    await Promise.all(this.#replicas.map((_, way) => this.endReplica(way, 'SIGKILL')));
    for (const link of this.links.flat()) link.close();
    await Promise.all([this.nodes.close(), this.register.stop()]);
    for (const clock of this.#clocks) clock?.close();
  }

  async #serve(): Promise<void> {
    await bootstrapped(this.nodes.list, this.environment);
    for (let way = 0; way < this.options.ways; way += 1) {
      // A loopback address of its own: nobody else is given its port while the replica is down.
      const octets = [Math.floor(process.pid / 250) % 250, process.pid % 250, way + 1];
      this.#replicas.push({ address: `127.${octets.join('.')}:0`, process: undefined });
    }
    await Promise.all(this.#replicas.map((_, way) => this.startReplica(way)));
  }

  #list(way: number): string {
    return this.links[way]!.map(({ url }, node) => `${url}#n${node + 1}`).join(',');
  }

  async #votes(node: number): Promise<boolean> {
    try {
      const info = String(await this.nodes.run(node, 'INFO', 'server'));
      const runId = /run_id:(\w+)/.exec(info)?.[1];
      const stamp = String(await this.nodes.run(node, 'HGET', 'holdfast:meta', 'stamp'));
      return runId !== undefined && stamp.includes(runId);
    } catch {
      return false;
    }
  }

  /** The file to cut, and what is left of it: a part of what was written in the last second is gone. */
  async #tail({ directory }: RedisServer, part: number): Promise<{ path: string; size: number }> {
    const folder = join(directory, 'appendonlydir');
    const name = readdirSync(folder)
      .filter((file) => file.endsWith('.incr.aof'))
      .sort()
      .at(-1)!;
    const path = join(folder, name);
    const before = statSync(path).size;
    await pause(TAIL_MS);
    const after = statSync(path).size;
    return { path, size: Math.max(before, Math.floor(after - part * (after - before))) };
  }
}

/** After which a node counts as silent: what a stall of a busy machine must stay below. */
export const NODE_TIMEOUT_MS = 500;
/** How much sooner one level of priority is served. */
export const PRIORITY_STEP_MS = 500;
/** Of a place in line whose replica is gone. */
export const LIVENESS_MS = 2000;
