/** The redis-servers of a benchmark, and what they say of their own work. */
import { type AddressInfo, createServer } from 'node:net';
import { Redis } from 'ioredis';
import { type RedisServer, startRedis } from '../../test/harness/redis-server.ts';
import type { Watched } from './cpu.ts';

/** Calls by command name, also of those that scripts made. */
export type Calls = Readonly<Record<string, number>>;

export class Servers {
  readonly all: readonly RedisServer[];
  readonly #doors: readonly Redis[];

  constructor(all: readonly RedisServer[]) {
    this.all = all;
    this.#doors = all.map(({ socketPath }) => new Redis({ path: socketPath, protocol: 2 }));
  }

  /** Their processes, for `countCpu`. */
  get watched(): Watched {
    return Object.fromEntries(this.all.map(({ pid }, index) => [`redis${index}`, pid!]));
  }

  async calls(): Promise<readonly Calls[]> {
    return Promise.all(this.#doors.map(async (door) => callsOf(await door.info('commandstats'))));
  }

  /** Microseconds that EVALSHA took at each server, by its own clock. */
  async evalshaMicros(): Promise<readonly number[]> {
    return Promise.all(
      this.#doors.map(async (door) => {
        const [, micros = '0'] =
          /^cmdstat_evalsha:calls=\d+,usec=(\d+)/m.exec(await door.info('commandstats')) ?? [];
        return Number(micros);
      }),
    );
  }

  async usedMemory(): Promise<readonly number[]> {
    return Promise.all(
      this.#doors.map(async (door) => Number(/^used_memory:(\d+)/m.exec(await door.info('memory'))?.[1])),
    );
  }

  async flush(): Promise<void> {
    await Promise.all(this.#doors.map((door) => door.flushall()));
  }

  async stop(): Promise<void> {
    for (const door of this.#doors) door.disconnect();
    await Promise.all(this.all.map((server) => server.stop()));
  }
}

export async function startServers(count: number): Promise<Servers> {
  const ports = await freePorts(count);
  return new Servers(await Promise.all(ports.map((port) => startRedis({ port }))));
}

/** Ports that nobody listens on: asked for together, so that no two are the same. */
async function freePorts(count: number): Promise<number[]> {
  const probes = await Promise.all(
    Array.from({ length: count }, async () => {
      const probe = createServer();
      await new Promise<void>((resolve) => {
        probe.listen(0, '127.0.0.1', resolve);
      });
      return probe;
    }),
  );
  const ports = probes.map((probe) => (probe.address() as AddressInfo).port);
  await Promise.all(probes.map((probe) => new Promise((resolve) => probe.close(resolve))));
  return ports;
}

function callsOf(info: string): Calls {
  const rows = info.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm);
  return Object.fromEntries([...rows].map(([, name, calls]) => [name!, Number(calls)]));
}

/** What was called between two readings, without what was not. */
export function callsBetween(before: Calls, after: Calls): Calls {
  return Object.fromEntries(
    Object.entries(after)
      .map(([name, calls]) => [name, calls - (before[name] ?? 0)] as const)
      .filter(([, calls]) => calls > 0),
  );
}
