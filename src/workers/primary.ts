/** The primary of several workers: has the addresses and the side door, minds the workers, and serves no lock itself. */

import { packSettings } from '../config/pack.ts';
import type { Settings } from '../config.ts';
import { formatAddress } from '../config.ts';
import { type HttpDoor, startHttp } from '../control/http.ts';
import { boundedSink, createLogs, type Logs } from '../control/logs.ts';
import { following, type Reading, Reloader } from '../control/reload.ts';
import { createServiceMetrics, type ServiceMetrics } from '../control/service-metrics.ts';
import type { Reloaded } from '../domain/operations.ts';
import type { Probe } from '../domain/probe.ts';
import { type Refusal, refuse } from '../domain/refusals.ts';
import { type Bound, listen } from '../edge/listen.ts';
import { systemClock } from '../std/clock.ts';
import { heed, unlessTold } from '../std/signals.ts';
import { Child } from './child.ts';
import { Connections } from './connections.ts';
import { Crew, type Life } from './crew.ts';

const ENTRY = new URL('../cli/worker.ts', import.meta.url);

export interface PrimaryOptions {
  readonly settings: Settings;
  readonly version: string;
  /** Reads the settings once more. */
  reread(): Reading;
  /** Sets up a new cluster: once, before any worker looks at a node. */
  bootstrap(): Promise<{ readonly ok: boolean; readonly lines: readonly string[] }>;
}

/** Resolves with the exit code once all workers have ended; throws when the service cannot start, or not go on. */
export async function runPrimary(options: PrimaryOptions): Promise<number> {
  const primary = new Primary(options);
  const told = heed(() => void primary.reload());
  try {
    const started = await unlessTold(
      primary.start().then(() => true),
      told,
    );
    return started === undefined ? 0 : await primary.serve(told);
  } finally {
    await primary.close();
  }
}

class Primary {
  readonly #options: PrimaryOptions;
  readonly #logs: Logs;
  readonly #notice: Probe['notice'];
  readonly #metrics: ServiceMetrics;
  readonly #reloader: Reloader;
  readonly #connections = new Connections();
  readonly #crew: Crew<Child>;
  readonly #bound: Bound[] = [];
  readonly #taking = new Set<number>();
  /** In force now: what a worker that is replaced begins with. */
  #settings: Settings;
  /** How many reloads have begun, and how many had when each worker was started. */
  #reloads = 0;
  readonly #reloadsAtStart = new Map<number, number>();
  #http: HttpDoor | undefined;
  #draining = false;

  constructor(options: PrimaryOptions) {
    this.#options = options;
    const { settings, version } = options;
    this.#metrics = createServiceMetrics({
      workers: settings.workers,
      gather: () => this.#ask((child) => child.metrics()),
      connections: () => this.#connections.open(),
      restarts: () => this.#crew.restarts,
    });
    const onDrop = (): void => this.#metrics.logLineDropped();
    this.#logs = createLogs({ level: settings.logLevel, version, onDrop });
    this.#notice = this.#logs.probe.notice!;
    const { sink } = boundedSink(process.stdout, onDrop);
    let packed = packSettings(settings);
    this.#reloader = new Reloader(settings, { notice: this.#notice });
    this.#reloader.add(
      following((next) => {
        packed = packSettings(next);
        this.#settings = next;
        this.#logs.logger.level = next.logLevel;
      }),
    );
    this.#settings = settings;
    this.#crew = new Crew<Child>({
      count: settings.workers,
      clock: systemClock,
      notice: this.#notice,
      spawn: (number, life) => this.#spawn(number, life, packed, (lines) => void sink.write(lines)),
      joined: (number, child) => {
        this.#taking.add(number);
        this.#connections.add({ number, give: (socket, at) => child.give(socket, at) });
        // What it has read may be from before a reload that it was not there for.
        if (this.#reloadsAtStart.get(number) !== this.#reloads) void child.reload(packed);
      },
      left: (number) => {
        this.#metrics.left(number);
        this.#stopTaking(number);
      },
    });
  }

  async start(): Promise<void> {
    const { settings, version, bootstrap } = this.#options;
    // First of all: an address that is taken is told before any process is started for it.
    for (const [at, address] of settings.listen.entries()) {
      const take = (socket: Parameters<Connections['offer']>[0]): void => this.#connections.offer(socket, at);
      const bound = await listen(formatAddress(address), take, { pauseOnConnect: true });
      this.#bound.push(bound);
      for (const server of bound.servers) {
        server.on('error', ({ message: cause }) =>
          this.#notice('error', 'a listening socket failed', { address: bound.address, cause }),
        );
      }
    }
    this.#http = await startHttp({
      address: settings.httpListen,
      version,
      dead: () => this.#dead(),
      unready: () => this.#unready(),
      metrics: this.#metrics,
      about: () => this.#about(),
    });
    if (settings.bootstrap) {
      const { ok, lines } = await bootstrap();
      this.#notice(ok ? 'info' : 'warn', `bootstrap: ${lines.join('; ')}`);
    }
    // Whoever has been told to stop meanwhile starts nobody any more.
    if (!this.#draining) await this.#crew.start();
  }

  /** Until it is told to stop, or until a worker cannot be replaced any more. */
  async serve(told: Promise<void>): Promise<number> {
    const { workers } = this.#options.settings;
    const http = this.#http === undefined ? '' : formatAddress(this.#http.address);
    this.#notice('info', 'serving', { addresses: this.#addresses(), http, workers });
    const fault = await Promise.race([told, this.#crew.gaveUp]);
    this.#draining = true;
    const { drainTimeoutMs: limitMs } = this.#settings;
    this.#notice('info', 'draining', { limitMs });
    const orderly = await this.#crew.drain(limitMs);
    if (typeof fault === 'string') throw new Error(fault);
    this.#notice('info', 'stopped');
    return orderly ? 0 : 1;
  }

  async close(): Promise<void> {
    this.#draining = true;
    this.#stopListening();
    await this.#crew.drain(0);
    await this.#http?.close();
    await this.#logs.close();
  }

  #spawn(
    number: number,
    life: Life,
    settings: ConstructorParameters<typeof Child>[0]['settings'],
    log: (lines: string) => void,
  ): Child {
    const addresses = this.#addresses();
    this.#reloadsAtStart.set(number, this.#reloads);
    return new Child({ entry: ENTRY, number, settings, addresses, clock: systemClock, log }, life, {
      confirmed: () => this.#connections.confirmed(number),
      ended: (count) => this.#connections.ended(number, count),
      closing: () => this.#stopTaking(number),
      reload: () => this.reload(),
    });
  }

  /** The workers first: they have what may be wrong with what the settings name. The first that refuses ends it. */
  async reload(): Promise<Reloaded | Refusal> {
    const reading = this.#options.reread();
    if (!reading.ok) return this.#reloader.reload(() => reading);
    this.#reloads += 1;
    const packed = packSettings(reading.settings);
    const changed: string[] = [];
    const done = new Set<Child>();
    const left = () => this.#crew.up().find(([, child]) => !done.has(child));
    // Asked anew each time: one that has joined meanwhile may have read what was there before.
    for (let next = left(); next !== undefined; next = left()) {
      const [number, child] = next;
      done.add(child);
      const outcome = await child.reload(packed);
      if (outcome === undefined) {
        // To a signal nobody answers, and whoever was taken out of a file may still be let in there.
        this.#notice('error', 'the settings were read again, but not by every worker', { worker: number });
        return refuse('INTERNAL', `worker ${number} does not answer`);
      }
      if (outcome.kind === 'refusal') return outcome;
      changed.push(...outcome.changed);
    }
    const own = await this.#reloader.reload(() => reading);
    if (own.kind === 'refusal') return own;
    return { ...own, changed: [...new Set([...own.changed, ...changed])].sort() };
  }

  #addresses(): string[] {
    return this.#bound.map(({ address }) => address);
  }

  /** Once the last worker of a drain takes none, nobody may connect any more. */
  #stopTaking(number: number): void {
    this.#connections.retire(number);
    this.#taking.delete(number);
    if (this.#draining && this.#taking.size === 0) this.#stopListening();
  }

  #stopListening(): void {
    for (const server of this.#bound.splice(0).flatMap(({ servers }) => servers)) server.close();
    this.#connections.close();
  }

  async #ask<T>(question: (child: Child) => Promise<T>): Promise<ReadonlyMap<number, T>> {
    const asked = this.#crew
      .up()
      .map(async ([number, child]): Promise<[number, T]> => [number, await question(child)]);
    return new Map(await Promise.all(asked));
  }

  /** Whoever died is being replaced; whoever hangs is for the operator's restart. */
  async #dead(): Promise<readonly string[]> {
    const reports = await this.#ask((child) => child.report());
    return [...reports].flatMap(([number, report]) =>
      report === undefined ? [`worker ${number} does not answer`] : [],
    );
  }

  /** A connection may come to any worker that takes them, so all of these have to be ready; and one has to be there. */
  async #unready(): Promise<readonly string[]> {
    if (this.#draining) return ['draining'];
    const reports = await this.#ask((child) => child.report());
    if (reports.size === 0) return ['no worker serves'];
    return [...reports].flatMap(([number, report]) =>
      (report?.unready ?? ['does not answer']).map((why) => `worker ${number}: ${why}`),
    );
  }

  async #about(): Promise<Readonly<Record<string, unknown>>> {
    const reports = await this.#ask((child) => child.report());
    const open = this.#connections.open();
    const workers = this.#crew.up().map(([number, { pid }]) => ({
      ...{ worker: number, pid, connections: open.get(number) ?? 0 },
      ...(reports.get(number)?.about ?? { unanswered: true }),
    }));
    return { draining: this.#draining, workers };
  }
}
