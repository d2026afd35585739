/** A real redis-server for the event stream, and its entries as objects. */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { Redis } from 'ioredis';
import { STREAM } from '../../src/control/events/stream.ts';
import { type RedisServer, startRedis } from './redis-server.ts';
import { until } from './until.ts';

export type Entry = Readonly<Record<string, string>>;

export class EventStream {
  readonly server: RedisServer;

  private constructor(server: RedisServer) {
    this.server = server;
  }

  /** Durable: a restart must not take away what it had. */
  static async start(): Promise<EventStream> {
    const args = ['--appendonly', 'yes', '--appendfsync', 'always'];
    return new EventStream(await startRedis({ port: await freePort(), args }));
  }

  /** As HOLDFAST_EVENT_STREAM takes it. */
  get url(): string {
    return this.server.tcpUrl;
  }

  async entries(): Promise<Entry[]> {
    const rows = (await this.#run('XRANGE', STREAM, '-', '+')) as [string, string[]][];
    return rows.map(([, fields]) =>
      Object.fromEntries(fields.flatMap((name, at) => (at % 2 === 0 ? [[name, fields[at + 1]!]] : []))),
    );
  }

  /** `type owner` of each entry. */
  async told(): Promise<string[]> {
    return (await this.entries()).map(({ type, owner }) => `${type} ${owner}`);
  }

  async length(): Promise<number> {
    return (await this.#run('XLEN', STREAM)) as number;
  }

  /** Resolves when no service is connected any more: what it sent has come by then, and nothing more will. */
  async left(): Promise<void> {
    const gone = async (): Promise<boolean> =>
      !String(await this.#run('CLIENT', 'LIST')).includes('name=holdfast-events');
    await until('no service is connected', gone);
  }

  async #run(...command: readonly [string, ...string[]]): Promise<unknown> {
    const redis = new Redis(this.server.socketPath, { retryStrategy: () => null, maxRetriesPerRequest: 0 });
    redis.on('error', () => {});
    try {
      return await redis.call(...command);
    } finally {
      redis.disconnect();
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
