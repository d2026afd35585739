/** How a node's connections are made: both the one that asks and the one that hears. */
import type { RedisOptions } from 'ioredis';
import type { RedisNodeOptions } from './redis-node.ts';

const HANDSHAKE_MS_MIN = 1000;

/**
 * The options that fail fast and never run a command twice: ioredis' defaults resend what a lost connection left
 * unanswered, even after the caller was told that it timed out.
 */
export function connectionOptions({ url, timeoutMs, username, password }: RedisNodeOptions) {
  return {
    protocol: 2,
    ...(url.startsWith('unix://') ? { path: url.slice('unix://'.length) } : {}),
    ...(password === undefined ? {} : { password }),
    ...(username === undefined || username === '' ? {} : { username }),
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    connectTimeout: Math.max(HANDSHAKE_MS_MIN, timeoutMs * 4),
    socketTimeout: Math.max(HANDSHAKE_MS_MIN, timeoutMs * 4),
    retryStrategy: (times) => Math.min(500, 50 * times) + Math.floor((times * 37) % 50),
    disableClientInfo: true,
    connectionName: 'holdfast',
  } as const satisfies RedisOptions;
}

export type ConnectionOptions = ReturnType<typeof connectionOptions>;
