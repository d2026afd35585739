/** The composition root: the only file that sees every room. Starts a replica, drains it, stops it. */
import { createRequire } from 'node:module';
import { addressOf, bootstrap } from './app/cluster.ts';
import { formatAddress, type Settings } from './config.ts';
import { accessMetrics } from './control/access-metrics.ts';
import { type Control, openControl } from './control/control.ts';
import { startHttp } from './control/http.ts';
import { following, type Reading, Reloader } from './control/reload.ts';
import type { Reloaded } from './domain/operations.ts';
import type { Probe } from './domain/probe.ts';
import type { Refusal } from './domain/refusals.ts';
import { Security } from './edge/security.ts';
import { type Edge, type ExtraService, startEdge } from './edge/server.ts';
import { makeLocks } from './locks/desk.ts';
import type { LineSettings } from './locks/line.ts';
import { leftoverAgeMs, makeMend } from './locks/mend.ts';
import { Cluster } from './quorum/cluster.ts';
import { makeQuorum } from './quorum/quorum.ts';
import type { ClusterStatus } from './quorum/status.ts';
import { embeddedStore, type Store } from './quorum/store.ts';
import { type Clock, systemClock } from './std/clock.ts';
import { systemRandom } from './std/random.ts';
import { heed, unlessTold } from './std/signals.ts';
import { runPrimary } from './workers/primary.ts';
import { runWorker, type WorkerDoors } from './workers/worker.ts';

export { adopt, bootstrap } from './app/cluster.ts';

/** The health service follows the probes of the nodes, which come twice a second. */
const HEALTH_EVERY_MS = 250;

const { version } = createRequire(import.meta.url)('../package.json') as { version: string };

export interface Replica {
  /** gRPC addresses with the ports that were chosen. */
  readonly addresses: readonly string[];
  readonly httpAddress: string;
  status(): ClusterStatus;
  /** Takes what can change while it runs; all of it or nothing. */
  reload(read: () => Reading): Promise<Reloaded | Refusal>;
  /** Refuses new locks, lets the rest finish, and leaves every lease where it is. */
  drain(): Promise<void>;
}

/** The settings that are read whenever they are needed. */
type Live = { -readonly [K in keyof Settings]: Settings[K] };

/** What the bench, tests and a primary add to a replica; nothing of it can be set from outside the process. */
export interface ReplicaHooks {
  /** This is one of several processes of the service. */
  readonly worker?: WorkerDoors;
  /** Where settings come from when they are read again; as given at the start unless said. */
  readonly reread?: () => Reading;
  readonly extraServices?: readonly ExtraService[];
  readonly quarantineOff?: boolean;
  readonly clock?: Clock;
  /** As in ControlOptions. */
  readonly unmeasured?: boolean;
}

async function openStore(settings: Settings, probe: Probe, hooks: ReplicaHooks): Promise<Store> {
  const clock = hooks.clock ?? systemClock;
  if (settings.redisNodes.length === 0) {
    probe.notice(
      'warn',
      'EMBEDDED STORE: locks live in this one process and are lost with it; set HOLDFAST_REDIS_NODES',
    );
    return embeddedStore(clock, settings.maxTtlMs);
  }
  const cluster = new Cluster({
    replica: systemRandom.bytes(9).toString('base64url'),
    nodes: settings.redisNodes.map(addressOf),
    namespace: settings.namespace,
    longestTtlMs: settings.maxTtlMs,
    nodeTimeoutMs: settings.nodeTimeoutMs,
    clockSkewMs: settings.clockSkewMs,
    bootstrap: settings.bootstrap && hooks.worker !== undefined ? 'done' : settings.bootstrap,
    clock,
    random: systemRandom,
    probe,
    ...(hooks.quarantineOff === undefined ? {} : { quarantineOff: hooks.quarantineOff }),
  });
  await cluster.start();
  return cluster;
}

/** Starts everything; whatever fails to start takes the rest down with it. */
export async function startReplica(settings: Settings, hooks: ReplicaHooks = {}): Promise<Replica> {
  let store: Store | undefined;
  const control = await openControl({
    settings,
    version,
    worker: hooks.worker?.number,
    unmeasured: hooks.unmeasured,
    cluster: () => ({
      ready: store?.ready() ?? false,
      quorumMargin: store?.status().quorumMargin ?? -1,
      nodes: store?.status().nodes ?? [],
    }),
  });
  try {
    const security = openSecurity(settings, control);
    store = await openStore(settings, control.probe, hooks);
    return await openDoors({ ...settings }, hooks, store, control, security);
  } catch (error) {
    store?.stop();
    await control.close();
    throw error;
  }
}

async function openDoors(
  settings: Live,
  hooks: ReplicaHooks,
  store: Store,
  control: Control,
  security: Security,
): Promise<Replica> {
  const { probe, metrics } = control;
  let draining = false;
  const reloader = new Reloader(settings, probe);
  metrics.add(reloader.family);
  control.follow(reloader);
  reloader.add(following((next) => Object.assign(settings, next)));
  const reread = hooks.reread ?? (() => ({ ok: true, settings, warnings: [] }));
  const reload = (read: () => Reading): Promise<Reloaded | Refusal> => reloader.reload(read);
  reloader.add(security);
  const edge = await openEdge(settings, hooks, store, control, { security, reload: () => reload(reread) });
  const http = await (hooks.worker?.startHttp ?? startHttp)({
    address: settings.httpListen,
    version,
    unready: () => whyUnready(store, draining),
    metrics,
    about: () => ({ ...store.status(), draining, recent: control.recent() }),
  }).catch(async (error: unknown) => {
    await edge.stop();
    throw error;
  });
  const follow = (): void => {
    if (draining) return;
    edge.setServing(store.ready());
    systemClock.after(HEALTH_EVERY_MS, follow);
  };
  follow();
  const httpAddress = formatAddress(http.address);
  if (hooks.worker !== undefined) probe.notice('info', 'a worker serves');
  else probe.notice('info', 'serving', { addresses: edge.addresses, http: httpAddress });
  return {
    addresses: edge.addresses,
    httpAddress,
    status: () => store.status(),
    reload,
    async drain() {
      draining = true;
      probe.notice('info', 'draining', { limitMs: settings.drainTimeoutMs });
      await control.rest();
      await edge.drain(settings.drainTimeoutMs);
      await http.close();
      store.stop();
      probe.notice('info', 'stopped');
      await control.close();
    },
  };
}

function openEdge(
  settings: Settings,
  hooks: ReplicaHooks,
  store: Store,
  control: Control,
  { security, reload }: { security: Security; reload: () => Promise<Reloaded | Refusal> },
): Promise<Edge> {
  const { probe, metrics, tracing } = control;
  const { yieldAfterMs } = settings;
  const quorum = makeQuorum({
    nodes: store.nodes,
    clock: hooks.clock ?? systemClock,
    probe,
    longestTtlMs: settings.maxTtlMs,
    retryAfterMs: settings.nodeTimeoutMs * 2,
    mayPropose: () => store.mayPropose(),
    replica: store.replica,
  });
  const locks = control.withPast(
    makeLocks({ quorum, random: systemRandom, probe, waiting: waitingOf(settings), yieldAfterMs }),
  );
  const mend = makeMend({ quorum, minAgeMs: leftoverAgeMs(settings.nodeTimeoutMs) });
  control.begin(locks, mend, store.replica);
  return startEdge({
    locks,
    settings,
    addresses: settings.listen.map(formatAddress),
    keepalive: { timeMs: settings.keepaliveTimeMs, timeoutMs: settings.keepaliveTimeoutMs },
    probe,
    security,
    tracing: tracing.active
      ? {
          tracer: tracing.tracer('holdfast.edge'),
          rootShare: settings.tracing.rootShare,
          random: systemRandom,
        }
      : undefined,
    version,
    status: () => withWarnings(store.status(), security.warnings),
    operations: {
      reload: hooks.worker?.reload ?? reload,
      setLogLevel: (level) => control.setLogLevel(level),
      runJanitor: (dryRun) => control.runJanitor(dryRun),
    },
    onCall: metrics.rpc,
    ...(hooks.worker === undefined ? {} : { listen: hooks.worker.listen }),
    ...(hooks.extraServices === undefined ? {} : { extraServices: hooks.extraServices }),
  });
}

/** Throws where a file cannot be used. */
function openSecurity(settings: Settings, { probe, metrics }: Control): Security {
  const { families, failed, certificateUntil } = accessMetrics();
  metrics.add(...families);
  return new Security({ settings, probe, onFailure: failed, onCertificate: certificateUntil });
}

function withWarnings(status: ClusterStatus, more: readonly string[]): ClusterStatus {
  return more.length === 0 ? status : { ...status, warnings: [...status.warnings, ...more] };
}

function waitingOf(settings: Settings): LineSettings {
  return {
    livenessMs: settings.waiterLivenessMs,
    priorityStepMs: settings.priorityStepMs,
    // Read when they are needed: a reload may change them.
    get maxWaiters() {
      return settings.maxWaiters;
    },
    get maxWaitersPerResource() {
      return settings.maxWaitersPerResource;
    },
  };
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
export async function run(settings: Settings, reread: () => Reading): Promise<number> {
  let replica: Replica | undefined;
  let told = Promise.resolve();
  try {
    const once = { settings, version, reread, bootstrap: () => bootstrap(settings) };
    if (settings.workers > 1) return await runPrimary(once);
    told = heed(() => void replica?.reload(reread));
    replica = await unlessTold(startReplica(settings, { reread }), told);
    if (replica === undefined) return 0;
  } catch (error) {
    process.stderr.write(
      `holdfast: cannot start: ${error instanceof Error ? error.message : String(error)}\n`,
    );
    return 2;
  }
  await told;
  await replica.drain();
  return 0;
}

/** One of the processes of `holdfast serve` with HOLDFAST_WORKERS above 1; resolves as `run` does. */
export function work(): Promise<number> {
  return runWorker((settings, worker) => startReplica(settings, { worker }));
}
