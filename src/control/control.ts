/** The control room: everything beside the path that watches it, records it, tells of it and mends after it. */
import type { Settings } from '../config.ts';
import type { JanitorReport } from '../domain/operations.ts';
import { type Probe, silentProbe } from '../domain/probe.ts';
import { invalidField, type Refusal } from '../domain/refusals.ts';
import type { Locks } from '../locks/locks.ts';
import type { Mend } from '../locks/mend.ts';
import { awake, systemClock } from '../std/clock.ts';
import { systemRandom } from '../std/random.ts';
import { type Alerts, openAlerts } from './alerts/alerts.ts';
import type { Archive } from './archive/archive.ts';
import { ArchiveNumbers } from './archive/numbers.ts';
import { openArchive } from './archive/open.ts';
import { withPast } from './archive/past.ts';
import type { AuditFile } from './audit-file.ts';
import { callTraces, outcomes } from './call-traces.ts';
import { JanitorService } from './janitor/service.ts';
import { createLogs, type Logs } from './logs.ts';
import { type ClusterReading, createMetrics, type Metrics } from './metrics.ts';
import { auditFileOf, type Recent, Recording } from './recording.ts';
import { following, type Reloader } from './reload.ts';
import { createRuleMetrics } from './rule-metrics.ts';
import { createTelemetry } from './telemetry.ts';
import { startTracing, type Tracing } from './tracing.ts';
import { voteTraces } from './vote-events.ts';

/** Of what alerts were not delivered, at the end. */
const ALERTS_CLOSE_MS = 3000;

export interface ControlOptions {
  readonly settings: Settings;
  readonly version: string;
  /** Of a service of several processes, which one this is. */
  readonly worker: number | undefined;
  /** Asked whenever it is needed: it is not there at the start. */
  cluster(): ClusterReading;
  /** BENCH HOOK: announcements go nowhere, to see what they cost. */
  readonly unmeasured?: boolean | undefined;
}

export interface Control {
  /** What the path is given. */
  readonly probe: Probe;
  readonly metrics: Metrics;
  readonly tracing: Tracing;
  /** The same locks with the archive behind what nodes remember. */
  withPast(locks: Locks): Locks;
  /** Locks can be asked: whatever works by itself begins. `replica`: as the nodes know this one. */
  begin(locks: Locks, mend: Mend, replica: string): void;
  /** Whatever works by itself ends, while the nodes can still be told. */
  rest(): Promise<void>;
  /** What it runs by, it takes from a reload as well. */
  follow(reloader: Reloader): void;
  /** What happened last that somebody should look into, for `/`. */
  recent(): Recent;
  setLogLevel(level: string): { readonly kind: 'level'; readonly previous: string } | Refusal;
  runJanitor(dryRun: boolean): Promise<JanitorReport | Refusal>;
  /** Flushes what is pending, within bounds; never rejects. */
  close(): Promise<void>;
}

class Room implements Control {
  readonly probe: Probe;
  readonly metrics: Metrics;
  readonly tracing: Tracing;
  readonly #logs: Logs;
  readonly #alerts: Alerts;
  readonly #recording: Recording;
  readonly #janitor: JanitorService;
  #archive: Archive | undefined;

  constructor(
    { settings, version, worker, cluster, unmeasured }: ControlOptions,
    tracing: Tracing,
    auditFile: AuditFile | undefined,
  ) {
    this.tracing = tracing;
    const nodes = settings.redisNodes.length === 0 ? ['embedded'] : settings.redisNodes.map(({ id }) => id);
    this.metrics = createMetrics({
      version,
      nodes,
      classes: settings.classes ?? [],
      cluster,
    });
    const onDrop = (): void => this.metrics.logLineDropped();
    this.#logs = createLogs({ level: settings.logLevel, version, worker, onDrop });
    this.#alerts = openAlerts({
      settings,
      worker,
      cluster,
      clock: systemClock,
      random: systemRandom,
      notice: (level, message, facts) => this.probe.notice(level, message, facts),
      snapshot: () => this.metrics.snapshot(),
    });
    const notice: Probe['notice'] = (level, message, facts) => this.probe.notice(level, message, facts);
    this.#recording = new Recording({ settings, version, clock: systemClock, nodes, notice, auditFile });
    this.#recording.pipeline.add(this.#alerts.sink);
    this.metrics.add(...this.#alerts.families, ...this.#recording.families);
    const observer = this.#alerts;
    this.#janitor = new JanitorService({
      settings,
      clock: systemClock,
      notice,
      observer,
      backfill: (events) => this.#archive?.backfill(events),
    });
    this.metrics.add(...this.#janitor.families);
    const rules = createRuleMetrics();
    this.metrics.add(...rules.families);
    const sinks = [
      { name: 'metrics', probe: this.metrics.probe },
      { name: 'metrics', probe: rules.probe },
      { name: 'logs', probe: this.#logs.probe },
      { name: 'alerts', probe: this.#alerts.probe },
      ...this.#recording.sinks,
      ...(tracing.active ? [{ name: 'traces', probe: outcomes(tracing) }] : []),
    ];
    const telemetry = createTelemetry(sinks, (sink) => this.metrics.sinkFailed(sink));
    const traces = tracing.active
      ? {
          traceVote: voteTraces(tracing, systemClock),
          traces: callTraces(tracing),
        }
      : {};
    const { notice: tell, nodeState } = telemetry;
    this.probe = unmeasured ? { ...silentProbe, notice: tell, nodeState } : { ...telemetry, ...traces };
    if (unmeasured) this.metrics.rpc = () => {};
  }

  /** Before anything has happened. Rejects where the service must not start without it. */
  async openArchive(settings: Settings): Promise<void> {
    const numbers = new ArchiveNumbers(settings.archive.kind === 'off');
    this.metrics.add(...numbers.families);
    const { notice } = this.probe;
    const doors = { clock: systemClock, random: systemRandom };
    this.#archive = await openArchive({ settings, numbers, notice, ...doors });
    if (this.#archive !== undefined) this.#recording.pipeline.add(this.#archive);
  }

  withPast(locks: Locks): Locks {
    return withPast({ locks, past: this.#archive, clock: systemClock });
  }

  begin(locks: Locks, mend: Mend, replica: string): void {
    this.#alerts.begin();
    this.#janitor.begin(locks, mend, replica);
  }

  rest(): Promise<void> {
    return this.#janitor.stop();
  }

  follow(reloader: Reloader): void {
    reloader.add(this.#alerts);
    reloader.add(this.#recording);
    reloader.add(
      following(({ logLevel }) => {
        this.#logs.logger.level = logLevel;
      }),
    );
  }

  recent(): Recent {
    return this.#recording.recent();
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

  runJanitor(dryRun: boolean): Promise<JanitorReport | Refusal> {
    return this.#janitor.run(dryRun);
  }

  async close(): Promise<void> {
    await awake(this.#close());
  }

  async #close(): Promise<void> {
    await this.#janitor.stop();
    // First, for what is still on its way to alerts.
    await this.#recording.close();
    await this.#alerts.close(ALERTS_CLOSE_MS);
    await this.tracing.shutdown();
    await this.#logs.close();
  }
}

export async function openControl(options: ControlOptions): Promise<Control> {
  const { settings, version } = options;
  const auditFile = await auditFileOf(settings, version, systemClock);
  const room = new Room(options, await startTracing(settings.tracing), auditFile);
  try {
    await room.openArchive(settings);
  } catch (error) {
    await room.close();
    throw error;
  }
  return room;
}
