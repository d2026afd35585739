/** What may be wrong with a redis-server that is there: how each fault begins, how it ends, and what Status says of it. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import type { RedisServer } from '../harness/redis-server.ts';
import { until } from '../harness/until.ts';

/** Before a busy script is one that may be killed. */
const BUSY_MS = 20;
/** With which every server has to be started. */
export const ARGS = [
  ...['--enable-debug-command', 'yes', '--busy-reply-threshold', String(BUSY_MS)],
  // While it loads it answers others after so many bytes.
  ...['--loading-process-events-interval-bytes', '1024'],
];

/** A connection that stands before anything is broken: some faults let no new one in. */
export class Operator {
  readonly server: RedisServer;
  readonly #redis: Redis;
  /** Of a command that ends only with the fault. */
  #pending: Promise<unknown> = Promise.resolve();

  constructor(server: RedisServer) {
    this.server = server;
    this.#redis = new Redis(server.socketPath, { maxRetriesPerRequest: 0 });
    this.#redis.on('error', () => {});
  }

  run(...[command, ...args]: readonly [string, ...(string | number)[]]): Promise<unknown> {
    return this.#redis.call(command, ...args);
  }

  begin(...command: readonly [string, ...(string | number)[]]): void {
    this.#pending = this.run(...command).catch(() => {});
  }

  async ended(): Promise<void> {
    await this.#pending;
  }

  close(): void {
    this.#redis.disconnect();
  }
}

export interface Fault {
  readonly begin: (by: Operator, other: Operator) => unknown;
  readonly end: (by: Operator, other: Operator) => unknown;
  /** What Status says of the node meanwhile; absent where a probe goes through all the same. */
  readonly told?: RegExp;
}

const snapshot = (by: Operator): string => join(by.server.directory, 'dump.rdb');
const CLIENTS = ['CLIENT', 'KILL', 'TYPE', 'normal'] as const;

/** By what a node then does. */
export const faults: [string, Fault][] = [
  [
    'is stopped (SIGSTOP)',
    {
      begin: (by) => by.server.pause(),
      end: (by) => by.server.resume(),
      told: /timeout|unreachable|connection/,
    },
  ],
  [
    'pauses its clients (CLIENT PAUSE)',
    {
      begin: (by) => by.run('CLIENT', 'PAUSE', 60_000, 'WRITE'),
      end: (by) => by.run('CLIENT', 'UNPAUSE'),
      told: /timeout|unreachable|connection/,
    },
  ],
  [
    'runs a script without end (BUSY)',
    {
      begin: async (by, other) => {
        by.begin('EVAL', 'while true do end', 0);
        await until('the node is busy', () => other.run('PING').then(() => false, busy));
      },
      end: async (by, other) => {
        await other.run('SCRIPT', 'KILL');
        await by.ended();
      },
      told: /BUSY|timeout|unreachable|connection/,
    },
  ],
  [
    'loads its data (LOADING)',
    {
      begin: async (by, other) => {
        for (let key = 0; key < 20; key += 1) await by.run('SET', `ballast:${key}`, 'x'.repeat(4000));
        await by.run('CONFIG', 'SET', 'key-load-delay', 25_000);
        by.begin('DEBUG', 'RELOAD');
        await until('the node loads', () => other.run('GET', 'x').then(() => false, loading));
      },
      end: (by) => by.ended(),
      told: /LOADING|timeout|unreachable|connection/,
    },
  ],
  [
    'asks for a password (NOAUTH)',
    {
      begin: async (by) => {
        await by.run('CONFIG', 'SET', 'requirepass', 'secret');
        await by.run(...CLIENTS);
      },
      end: (by) => by.run('CONFIG', 'SET', 'requirepass', ''),
      told: /NOAUTH|connection/,
    },
  ],
  [
    'is a replica now (READONLY)',
    {
      begin: (by) => by.run('REPLICAOF', '127.0.0.1', 1),
      end: (by) => by.run('REPLICAOF', 'NO', 'ONE'),
    },
  ],
  [
    'cannot save (MISCONF)',
    {
      begin: async (by) => {
        rmSync(snapshot(by), { force: true });
        mkdirSync(snapshot(by));
        await by.run('CONFIG', 'SET', 'save', '3600 1');
        await by.run('BGSAVE');
        await until('the save has failed', async () =>
          /bgsave_status:err/.test(String(await by.run('INFO'))),
        );
      },
      end: async (by) => {
        rmSync(snapshot(by), { recursive: true });
        await by.run('CONFIG', 'SET', 'save', '');
      },
    },
  ],
  [
    'has no memory left (OOM)',
    {
      begin: (by) => by.run('CONFIG', 'SET', 'maxmemory', 1),
      end: (by) => by.run('CONFIG', 'SET', 'maxmemory', 0),
    },
  ],
];

const busy = (error: unknown): boolean => /BUSY/.test(String(error));
const loading = (error: unknown): boolean => /LOADING/.test(String(error));
