/** The subjects of the session bench with the processes they need. */
import { Child } from './children.ts';
import { cpuMicros } from './cpu.ts';
import { startEtcd } from './handoff-etcd.ts';
import { say } from './report.ts';
import { type Servers, startServers } from './servers.ts';
import type { Done, Task, Way } from './session-client.ts';
import { type Side, sum } from './stats.ts';
import type { ServerQuestion, ServerState } from './unary-server.ts';

export type ServerChild = Child<ServerQuestion, ServerState>;

export interface Subject {
  readonly name: string;
  readonly client: Child<Task, Done>;
  /** Holdfast's own process, where there is one. */
  readonly server?: ServerChild;
  /** Microseconds so far of whatever else serves it. */
  readonly othersMicros: () => number;
}

/** CPU by process: the client's by its own word, of one slice; the others' by what they had used before and after. */
export function sideOf({ client, server, othersMicros }: Subject, inFlight: number): Side {
  const micros = async (): Promise<{ server: number; others: number }> => ({
    server: server === undefined ? 0 : (await server.ask({})).cpuMicros,
    others: othersMicros(),
  });
  return async (ms) => {
    const before = await micros();
    const slice = await client.ask({ inFlight, ms });
    const after = await micros();
    const cpu = { ...slice.cpu, server: after.server - before.server, others: after.others - before.others };
    return { ...slice, cpu };
  };
}

type Environment = Readonly<Record<string, string>>;

/** The service in a process of its own; without `servers` on the embedded store. Replicas of one namespace are one cluster. */
export function startService(servers?: Servers, env: Environment = {}, how = 'usual'): ServerChild {
  const nodes: Environment =
    servers === undefined
      ? {}
      : {
          HOLDFAST_REDIS_NODES: servers.all.map(({ tcpUrl }) => tcpUrl).join(','),
          HOLDFAST_NODE_TIMEOUT: '1s',
          HOLDFAST_BOOTSTRAP: '1',
        };
  const doors = { HOLDFAST_LISTEN: '127.0.0.1:0', HOLDFAST_HTTP_LISTEN: '127.0.0.1:0' };
  return new Child('unary-server.ts', { ...doors, ...nodes, ...env }, [how]);
}

/** Builds of the service: unary-server.ts. */
export type How = 'usual' | 'slowed' | 'unmeasured' | 'burdened';

interface More {
  readonly env?: Environment;
  readonly way?: Way;
}

/** Everything that was started, for the end. */
export class SessionStage {
  readonly #ends: (() => Promise<void>)[] = [];

  async stop(): Promise<void> {
    // Clients before servers, servers before nodes.
    for (const end of this.#ends.reverse()) await end();
    this.#ends.length = 0;
  }

  onStop(end: () => Promise<void>): void {
    this.#ends.push(end);
  }

  async nodes(count: number): Promise<Servers> {
    const servers = await startServers(count);
    this.#ends.push(() => servers.stop());
    return servers;
  }

  /** Without `servers`: on the embedded store. */
  async holdfast(name: string, servers?: Servers, how: How = 'usual', more: More = {}): Promise<Subject> {
    return this.#served(name, startService(servers, more.env, how), servers, more.way);
  }

  /** The edge alone: a Session whose locks answer at once. */
  async edge(name: string): Promise<Subject> {
    return this.#served(name, new Child('floor-server.ts', {}, ['edge']));
  }

  /** The edge and the nodes, and nothing between them. */
  async relay(name: string, servers: Servers): Promise<Subject> {
    const urls = servers.all.map(({ tcpUrl }) => tcpUrl);
    return this.#served(name, new Child('floor-server.ts', {}, ['relay', ...urls]), servers);
  }

  /** One more client of a server, of another kind. */
  async besides({ server, othersMicros }: Subject, name: string, way: Way): Promise<Subject> {
    const { address } = await server!.ask({});
    return { name, client: await this.#client(way, [address]), server: server!, othersMicros };
  }

  async redlock(name: string, servers: Servers, way: Way): Promise<Subject> {
    const urls = servers.all.map(({ tcpUrl }) => tcpUrl);
    return { name, client: await this.#client(way, urls), othersMicros: () => redisMicros(servers) };
  }

  /** First with leases that last, then with one for each lock; nothing, and a loud line, where etcd cannot be had. */
  async etcd(names: readonly [string, string]): Promise<Subject[]> {
    const etcd = await startEtcd().catch((error: unknown) => {
      say(`!!!!! NO ETCD: ${String(error)}; nothing below is compared with it !!!!!`);
    });
    if (etcd === undefined) return [];
    this.#ends.push(() => etcd.stop());
    const othersMicros = (): number => cpuMicros(etcd.pid);
    const [lasting, each] = [
      await this.#client('etcd', [etcd.address]),
      await this.#client('etcd-leases', [etcd.address]),
    ];
    return [
      { name: names[0], client: lasting, othersMicros },
      { name: names[1], client: each, othersMicros },
    ];
  }

  async #served(
    name: string,
    server: ServerChild,
    servers?: Servers,
    way: Way = 'session',
  ): Promise<Subject> {
    this.#ends.push(() => server.stop());
    const { address } = await server.answer();
    const client = await this.#client(way, [address]);
    return { name, client, server, othersMicros: () => (servers === undefined ? 0 : redisMicros(servers)) };
  }

  async #client(way: Way, addresses: readonly string[]): Promise<Child<Task, Done>> {
    const client: Child<Task, Done> = new Child('session-client.ts', {}, [[way, ...addresses].join(' ')]);
    this.#ends.push(() => client.stop());
    await client.answer();
    return client;
  }
}

function redisMicros(servers: Servers): number {
  return sum(servers.all.map(({ pid }) => cpuMicros(pid!)));
}
