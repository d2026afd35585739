/** The composition root: the only file that sees every room. Starts a replica, drains it, stops it. */
import { createRequire } from 'node:module';
import type { RedisNode as NodeSetting, Settings } from './config.ts';
import { connectionUrl, formatAddress } from './config.ts';
import { startHttp } from './control/http.ts';
import { createLogs } from './control/logs.ts';
import { createMetrics, type Metrics } from './control/metrics.ts';
import { createTelemetry } from './control/telemetry.ts';
import { startTracing } from './control/tracing.ts';
import { traceVote } from './control/vote-spans.ts';
import { type Probe, silentProbe } from './domain/probe.ts';
import { type Edge, type ExtraService, startEdge } from './edge/server.ts';
import { makeLocks } from './locks/desk.ts';
import { MemoryNode } from './nodes/memory-node.ts';
import { RedisNode } from './nodes/redis-node.ts';
import { adopt as adoptNodes, bootstrap as bootstrapNodes, type Report } from './quorum/bootstrap.ts';
import { Cluster, fingerprint, type NodeAddress } from './quorum/cluster.ts';
import { makeQuorum } from './quorum/quorum.ts';
import type { ClusterStatus } from './quorum/status.ts';
import { type Clock, systemClock } from './std/clock.ts';
import { systemRandom } from './std/random.ts';

/** The health service follows the probes of the nodes, which come twice a second. */
const HEALTH_EVERY_MS = 250;

const { version } = createRequire(import.meta.url)('../package.json') as { version: string };

/** Where the locks live: several Redis nodes, or this one process. */
interface Store {
  readonly nodes: Cluster['nodes'];
  ready(): boolean;
  status(): ClusterStatus;
  stop(): void;
}

export interface Replica {
  /** gRPC addresses with the ports that were chosen. */
  readonly addresses: readonly string[];
  readonly httpAddress: string;
  status(): ClusterStatus;
  /** Refuses new locks, lets the rest finish, and leaves every lease where it is. */
  drain(): Promise<void>;
}

/** What the bench and tests add to a replica; nothing of it can be set from outside the process. */
export interface ReplicaHooks {
  readonly extraServices?: readonly ExtraService[];
  readonly quarantineOff?: boolean;
  readonly clock?: Clock;
}

function addressOf(node: NodeSetting): NodeAddress {
  const secret = node.address.kind === 'unix' ? node.password?.reveal() : undefined;
  return {
    id: node.id,
    url: connectionUrl(node),
    ...(secret === undefined ? {} : { username: node.username, password: secret }),
  };
}

async function openStore(settings: Settings, probe: Probe, hooks: ReplicaHooks): Promise<Store> {
  const clock = hooks.clock ?? systemClock;
  if (settings.redisNodes.length === 0) {
    probe.notice(
      'warn',
      'EMBEDDED STORE: locks live in this one process and are lost with it; set HOLDFAST_REDIS_NODES',
    );
    return embeddedStore(MemoryNode.embedded(clock, settings.maxTtlMs));
  }
  const cluster = new Cluster({
    nodes: settings.redisNodes.map(addressOf),
    namespace: settings.namespace,
    longestTtlMs: settings.maxTtlMs,
    nodeTimeoutMs: settings.nodeTimeoutMs,
    clockSkewMs: settings.clockSkewMs,
    bootstrap: settings.bootstrap,
    clock,
    random: systemRandom,
    probe,
    ...(hooks.quarantineOff === undefined ? {} : { quarantineOff: hooks.quarantineOff }),
  });
  await cluster.start();
  return cluster;
}

function embeddedStore(node: MemoryNode): Store {
  const status: ClusterStatus = {
    embedded: true,
    nodes: [
      {
        node: node.id,
        state: 'ready',
        detail: 'one process, not durable',
        voteLatencyMs: 0,
        quarantineLeftMs: 0,
        clockOffsetMs: 0,
        floor: '',
      },
    ],
    quorumMargin: 0,
    warnings: ['embedded store: one process, not durable'],
  };
  return { nodes: [node], ready: () => true, status: () => status, stop: () => {} };
}

/** Starts everything; whatever fails to start takes the rest down with it. */
export async function startReplica(settings: Settings, hooks: ReplicaHooks = {}): Promise<Replica> {
  const clock = hooks.clock ?? systemClock;
  const tracing = await startTracing({
    asked: settings.tracing.asked,
    serviceName: settings.tracing.serviceName,
  });
  let store: Store | undefined;
  let metrics: Metrics | undefined;
  const logs = createLogs({
    level: settings.logLevel,
    version,
    onDrop: () => metrics?.logLineDropped(),
  });
  metrics = createMetrics({
    version,
    nodes: settings.redisNodes.length === 0 ? ['embedded'] : settings.redisNodes.map(({ id }) => id),
    cluster: () => ({ ready: store?.ready() ?? false, quorumMargin: store?.status().quorumMargin ?? -1 }),
  });
  const { rpc, sinkFailed } = metrics;
  const sinks = [
    { name: 'metrics', probe: metrics.probe },
    { name: 'logs', probe: logs.probe },
  ];
  const probe: Probe = {
    ...createTelemetry(sinks, (sink) => sinkFailed(sink)),
    ...(tracing.active ? { traceVote } : {}),
  };
  store = await openStore(settings, probe, hooks);
  const opened = store;
  const quorum = makeQuorum({
    nodes: opened.nodes,
    clock,
    probe,
    longestTtlMs: settings.maxTtlMs,
    retryAfterMs: settings.nodeTimeoutMs * 2,
  });
  const locks = makeLocks({ quorum, random: systemRandom, probe });
  let draining = false;
  let edge: Edge | undefined;
  try {
    edge = await startEdge({
      locks,
      settings,
      addresses: settings.listen.map(formatAddress),
      keepalive: { timeMs: settings.keepaliveTimeMs, timeoutMs: settings.keepaliveTimeoutMs },
      probe,
      tracing: tracing.active,
      version,
      status: () => opened.status(),
      onCall: rpc,
      ...(hooks.extraServices === undefined ? {} : { extraServices: hooks.extraServices }),
    });
    const door = await startHttp({
      address: settings.httpListen,
      version,
      unready: () => whyUnready(opened, draining),
      metrics,
      about: () => ({ ...opened.status(), draining }),
    });
    const serving = edge;
    const health = setInterval(() => serving.setServing(opened.ready()), HEALTH_EVERY_MS);
    serving.setServing(opened.ready());
    const httpAddress = formatAddress(door.address);
    probe.notice('info', 'serving', { addresses: serving.addresses, http: httpAddress, version });
    return {
      addresses: serving.addresses,
      httpAddress,
      status: () => opened.status(),
      async drain() {
        draining = true;
        clearInterval(health);
        probe.notice('info', 'draining', { limitMs: settings.drainTimeoutMs });
        await serving.drain(settings.drainTimeoutMs);
        await door.close();
        opened.stop();
        await tracing.shutdown();
        probe.notice('info', 'stopped');
        logs.close();
      },
    };
  } catch (error) {
    await edge?.stop();
    opened.stop();
    await tracing.shutdown();
    logs.close();
    throw error;
  }
}

function whyUnready(store: Store, draining: boolean): readonly string[] {
  if (draining) return ['draining'];
  if (store.ready()) return [];
  return store
    .status()
    .nodes.filter(({ state }) => state !== 'ready')
    .map(({ node, state, detail }) => `${node}: ${state}${detail === '' ? '' : ` (${detail})`}`);
}

/** `holdfast serve`: resolves with the exit code once the service has drained. */
export async function run(settings: Settings): Promise<number> {
  let replica: Replica;
  try {
    replica = await startReplica(settings);
  } catch (error) {
    process.stderr.write(
      `holdfast: cannot start: ${error instanceof Error ? error.message : String(error)}\n`,
    );
    return 2;
  }
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
  });
  await replica.drain();
  return 0;
}

function connect(settings: Settings, nodes: readonly NodeSetting[]): RedisNode[] {
  const { namespace, nodeTimeoutMs: timeoutMs } = settings;
  return nodes.map(
    (node) =>
      new RedisNode({ ...addressOf(node), namespace, timeoutMs, clock: systemClock, probe: silentProbe }),
  );
}

function clusterOf(settings: Settings, nodes: readonly NodeSetting[]): string {
  return fingerprint(nodes.map(addressOf), settings.namespace);
}

/** `holdfast config bootstrap` */
export async function bootstrap(settings: Settings): Promise<Report> {
  const nodes = connect(settings, settings.redisNodes);
  try {
    return await bootstrapNodes({
      nodes,
      cluster: clusterOf(settings, settings.redisNodes),
      longestTtlMs: settings.maxTtlMs,
      clock: systemClock,
    });
  } finally {
    for (const node of nodes) node.close();
  }
}

/** `holdfast config adopt --from OLD` */
export async function adopt(settings: Settings, old: readonly NodeSetting[]): Promise<Report> {
  const nodes = connect(settings, settings.redisNodes);
  const oldNodes = connect(settings, old);
  try {
    return await adoptNodes({
      oldNodes,
      oldCluster: clusterOf(settings, old),
      nodes,
      cluster: clusterOf(settings, settings.redisNodes),
      longestTtlMs: settings.maxTtlMs,
      random: systemRandom,
    });
  } finally {
    for (const node of [...nodes, ...oldNodes]) node.close();
  }
}
