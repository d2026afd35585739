/** What the API and the worker share: the three services, how long to be patient with each. */
import { Holdfast } from '@holdfast/client';
import { Redis } from 'ioredis';
import pg from 'pg';

export const QUEUE = 'jobs:queue';
export const TAKEN = 'jobs:taken';
/** Far longer than a submission takes, and as long as a submitter that was paused may hold a job up. */
export const SUBMIT_TTL_MS = Number(process.env.SUBMIT_TTL_MS ?? 10_000);
/** What a caller of the API waits for any one of the three at most. */
export const PATIENCE_MS = Number(process.env.PATIENCE_MS ?? 2000);

export const lockOf = (id: string): string => `job/${id}`;

export interface Stores {
  readonly locks: Holdfast;
  readonly sql: pg.Pool;
  readonly redis: Redis;
}

/** Addresses come from HOLDFAST_ADDRESS, REDIS_URL, and PGHOST, PGUSER and so on as for psql. */
export async function openStores(): Promise<Stores> {
  const locks = new Holdfast({ address: process.env.HOLDFAST_ADDRESS ?? '127.0.0.1:7420', grace: '1s' });
  const sql = new pg.Pool({
    connectionTimeoutMillis: PATIENCE_MS,
    statement_timeout: SUBMIT_TTL_MS,
    // A submitter that is paused in its transaction loses it when its lease ends, and can never commit late.
    idle_in_transaction_session_timeout: SUBMIT_TTL_MS,
  });
  // The next query tells; without listeners a connection that Postgres ends would end this process.
  sql.on('error', () => {}).on('connect', (client) => void client.on('error', () => {}));
  // Fails fast and never repeats a push by itself: a repeat would come after we have said that it failed.
  const redis = new Redis(process.env.REDIS_URL ?? 'redis://127.0.0.1:6379', {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    commandTimeout: PATIENCE_MS,
    connectTimeout: PATIENCE_MS,
    retryStrategy: () => 200,
  });
  // Told to whoever calls; without a listener it would be printed as well.
  redis.on('error', () => {});
  await new Promise((resolve) => {
    redis.once('ready', resolve).once('error', resolve);
  });
  return { locks, sql, redis };
}

export async function closeStores({ locks, sql, redis }: Stores): Promise<void> {
  redis.disconnect();
  await Promise.allSettled([locks.close(), sql.end()]);
}

/** All of it or nothing. */
export async function transaction<T>(sql: pg.Pool, act: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await sql.connect();
  let usable = true;
  try {
    await client.query('begin');
    const result = await act(client);
    await client.query('commit');
    return result;
  } catch (error) {
    // Where that fails the connection is closed, which takes everything back as well.
    usable = await client.query('rollback').then(
      () => true,
      () => false,
    );
    throw error;
  } finally {
    client.release(!usable);
  }
}
