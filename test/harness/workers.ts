/** A service of several processes as a test sees it: who its workers are, who serves whom, what it counts. */
import { readFileSync } from 'node:fs';
import { type ReplicaProcess, RpcClient } from './replica.ts';
import { until } from './until.ts';

export interface WorkerView {
  readonly worker: number;
  readonly pid: number;
  readonly connections: number;
}

export class Workers {
  readonly service: ReplicaProcess;
  readonly #clients: RpcClient[] = [];

  constructor(service: ReplicaProcess) {
    this.service = service;
  }

  async http(path: string): Promise<{ status: number; text: string }> {
    const answer = await fetch(`http://${this.service.http}/${path}`);
    return { status: answer.status, text: await answer.text() };
  }

  /** Those that serve now. */
  async all(): Promise<readonly WorkerView[]> {
    return (JSON.parse((await this.http('')).text) as { workers: WorkerView[] }).workers;
  }

  async pids(): Promise<number[]> {
    return (await this.all()).map(({ pid }) => pid);
  }

  /** With a connection of its own, which clients of one process otherwise share. */
  client(address = this.service.address): RpcClient {
    const client = new RpcClient(address, { 'grpc.use_local_subchannel_pool': 1 });
    this.#clients.push(client);
    return client;
  }

  /** A connected client at each of `count` workers. */
  async clients(count: number): Promise<RpcClient[]> {
    const clients: RpcClient[] = [];
    for (let at = 0; at < count; at += 1) {
      const client = this.client();
      await client.list();
      clients.push(client);
    }
    return clients;
  }

  /** The values of these series, by how they are written. */
  async metrics(...series: readonly string[]): Promise<(number | undefined)[]> {
    const lines = (await this.http('metrics')).text.split('\n');
    return series.map((name) => {
      const found = lines.find((line) => line.startsWith(`${name} `));
      return found === undefined ? undefined : Number(found.slice(name.length + 1));
    });
  }

  /** Resolves once these series have these values: a worker that is slow to answer may be missing for a while. */
  async counts(expected: Readonly<Record<string, number>>): Promise<void> {
    const names = Object.keys(expected);
    let now: (number | undefined)[] = [];
    const look = async (): Promise<boolean> => {
      now = await this.metrics(...names);
      return names.every((name, at) => now[at] === expected[name]);
    };
    await until('the metrics are as expected', look).catch((error: unknown) => {
      const rows = names.map((name, at) => `${name}: ${now[at]}, not ${expected[name]}`);
      throw new Error(`${String(error)}\n${rows.join('\n')}`);
    });
  }

  /** Resolves once a path of the side door is answered so. */
  async says(path: string, status: number, text: string): Promise<void> {
    let now = { status: 0, text: '' };
    const look = async (): Promise<boolean> => {
      now = await this.http(path);
      return now.status === status && now.text === `${text}\n`;
    };
    await until(`/${path} says ${status}: ${text}`, look).catch((error: unknown) => {
      throw new Error(`${String(error)}; it says ${now.status}: ${now.text}`);
    });
  }

  /** Its log, line by line. */
  log(): Record<string, unknown>[] {
    return this.service.output
      .split('\n')
      .slice(0, -1)
      .filter((line) => !line.startsWith('WARNING'))
      .map((line) => JSON.parse(line));
  }

  close(): void {
    for (const client of this.#clients) client.close();
  }
}

export async function gone(pids: readonly number[]): Promise<void> {
  await until(`the processes ${pids.join(', ')} are gone`, () => pids.every((pid) => !runs(pid)));
}

export function runs(pid: number): boolean {
  try {
    // Empty once it has ended, also where nobody has asked for its exit code.
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1') !== '';
  } catch {
    return false;
  }
}
