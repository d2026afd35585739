/** The control room: everything beside the path that watches it, records it, tells of it and mends after it. */
import type { Settings } from '../config.ts';
import type { Probe } from '../domain/probe.ts';
import { invalidField, type Refusal, refuse } from '../domain/refusals.ts';
import type { Locks } from '../locks/locks.ts';
import { createLogs, type Logs } from './logs.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { following, type Reloader } from './reload.ts';
import { createTelemetry } from './telemetry.ts';
import { startTracing, type Tracing } from './tracing.ts';
import { traceVote } from './vote-spans.ts';

export interface ControlOptions {
  readonly settings: Settings;
  readonly version: string;
  /** Of a service of several processes, which one this is. */
  readonly worker: number | undefined;
  /** Asked whenever it is needed: it is not there at the start. */
  cluster(): { readonly ready: boolean; readonly quorumMargin: number };
}

export interface Control {
  /** What the path is given. */
  readonly probe: Probe;
  readonly metrics: Metrics;
  readonly tracing: Tracing;
  /** The same locks with the archive behind what nodes remember. */
  withPast(locks: Locks): Locks;
  /** Locks can be asked: whatever works by itself begins. */
  begin(locks: Locks): void;
  /** What it runs by, it takes from a reload as well. */
  follow(reloader: Reloader): void;
  setLogLevel(level: string): { readonly kind: 'level'; readonly previous: string } | Refusal;
  runJanitor(dryRun: boolean): Promise<never | Refusal>;
  /** Flushes what is pending, within bounds; never rejects. */
  close(): Promise<void>;
}

class Room implements Control {
  readonly probe: Probe;
  readonly metrics: Metrics;
  readonly tracing: Tracing;
  readonly #logs: Logs;

  constructor({ settings, version, worker, cluster }: ControlOptions, tracing: Tracing) {
    this.tracing = tracing;
    this.metrics = createMetrics({
      version,
      nodes: settings.redisNodes.length === 0 ? ['embedded'] : settings.redisNodes.map(({ id }) => id),
      cluster,
    });
    const onDrop = (): void => this.metrics.logLineDropped();
    this.#logs = createLogs({ level: settings.logLevel, version, worker, onDrop });
    const sinks = [
      { name: 'metrics', probe: this.metrics.probe },
      { name: 'logs', probe: this.#logs.probe },
    ];
    const telemetry = createTelemetry(sinks, (sink) => this.metrics.sinkFailed(sink));
    this.probe = tracing.active ? { ...telemetry, traceVote } : telemetry;
  }

  withPast(locks: Locks): Locks {
    return locks;
  }

  begin(_locks: Locks): void {}

  follow(reloader: Reloader): void {
    reloader.add(
      following(({ logLevel }) => {
        this.#logs.logger.level = logLevel;
      }),
    );
  }

  setLogLevel(level: string): { readonly kind: 'level'; readonly previous: string } | Refusal {
    const { logger } = this.#logs;
    if (!Object.hasOwn(logger.levels.values, level) && level !== 'silent') {
      const known = [...Object.keys(logger.levels.values), 'silent'].join(', ');
      return invalidField('level', `must be one of ${known}`);
    }
    const previous = logger.level;
    logger.level = level;
    return { kind: 'level', previous };
  }

  async runJanitor(_dryRun: boolean): Promise<Refusal> {
    return refuse('NOT_SERVED', 'this release does not serve RunJanitor');
  }

  async close(): Promise<void> {
    await this.tracing.shutdown();
    await this.#logs.close();
  }
}

export async function openControl(options: ControlOptions): Promise<Control> {
  const { asked, serviceName } = options.settings.tracing;
  return new Room(options, await startTracing({ asked, serviceName }));
}
