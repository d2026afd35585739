/** The subjects of the hand-off bench with the processes they need, and the counters of these. */
import { Child } from './children.ts';
import { cpuMicros } from './cpu.ts';
import { type Etcd, startEtcd } from './handoff-etcd.ts';
import type { Kind } from './handoff-taker.ts';
import { say } from './report.ts';
import { callsBetween, type Servers, startServers } from './servers.ts';
import { sum } from './stats.ts';
import type { ServerQuestion, ServerState } from './unary-server.ts';

export const HOLDFAST = 'holdfast, 3 nodes';
export const HOLDFAST_SESSION = 'holdfast, 3 nodes, Session';
export const HOLDFAST_5 = 'holdfast, 5 nodes';
export const HOLDFAST_TWICE = 'holdfast, 3 nodes, 2 replicas';
export const ETCD = 'etcd v3lock';
export const REDLOCK_4 = 'redlock 4, tuned';

/** What has been used so far: the difference of two readings is what a slice cost. */
export interface Reading {
  readonly scripts: number;
  readonly serverMicros: number;
  /** Of these, the replicas'. */
  readonly replicaMicros: number;
}

export interface Subject {
  readonly name: string;
  readonly kind: Kind;
  /** 0: no nodes to count scripts at. */
  readonly nodes: number;
  readonly replicas: number;
  /** Whom the clients of process `index` speak to. */
  addresses(index: number): readonly string[];
  read(): Promise<Reading>;
  /** Operations and scripts by the replicas' own metrics; undefined for peers. */
  batches?(): Promise<Batches>;
}

export interface Batches {
  readonly scripts: number;
  readonly operations: number;
  /** What the nodes answered in votes, by kind of answer. */
  readonly answers: Readonly<Record<string, number>>;
}

type Replica = Child<ServerQuestion, ServerState>;

/** What reaches a node from outside; what scripts call is in the same list, and is none of these. */
const HOLDFAST_COMMANDS = ['evalsha', 'eval'];
const REDLOCK_COMMANDS = ['evalsha', 'eval'];
/** Its attempts are plain SETs, and its scripts call none. */
const SEMAPHORE_COMMANDS = ['set', 'evalsha', 'eval'];

async function countAt(servers: Servers, commands: readonly string[]): Promise<number> {
  const calls = await servers.calls();
  return sum(calls.flatMap((node) => commands.map((name) => callsBetween({}, node)[name] ?? 0)));
}

const redisMicros = (servers: Servers): number => sum(servers.all.map(({ pid }) => cpuMicros(pid!)));

/** All samples of a metric, by the label that comes last, added up over the replicas. */
function samples(texts: readonly string[], name: string): Record<string, number> {
  const found: Record<string, number> = {};
  for (const text of texts) {
    for (const [, label = '', value] of text.matchAll(
      new RegExp(`^${name}(?:{.*?([^",]*)"})? (\\S+)$`, 'gm'),
    )) {
      found[label] = (found[label] ?? 0) + Number(value);
    }
  }
  return found;
}

async function batchesOf(addresses: readonly string[]): Promise<Batches> {
  const texts = await Promise.all(
    addresses.map(async (address) => (await fetch(`http://${address}/metrics`)).text()),
  );
  return {
    scripts: samples(texts, 'holdfast_batch_operations_count')['']!,
    operations: samples(texts, 'holdfast_batch_operations_sum')['']!,
    answers: samples(texts, 'holdfast_votes_total'),
  };
}

/** Everything that was started, for the end. */
export class Stage {
  readonly #ends: (() => Promise<void>)[] = [];

  async stop(): Promise<void> {
    // Replicas before the nodes they speak to.
    for (const end of this.#ends.reverse()) await end();
  }

  /** Nodes of its own, so that no other subject's probes are among what is counted there. */
  async holdfast(name: string, nodes: number, replicas: number, kind: Kind = 'holdfast'): Promise<Subject> {
    const servers = await this.#nodes(nodes);
    const states: ServerState[] = [];
    const children: Replica[] = [];
    for (let index = 0; index < replicas; index += 1) {
      const replica: Replica = new Child('unary-server.ts', {
        HOLDFAST_LISTEN: '127.0.0.1:0',
        HOLDFAST_HTTP_LISTEN: '127.0.0.1:0',
        HOLDFAST_REDIS_NODES: servers.all.map(({ tcpUrl }) => tcpUrl).join(','),
        HOLDFAST_NODE_TIMEOUT: '1s',
        HOLDFAST_BOOTSTRAP: index === 0 ? '1' : '0',
      });
      this.#ends.push(() => replica.stop());
      states.push(await replica.answer());
      children.push(replica);
    }
    const perReplica = (index: number): ServerState => states[index % replicas]!;
    return {
      name,
      kind,
      nodes,
      replicas,
      addresses: (index) => [perReplica(index).address],
      async read() {
        const replicaStates = await Promise.all(children.map((child) => child.ask({})));
        const replicaMicros = sum(replicaStates.map((state) => state.cpuMicros));
        const serverMicros = replicaMicros + redisMicros(servers);
        return { scripts: await countAt(servers, HOLDFAST_COMMANDS), serverMicros, replicaMicros };
      },
      batches: () => batchesOf(states.map(({ httpAddress }) => httpAddress)),
    };
  }

  /** The peers share their nodes: they take turns, and leave nothing running between them. */
  async pollers(): Promise<Subject[]> {
    const servers = await this.#nodes(3);
    const poller = (name: string, kind: Kind, commands: readonly string[]): Subject => ({
      name,
      kind,
      nodes: servers.all.length,
      replicas: 0,
      addresses: () => servers.all.map(({ tcpUrl }) => tcpUrl),
      async read() {
        const serverMicros = redisMicros(servers);
        return { scripts: await countAt(servers, commands), serverMicros, replicaMicros: 0 };
      },
    });
    return [
      poller(REDLOCK_4, 'redlock4-tuned', REDLOCK_COMMANDS),
      poller('redlock 4, default', 'redlock4-default', REDLOCK_COMMANDS),
      poller('redlock 5 beta 2, tuned', 'redlock5-tuned', REDLOCK_COMMANDS),
      poller('redis-semaphore, tuned', 'redis-semaphore', SEMAPHORE_COMMANDS),
    ];
  }

  /** Nothing, and a line that cannot be overlooked, where etcd cannot be had. */
  async etcd(): Promise<Subject[]> {
    let etcd: Etcd;
    try {
      etcd = await startEtcd();
    } catch (error) {
      const why = (error as { stderr?: string }).stderr?.trim().split('\n').at(-1) ?? String(error);
      say(`!!!!! NO ETCD: ${why}; nothing below is compared with it !!!!!`);
      return [];
    }
    this.#ends.push(() => etcd.stop());
    return [
      {
        name: ETCD,
        kind: 'etcd',
        nodes: 0,
        replicas: 0,
        addresses: () => [etcd.address],
        read: async () => ({ scripts: 0, serverMicros: cpuMicros(etcd.pid), replicaMicros: 0 }),
      },
    ];
  }

  async #nodes(count: number): Promise<Servers> {
    const servers = await startServers(count);
    this.#ends.push(() => servers.stop());
    return servers;
  }
}
