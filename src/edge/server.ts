/** The gRPC server: built, listening, drained and stopped. */
import type { Socket } from 'node:net';
import {
  type ConnectionInjector,
  type Server,
  ServerCredentials,
  type ServiceDefinition,
  setLogger,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation } from 'grpc-health-check';
import type { Probe } from '../domain/probe.ts';
import type { Locks } from '../locks/locks.ts';
import { type Clock, pause, systemClock } from '../std/clock.ts';
import type { ClientCertificate } from './access/certificates.ts';
import { Visits } from './access/visit.ts';
import {
  type AdminContext,
  adminCalls,
  noOperations,
  type Operations,
  type ServiceHealth,
} from './admin-calls.ts';
import { boundedServer } from './bounded-server.ts';
import { Flights } from './calls.ts';
import { Connections } from './connections.ts';
import type { TtlSettings } from './fields.ts';
import { holdHandler } from './hold-calls.ts';
import { IdleStreams } from './idle-streams.ts';
import { watchCalls } from './interceptor.ts';
import { type Bound, type Listening, listen } from './listen.ts';
import { lockCalls } from './lock-calls.ts';
import { ADMIN_SERVICE, LOCK_SERVICE, loadContract } from './protos.ts';
import { Security } from './security.ts';
import { sessionHandler } from './session-calls.ts';
import { draining } from './status.ts';
import { type StreamContext, Streams } from './streams.ts';
import { openTelemetryTracing, type Sampling } from './tracing.ts';
import { viewCalls } from './view-calls.ts';
import { type WatchContext, WatchStreams, watchHandler } from './watch-calls.ts';

export interface EdgeOptions {
  readonly locks: Locks;
  readonly settings: TtlSettings;
  /** `host:port` (0 picks a free one), `[ipv6]:port` or `unix:/path`. */
  readonly addresses: readonly string[];
  /** Where connections come from otherwise, if not from sockets of this process. */
  listen?(address: string, onSocket: (socket: Socket) => void): Promise<Bound>;
  readonly keepalive: { readonly timeMs: number; readonly timeoutMs: number };
  readonly probe: Probe;
  /** Absent: everybody may call, in clear. */
  readonly security?: Security;
  /** Present only if an OpenTelemetry provider is registered. */
  readonly tracing?: Sampling | undefined;
  readonly version: string;
  status(): ServiceHealth;
  readonly operations?: Operations;
  /** One call ended: `holdfast.v1.LockService/Acquire`, the name of its gRPC code, its time. Must not throw. */
  onCall?(method: string, code: string, tookMs: number): void;
  /** More services for the same server, as the benchmark's no-op. */
  readonly extraServices?: readonly ExtraService[];
  readonly clock?: Clock;
}

export interface ExtraService {
  readonly definition: ServiceDefinition;
  readonly implementation: UntypedServiceImplementation;
}

export interface Edge {
  /** As configured, with the ports that were chosen. */
  readonly addresses: readonly string[];
  /** Whether a majority answered of late; until the first call the health service says NOT_SERVING. */
  setServing(ok: boolean): void;
  /** Refuses new locks, lets everything else finish, and resolves when all is closed, at `limitMs` by force. */
  drain(limitMs: number): Promise<void>;
  /** Closes at once. */
  stop(): Promise<void>;
}

/** What a drain keeps of its time to end streams and close connections. */
const CLOSING_MS = 2000;
/** How long a drain waits, when all is closed, for nodes that do not answer. */
const SETTLING_MS = 1000;
/** How long a drain waits for readers that take nothing, before it ends their streams. */
const STALLED_MS = 1000;
const HEALTH_NAMES = ['', LOCK_SERVICE, ADMIN_SERVICE];

/**
 * grpc-js tells standard error of each header that breaks its rules, with what the client sent: a client could write
 * there as much as it likes. Only what was asked for by GRPC_TRACE is told, as everything is.
 */
function quietLogger(probe: Probe): Pick<Console, 'error' | 'info' | 'debug'> {
  const tell = (text: unknown): void => probe.notice('info', 'grpc-js traces', { text: String(text) });
  return { error() {}, info: tell, debug: tell };
}

class RunningEdge implements Edge {
  readonly #clock: Clock;
  readonly #flights = new Flights();
  readonly #idleStreams = new IdleStreams();
  readonly #watches = new WatchStreams();
  readonly #streams = new Streams();
  readonly #connections: Connections;
  readonly #locks: Locks;
  readonly #health: HealthImplementation;
  readonly #server: Server;
  readonly #injector: ConnectionInjector;
  readonly #security: Security;
  readonly #bound: Bound[] = [];
  #said: 'SERVING' | 'NOT_SERVING' | undefined;
  #draining: Promise<void> | undefined;
  #closed: Promise<unknown> | undefined;

  constructor(options: EdgeOptions) {
    this.#clock = options.clock ?? systemClock;
    this.#locks = options.locks;
    this.#connections = new Connections(this.#clock);
    const { probe } = options;
    const security = options.security ?? new Security({ settings: { tlsClientAuth: 'none' }, probe });
    this.#security = security;
    security.attach(
      (socket, certificate) => this.#take(socket, certificate),
      () => this.#idleStreams.identifyAgain(security.authenticator),
    );
    const tracing = options.tracing && openTelemetryTracing(options.tracing);
    const context: AdminContext & WatchContext & StreamContext = {
      visits: new Visits({ locks: options.locks, settings: options.settings, probe, clock: this.#clock }),
      probe,
      version: options.version,
      operations: options.operations ?? noOperations,
      status: () => options.status(),
      draining: () => this.#draining !== undefined,
      clock: this.#clock,
      flights: this.#flights,
      watches: this.#watches,
      streams: this.#streams,
      connections: this.#connections,
      tracing,
      onDefect(method, cause) {
        const stack = cause instanceof Error ? cause.stack : String(cause);
        probe.notice('error', 'a call failed on a defect', { method, cause: stack });
      },
    };
    const watch = {
      clock: this.#clock,
      tracing,
      authenticator: security.authenticator,
      certificateOf: security.speaksTls
        ? (peer: string) => this.#connections.of(peer)?.certificate
        : undefined,
      onUnknown: security.refused.bind(security),
      onCall: options.onCall?.bind(options) ?? (() => {}),
    };
    const interceptors = [watchCalls(watch, this.#idleStreams)];
    this.#server = boundedServer(options.keepalive, interceptors);
    setLogger(quietLogger(probe));
    this.#injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
    const contract = loadContract();
    this.#server.addService(contract.locks, {
      ...lockCalls(context),
      ...viewCalls(context),
      ...watchHandler(context),
      ...holdHandler(context),
      ...sessionHandler(context),
    });
    this.#server.addService(contract.admin, adminCalls(context));
    this.#health = new HealthImplementation();
    this.setServing(false);
    this.#health.addToServer(this.#server);
    new ReflectionService(contract.described).addToServer(this.#server);
    for (const { definition, implementation } of options.extraServices ?? []) {
      this.#server.addService(definition, implementation);
    }
  }

  get addresses(): readonly string[] {
    return this.#bound.map(({ address }) => address);
  }

  /** All addresses or none. */
  async listen({ addresses, probe, ...options }: EdgeOptions): Promise<void> {
    const open = options.listen ?? listen;
    try {
      for (const address of addresses) {
        const bound = await open(address, (socket) => {
          this.#security.take(socket, address.startsWith('unix:'));
        });
        this.#bound.push(bound);
        for (const server of bound.servers) {
          server.on('error', (error) =>
            probe.notice('error', 'a listening socket failed', { address, cause: error.message }),
          );
        }
      }
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  setServing(ok: boolean): void {
    const serving = ok && this.#draining === undefined ? 'SERVING' : 'NOT_SERVING';
    // Watchers are told of changes, not of every probe.
    if (serving === this.#said) return;
    this.#said = serving;
    for (const name of HEALTH_NAMES) this.#health.setStatus(name, serving);
  }

  drain(limitMs: number): Promise<void> {
    this.#draining ??= this.#drain(limitMs);
    // Only now, so that the health service sees the drain.
    this.setServing(false);
    return this.#draining;
  }

  async stop(): Promise<void> {
    this.#draining ??= Promise.resolve();
    this.setServing(false);
    await this.#force(this.#close());
  }

  /**
   * Whoever waits or watches is told at once, and so is whoever keeps leases on a stream: those stay, and are renewed
   * here until the stream ends. While handlers are at work and streams stand the connections stay open, and whoever
   * holds a lease can renew and release it here. Then no new connection is taken, each open one is told to go away
   * and may finish its calls.
   */
  async #drain(limitMs: number): Promise<void> {
    const startedMs = this.#clock.monotonicMs();
    const leftMs = (): number => Math.max(0, startedMs + limitMs - this.#clock.monotonicMs());
    const serveMs = limitMs - Math.min(CLOSING_MS, limitMs / 2);
    this.#locks.drain();
    this.#watches.end(draining);
    this.#streams.drain(serveMs);
    const idle = Promise.all([this.#flights.idle(), this.#streams.idle()]);
    await Promise.race([idle, pause(this.#clock, serveMs)]);
    this.#streams.end(draining);
    const closed = this.#close();
    this.#idleStreams.end(draining);
    this.#clock.after(Math.min(STALLED_MS, leftMs()), () => this.#idleStreams.reset());
    this.#injector.drain(leftMs());
    await Promise.race([Promise.all([closed, this.#flights.idle()]), pause(this.#clock, leftMs())]);
    await this.#force(closed);
    // A stream that was closed a moment ago has its release under way.
    await Promise.race([this.#locks.settled(), pause(this.#clock, SETTLING_MS)]);
  }

  /** Takes no more connections; resolves when the last one has ended. */
  #close(): Promise<unknown> {
    this.#closed ??= Promise.all(this.#bound.flatMap(({ servers }) => servers.map(closing)));
    this.#security.destroyAll();
    return this.#closed;
  }

  async #force(closed: Promise<unknown>): Promise<void> {
    this.#flights.cut();
    // forceShutdown alone would leave sessions open: it does not know those of a server without channelz.
    this.#server.forceShutdown();
    this.#connections.destroyAll();
    await closed;
  }

  /** Our own sockets, because grpc-js names neither a taken address nor the sockets that outlive a drain. */
  #take(socket: Socket, certificate: ClientCertificate | undefined): void {
    this.#connections.take(socket, certificate);
    this.#injector.injectConnection(socket);
  }
}

function closing(server: Listening): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}

export async function startEdge(options: EdgeOptions): Promise<Edge> {
  const edge = new RunningEdge(options);
  await edge.listen(options);
  return edge;
}
