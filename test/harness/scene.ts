/** Several desks over the same Redis nodes, and what stands in line on these, read without Holdfast's own code. */
import { fileURLToPath } from 'node:url';
import type { Inspection, LockEvent } from '../../src/locks/locks.ts';
import { Desk, type DeskOptions } from './desk.ts';
import { Nodes } from './nodes.ts';
import { bootstrapped, type Environment, ReplicaProcess, TestReplica } from './replica.ts';
import { until } from './until.ts';

/** A file of this folder. */
export const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Long enough that no lease of a test that takes its time ends by itself. */
const LONGEST_TTL_MS = 20_000;
const env: Environment = { HOLDFAST_MAX_TTL: `${LONGEST_TTL_MS}ms`, HOLDFAST_DEFAULT_TTL: '20s' };

export class Scene {
  readonly nodes: Nodes;
  readonly #closing: (() => unknown)[] = [];

  private constructor(nodes: Nodes) {
    this.nodes = nodes;
  }

  static async open(count = 3): Promise<Scene> {
    const nodes = await Nodes.start(count);
    await bootstrapped(nodes.list, env);
    return new Scene(nodes);
  }

  onClose(close: () => unknown): void {
    this.#closing.push(close);
  }

  async close(): Promise<void> {
    for (const close of this.#closing.splice(0).reverse()) await close();
    await this.nodes.close();
  }

  /** `list`: the same nodes, reached in another way. */
  async desk(options: DeskOptions = {}, list = this.nodes.list): Promise<Desk> {
    const desk = await Desk.open(list, { maxTtlMs: LONGEST_TTL_MS, ...options });
    this.onClose(() => desk.close());
    return desk;
  }

  desks(count: number, options: DeskOptions = {}): Promise<Desk[]> {
    return Promise.all(Array.from({ length: count }, () => this.desk(options)));
  }

  /** In this process, reached through gRPC. */
  async replica(more: Environment = {}): Promise<TestReplica> {
    const replica = await TestReplica.start(this.nodes.list, { ...env, ...more });
    this.onClose(() => replica.stop());
    return replica;
  }

  /** A process of its own, which a signal can end. */
  async process(more: Environment = {}): Promise<ReplicaProcess> {
    const replica = await ReplicaProcess.start(this.nodes.list, { ...env, ...more });
    this.onClose(() => replica.stop());
    return replica;
  }

  /** The ids in one node's line, the first first; nothing where nobody answers. */
  async line(index: number, resource: string): Promise<string[] | undefined> {
    try {
      return (await this.nodes.run(index, 'ZRANGE', `holdfast:b:q:${resource}`, 0, -1)) as string[];
    } catch {
      return undefined;
    }
  }

  lines(resource: string): Promise<(string[] | undefined)[]> {
    return Promise.all(this.nodes.servers.map((_, index) => this.line(index, resource)));
  }

  /** Resolves once `count` stand in line at every node that answers. */
  async queued(resource: string, count: number, withinMs?: number): Promise<void> {
    let lengths: (number | undefined)[] = [];
    const look = async (): Promise<boolean> => {
      lengths = (await this.lines(resource)).map((line) => line?.length);
      return lengths.every((length) => length === undefined || length === count);
    };
    await until(`${count} wait for ${resource} at every node`, look, withinMs).catch((error: unknown) => {
      throw new Error(`${String(error)}; by node there are ${lengths.map(String).join(', ')}`);
    });
  }

  /** What each node keeps of the first in line, as bytes: different whenever its place is taken anew, and by whom. */
  async places(resource: string): Promise<string[]> {
    return Promise.all(
      this.nodes.servers.map(async (_, index) => {
        const [id] = (await this.line(index, resource)) ?? [];
        return id === undefined ? '' : String(await this.nodes.run(index, 'GET', `holdfast:b:w:${id}`));
      }),
    );
  }

  /** Scripts that all nodes have run since they started. */
  async scripts(): Promise<number> {
    const counts = await Promise.all(
      this.nodes.servers.map(async (_, index) => {
        const info = String(await this.nodes.run(index, 'INFO', 'commandstats'));
        const calls = [...info.matchAll(/^cmdstat_eval(?:sha)?:calls=(\d+)/gm)];
        return calls.reduce((sum, [, count]) => sum + Number(count), 0);
      }),
    );
    return counts.reduce((sum, count) => sum + count, 0);
  }

  async nodeMs(index: number): Promise<number> {
    const [seconds, micros] = (await this.nodes.run(index, 'TIME')) as [string, string];
    return Number(seconds) * 1000 + Number(micros) / 1000;
  }
}

export async function inspected(desk: Desk, resource: string, history = 0): Promise<Inspection> {
  const answer = await desk.locks.inspect(resource, history);
  if (answer.kind === 'refusal') throw new Error(`${resource} cannot be inspected: ${answer.message}`);
  return answer;
}

/** Oldest first, by the time of the nodes. */
export async function history(desk: Desk, resource: string): Promise<readonly LockEvent[]> {
  return (await inspected(desk, resource, 1000)).history.toReversed();
}
