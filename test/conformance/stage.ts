/** The real service that a scenario plays on, what may befall it, and somebody outside who sees how things stand. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ServiceError } from '@grpc/grpc-js';
import { Nodes } from '../harness/nodes.ts';
import { bootstrapped, type Environment, ReplicaProcess, refusedBy, span } from '../harness/replica.ts';
import { until } from '../harness/until.ts';
import type { StageKind } from './model.ts';
import type { Filter } from './wire.ts';
import { Wire } from './wire.ts';

/** Each span as long as a busy machine needs it and as short as the slowest scenario can bear. */
const usual: Environment = {
  HOLDFAST_MIN_TTL: '100ms',
  HOLDFAST_DEFAULT_TTL: '30s',
  HOLDFAST_MAX_TTL: '60s',
  HOLDFAST_NODE_TIMEOUT: '2s',
  HOLDFAST_YIELD_AFTER: '50ms',
  HOLDFAST_MAX_WAITERS_PER_RESOURCE: '4',
  HOLDFAST_LOG_LEVEL: 'info',
};

export type ReplicaName = 'one' | 'two';

type Args = Readonly<Record<string, unknown>>;

export class Stage {
  readonly kind: StageKind;
  readonly #directory = mkdtempSync(join(tmpdir(), 'holdfast-stage-'));
  readonly #env: Environment;
  readonly #nodes: Nodes | undefined;
  readonly #replicas = new Map<ReplicaName, ReplicaProcess>();
  readonly #filters = new Map<string, Filter>();
  readonly #wires = new Map<string, Promise<Wire>>();
  readonly #leases = new Map<string, string>();

  private constructor(kind: StageKind, env: Environment, nodes: Nodes | undefined) {
    this.kind = kind;
    this.#env = { ...usual, ...env };
    this.#nodes = nodes;
  }

  static async open(kind: StageKind, env: Environment = {}): Promise<Stage> {
    const nodes = kind === 'calm' ? undefined : await Nodes.start(3);
    if (nodes !== undefined) await bootstrapped(nodes.list, { ...usual, ...env });
    const stage = new Stage(kind, env, nodes);
    await Promise.all(stage.names.map((name) => stage.#start(name)));
    return stage;
  }

  get names(): readonly ReplicaName[] {
    return this.kind === 'calm' ? ['one'] : ['one', 'two'];
  }

  /** The socket of a replica, or of a filter in front of it: one filter for all replicas and all that share the `key`. */
  async path(name: ReplicaName, key = '', filter?: () => Filter): Promise<string> {
    if (filter === undefined) return this.#socket(name);
    const shared = this.#filters.get(key) ?? filter();
    this.#filters.set(key, shared);
    const keepaliveMs = this.#env.HOLDFAST_KEEPALIVE_TIME === undefined ? 10_000 : 1000;
    const known = this.#wires.get(`${name} ${key}`);
    const wire = known ?? Wire.to(`unix:${this.#socket(name)}`, shared, keepaliveMs);
    this.#wires.set(`${name} ${key}`, wire);
    return (await wire).path;
  }

  /** Where a run may write one file. */
  file(id: string): string {
    return join(this.#directory, `${id}.bin`);
  }

  /** What a step of `stage` does: once, for all that play. */
  async act(
    what: string,
    { replica = 'one', count = 2 }: { replica?: ReplicaName; count?: number },
  ): Promise<unknown> {
    const servers = this.#nodes?.servers.slice(0, count) ?? [];
    if (what === 'meet') return {};
    if (what === 'drain') await this.#drain(replica);
    else if (what === 'drained') return { code: await this.#replicas.get(replica)!.ended() };
    else if (what === 'kill') await this.#kill(replica);
    else if (what === 'start') await this.#start(replica);
    else if (what === 'pauseNodes') for (const server of servers) server.pause();
    else if (what === 'resumeNodes') await this.#resume(servers);
    else throw new Error(`a stage cannot ${what}`);
    return {};
  }

  /** Resolves once every replica knows that they are back: a busy machine takes its time over that. */
  async #resume(servers: Nodes['servers']): Promise<void> {
    for (const server of servers) server.resume();
    const votes = async ({ client }: ReplicaProcess): Promise<boolean> =>
      (await client.status()).nodes.every(({ state }) => state === 'NODE_STATE_READY');
    for (const replica of this.#replicas.values())
      await until('every node votes again', () => votes(replica));
  }

  /** What a step of `outside` does: a plain call of the service. `mine` tells the leases of one run from those of others. */
  async outside(what: string, given: Args, mine: string): Promise<unknown> {
    const { client } = this.#replicas.get('two') ?? this.#replicas.get('one')!;
    const name = String(given.name ?? '');
    try {
      if (what === 'inspect') return shown(await client.inspect(name, 100));
      if (what === 'check') return await client.checkToken(name, String(given.token));
      if (what === 'force') return await client.force({ resource: name, reason: String(given.reason) });
      if (what === 'release') return { released: await client.release(this.#leases.get(mine)!) };
      if (what !== 'acquire') throw new Error(`nobody outside can ${what}`);
      const ask = { owner: String(given.owner ?? 'outside'), ttl: span(Number(given.ttl ?? 60_000)) };
      const wait = given.wait === undefined ? null : span(Number(given.wait));
      const lease = await client.lock(given.names as string[], { ...ask, wait });
      this.#leases.set(mine, lease.lease_id);
      return { token: lease.fencing_token, leaseRef: lease.lease_ref };
    } catch (error) {
      if ((error as Partial<ServiceError>).metadata === undefined) throw error;
      return { refused: reasonOf(error as ServiceError), holders: [], waiters: [] };
    }
  }

  async close(): Promise<void> {
    for (const server of this.#nodes?.servers ?? []) server.resume();
    for (const wire of this.#wires.values()) (await wire).close();
    await Promise.all([...this.#replicas.values()].map((replica) => replica.stop()));
    await this.#nodes?.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #socket(name: ReplicaName): string {
    return join(this.#directory, `${name}.sock`);
  }

  async #start(name: ReplicaName): Promise<void> {
    rmSync(this.#socket(name), { force: true });
    const env = { ...this.#env, HOLDFAST_LISTEN: `127.0.0.1:0,unix:${this.#socket(name)}` };
    this.#replicas.set(name, await ReplicaProcess.start(this.#nodes?.list ?? '', env));
  }

  /** Done when it takes nothing new any more. */
  async #drain(name: ReplicaName): Promise<void> {
    const replica = this.#replicas.get(name)!;
    replica.signal('SIGTERM');
    await until('the replica drains', () => replica.output.includes('"draining"'));
  }

  async #kill(name: ReplicaName): Promise<void> {
    await this.#replicas.get(name)!.stop();
    this.#replicas.delete(name);
  }
}

function reasonOf(error: ServiceError): string {
  try {
    return refusedBy(error).reason;
  } catch {
    return 'UNAVAILABLE';
  }
}

const wallMs = (at: { seconds: unknown; nanos: number } | null): number =>
  Number(at?.seconds ?? 0) * 1000 + (at?.nanos ?? 0) / 1e6;

/** How a resource stands, in the words of the scenarios. */
function shown({
  state,
  holders,
  waiters,
  history,
  last_token,
}: Awaited<ReturnType<ReplicaProcess['client']['inspect']>>) {
  return {
    state: state.replace('STATE_', ''),
    lastToken: last_token,
    holders: holders.map((holder) => {
      const [granted, expires] = [wallMs(holder.acquire_time), wallMs(holder.expire_time)];
      return {
        owner: holder.owner,
        token: holder.fencing_token,
        leaseRef: holder.lease_ref,
        mode: holder.mode.replace('MODE_', '').toLowerCase(),
        labels: holder.labels,
        progress: holder.progress,
        standsFor: expires - granted,
      };
    }),
    waiters: waiters.map(({ owner, position, priority }) => ({ owner, position, priority })),
    history: history.map(({ type, owner, reason }) => ({
      type: type.replace('EVENT_TYPE_', ''),
      owner,
      reason,
    })),
  };
}
