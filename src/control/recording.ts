/** What is recorded of the path: events on their way to whoever wants them, and acts on their way to the audit log. */
import type { Settings } from '../config.ts';
import type { Probe } from '../domain/probe.ts';
import type { Clock } from '../std/clock.ts';
import { systemRandom } from '../std/random.ts';
import { AuditLog, auditFailures, openAuditFile } from './audit.ts';
import type { AuditFile } from './audit-file.ts';
import type { Pipeline } from './events/event.ts';
import { EventMetrics } from './events/event-metrics.ts';
import { MemorySink } from './events/memory.ts';
import { EventPipeline } from './events/pipeline.ts';
import { watchQuorum } from './events/quorum-watch.ts';
import { StreamSink } from './events/stream.ts';
import type { Family } from './families.ts';
import type { Prepared } from './reload.ts';
import type { Sink } from './telemetry.ts';

/** Of each of events and acts, at the end. */
const CLOSE_MS = 2000;
/** What is shown of the last minutes: the urgent ones alone. */
const RECENT = 20;

export type Recent = readonly Readonly<Record<string, string>>[];

export interface RecordingOptions {
  readonly settings: Settings;
  readonly version: string;
  readonly clock: Clock;
  readonly nodes: readonly string[];
  readonly notice: Probe['notice'];
  /** Undefined: no audit log is asked for. */
  readonly auditFile: AuditFile | undefined;
}

/** Before anything else of a service starts: without the audit log that it was told to write it must not. */
export async function auditFileOf(
  { auditLog: path }: Settings,
  version: string,
  clock: Clock,
): Promise<AuditFile | undefined> {
  return path === undefined ? undefined : openAuditFile({ path, version, clock });
}

export class Recording {
  readonly pipeline: Pipeline;
  readonly families: readonly Family[];
  /** What it hears of the path. */
  readonly sinks: readonly Sink[];
  readonly #recent = new MemorySink(RECENT, { urgentOnly: true });
  readonly #audit: AuditLog | undefined;

  constructor({ settings, version, clock, nodes, notice, auditFile }: RecordingOptions) {
    const { eventBuffer: capacity, eventStream, auditLog: path = '' } = settings;
    const metrics = new EventMetrics();
    this.pipeline = new EventPipeline({ clock, capacity, metrics, notice });
    this.pipeline.add(this.#recent);
    if (eventStream !== undefined) {
      const run = systemRandom.bytes(9).toString('base64url');
      this.pipeline.add(new StreamSink({ url: eventStream.reveal(), run }));
    }
    const { happened } = this.pipeline.probe;
    const events = { name: 'events', probe: { happened, ...watchQuorum(nodes, clock, happened) } };
    const failures = auditFailures();
    if (auditFile !== undefined) {
      this.#audit = new AuditLog({ path, version, clock, capacity, notice, failures }, auditFile);
    }
    const audit = this.#audit;
    this.sinks = audit === undefined ? [events] : [events, { name: 'audit', probe: audit.probe }];
    this.families = [...metrics.families, failures];
  }

  /** The last forced ends, losses and quorum losses, without the names that callers gave: anybody may read them. */
  recent(): Recent {
    return this.#recent.all().map(({ happening: { type, timeMs, lease } }) => ({
      time: new Date(timeMs).toISOString(),
      type,
      ...(lease === undefined ? {} : { leaseRef: lease.leaseRef, token: lease.token.toString() }),
    }));
  }

  /** A reload opens the audit log anew, for whoever has moved the file away. */
  async prepare(): Promise<Prepared> {
    try {
      const file = await this.#audit?.reopened();
      return {
        commit: () => {
          file?.take();
          return [];
        },
        abandon: () => file?.leave(),
      };
    } catch (error) {
      return { problems: [{ field: 'HOLDFAST_AUDIT_LOG', description: (error as Error).message }] };
    }
  }

  /** Flushes both; never rejects. */
  async close(): Promise<void> {
    await Promise.all([this.pipeline.close(CLOSE_MS), this.#audit?.close(CLOSE_MS)]);
  }
}
