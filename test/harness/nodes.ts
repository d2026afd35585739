/** Several redis-servers as one cluster's lock nodes, and what stands on them, read without Holdfast's own code. */
import { Redis } from 'ioredis';
import { readRecord, type StoredRecord } from './record.ts';
import { type RedisServer, type RedisServerOptions, startRedis } from './redis-server.ts';
import { until } from './until.ts';

/** What a node that does not answer is told as. */
export const DOWN = 'down';

/** A stopped server must not hang whoever only looks. */
const ONCE = {
  retryStrategy: () => null,
  maxRetriesPerRequest: 0,
  commandTimeout: 2000,
  connectTimeout: 2000,
};

export class Nodes {
  readonly servers: readonly RedisServer[];

  private constructor(servers: readonly RedisServer[]) {
    this.servers = servers;
  }

  static async start(
    count: number,
    options: RedisServerOptions | ((index: number) => RedisServerOptions) = {},
  ): Promise<Nodes> {
    const of = typeof options === 'function' ? options : () => options;
    return new Nodes(await Promise.all(Array.from({ length: count }, (_, index) => startRedis(of(index)))));
  }

  /** As HOLDFAST_REDIS_NODES takes it; names, so that a proxy in between does not change who a node is. */
  get list(): string {
    return this.servers.map((server, index) => `${server.url}#n${index + 1}`).join(',');
  }

  /** Runs one command at one node over a connection of its own. */
  async run(index: number, ...command: readonly [string, ...(string | number | Buffer)[]]): Promise<unknown> {
    const redis = new Redis(this.servers[index]!.socketPath, ONCE);
    redis.on('error', () => {});
    try {
      return await redis.call(...command);
    } finally {
      redis.disconnect();
    }
  }

  /** Everything that one node stores, key by key, as comparable text. */
  async dump(index: number): Promise<string> {
    const redis = new Redis(this.servers[index]!.socketPath, ONCE);
    redis.on('error', () => {});
    try {
      const lines: string[] = [];
      for (const key of (await redis.keys('*')).sort()) {
        const kind = await redis.type(key);
        const value =
          kind === 'hash'
            ? sorted(await redis.hgetallBuffer(key))
            : await redis.call('ZRANGE', key, '0', '-1');
        lines.push(`${key} ${JSON.stringify(value)}`);
      }
      return lines.join('\n');
    } finally {
      redis.disconnect();
    }
  }

  async dumps(): Promise<string[]> {
    return Promise.all(this.servers.map((_, index) => this.dump(index)));
  }

  /** What one node remembers of `resource`; undefined where it never saw it. */
  async record(index: number, resource: string): Promise<StoredRecord | undefined> {
    const header = await this.header(index, resource);
    return header === null ? undefined : readRecord(header);
  }

  async header(index: number, resource: string): Promise<Buffer | null> {
    const redis = new Redis(this.servers[index]!.socketPath, ONCE);
    redis.on('error', () => {});
    try {
      return await redis.hgetBuffer(`holdfast:r:${resource}`, 's');
    } finally {
      redis.disconnect();
    }
  }

  /** The value that holds `resource` at one node now, '' for nobody, `down` where nobody answers. */
  async holder(index: number, resource: string): Promise<string> {
    try {
      const record = await this.record(index, resource);
      const [seconds, micros] = (await this.run(index, 'TIME')) as [string, string];
      const nowMicros = Number(seconds) * 1e6 + Number(micros);
      return record !== undefined && record.expiryMicros > nowMicros ? record.value : '';
    } catch {
      return DOWN;
    }
  }

  holders(resource: string): Promise<string[]> {
    return Promise.all(this.servers.map((_, index) => this.holder(index, resource)));
  }

  /** Resolves once every node that answers has nobody on `resource`; a majority at least has to answer. */
  async free(resource: string, withinMs?: number): Promise<void> {
    await until(
      `nothing is left of ${resource}`,
      async () => {
        const held = await this.holders(resource);
        const empty = held.filter((value) => value === '').length;
        return held.every((value) => value === '' || value === DOWN) && 2 * empty > held.length;
      },
      withinMs,
    );
  }

  async close(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.stop()));
  }
}

/** Bytes one to one: a record is binary, and what UTF-8 cannot read must not look alike. */
function sorted(fields: Readonly<Record<string, Buffer>>): [string, string][] {
  return Object.entries(fields)
    .map(([field, bytes]): [string, string] => [field, bytes.toString('latin1')])
    .sort(([a], [b]) => (a < b ? -1 : 1));
}
