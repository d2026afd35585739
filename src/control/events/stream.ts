/** The back end for other programs: every event as one entry of a Redis stream, on a server that is no lock node. */
import { Redis, type RedisOptions } from 'ioredis';
import { scrub } from '../logs.ts';
import type { ControlEvent, EventSink } from './event.ts';
import { Missed } from './stretch.ts';

export const STREAM = 'holdfast:events';
/** About so many entries stay; Redis drops the oldest by whole blocks. */
const ENTRIES = 1_000_000;

/** Fails fast and never sends a command twice, as the connections to nodes do. */
const OPTIONS = {
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  connectTimeout: 2000,
  commandTimeout: 4000,
  socketTimeout: 5000,
  retryStrategy: (times) => Math.min(1000, 100 * times),
  disableClientInfo: true,
  connectionName: 'holdfast-events',
} as const satisfies RedisOptions;

export interface StreamSinkOptions {
  /** With its credentials. */
  readonly url: string;
  /** This run of this process: `seq` counts within it. */
  readonly run: string;
  readonly entries?: number;
}

type Fields = readonly string[];

export class StreamSink implements EventSink {
  readonly name = 'stream';
  readonly #redis: Redis;
  readonly #options: StreamSinkOptions;
  readonly #missed = new Missed();

  constructor(options: StreamSinkOptions) {
    this.#options = options;
    this.#redis = new Redis(options.url, OPTIONS);
    // A lost connection fails the next delivery, which tells of it; without a listener it would be printed.
    this.#redis.on('error', () => {});
  }

  async deliver(batch: readonly ControlEvent[]): Promise<void> {
    const gone = this.#missed.take();
    const entries = batch.map((event) => fieldsOf(event, this.#options.run));
    if (gone !== undefined) {
      const { count, fromMs, untilMs } = gone;
      entries.unshift(missedFields(this.#options.run, count, fromMs, untilMs));
    }
    try {
      await this.#write(entries);
    } catch (error) {
      if (gone !== undefined) this.#missed.add(gone);
      throw error;
    }
  }

  missed(count: number, fromMs: number, untilMs: number): void {
    this.#missed.add({ count, fromMs, untilMs });
  }

  /** What is missing is said even if nothing follows it. */
  async close(): Promise<void> {
    try {
      if (this.#missed.count > 0 && this.#redis.status === 'ready') await this.deliver([]);
    } finally {
      this.#redis.disconnect();
    }
  }

  /** All of a batch or nothing, so that a second try seldom says anything twice. */
  async #write(entries: readonly Fields[]): Promise<void> {
    const commands = this.#redis.multi();
    const most = this.#options.entries ?? ENTRIES;
    for (const fields of entries) commands.xadd(STREAM, 'MAXLEN', '~', most, '*', ...fields);
    const replies = await commands.exec();
    const failed = replies?.find(([error]) => error !== null);
    if (failed?.[0]) throw failed[0];
  }
}

/** docs/events.md lists them; what an event has not is empty, so that readers need no case for it. */
function fieldsOf({ seq, priority, happening }: ControlEvent, run: string): Fields {
  const { type, timeMs, resources, owner, lease, reason } = happening;
  return [
    ...['type', type, 'time_ms', String(timeMs), 'priority', priority],
    ...['resources', JSON.stringify(resources), 'owner', owner],
    ...['lease_ref', lease?.leaseRef ?? '', 'token', lease?.token.toString() ?? ''],
    // In its caller's words, which may be anything.
    ...['reason', scrub(reason)],
    ...['run', run, 'seq', String(seq)],
  ];
}

function missedFields(run: string, count: number, fromMs: number, untilMs: number): Fields {
  return [
    ...['type', 'missed', 'time_ms', String(fromMs), 'until_ms', String(untilMs)],
    ...['count', String(count), 'run', run],
  ];
}
