/** A job's row and its place in the queue, made one: after an answer both are there, after an error neither counts. */
import type { Lease } from '@holdfast/client';
import { lockOf, PATIENCE_MS, QUEUE, type Stores, SUBMIT_TTL_MS, transaction } from './stores.ts';

/** Nothing was submitted, because this service did not do its part. */
export class SubmitError extends Error {
  override readonly name = 'SubmitError';
  readonly service: 'holdfast' | 'postgres' | 'redis';

  constructor(service: SubmitError['service'], cause: unknown) {
    super(`the job was not submitted: ${service}: ${(cause as Error).message || String(cause)}`, { cause });
    this.service = service;
  }
}

export interface Submitted {
  /** False: this id was submitted before, and nothing was changed. */
  readonly created: boolean;
  /** What the lock added to the answer. */
  readonly lockMs: number;
}

/**
 * Under the lock of the job: row, push, commit. The row is written before the push and committed after it, and whoever
 * pops the id asks for the same lock first. So a worker never sees an entry whose row is still to come, and when the
 * push fails the row was never there. The same id may be submitted again after an error, or when no answer came.
 */
export async function submit(stores: Stores, id: string, payload: unknown): Promise<Submitted> {
  const startMs = performance.now();
  const lease = await blaming('holdfast', () =>
    stores.locks.acquire(lockOf(id), {
      ttl: SUBMIT_TTL_MS,
      wait: PATIENCE_MS,
      labels: { phase: 'submit' },
      signal: AbortSignal.timeout(PATIENCE_MS + 500),
    }),
  );
  const lockMs = performance.now() - startMs;
  try {
    const created = await blaming('postgres', () => write(stores, lease, id, payload));
    return { created, lockMs };
  } finally {
    // The answer does not depend on it: if it fails the lease ends by its ttl.
    lease.release().catch(() => undefined);
  }
}

const INSERT = `
  insert into jobs (id, state, token, payload) values ($1, 'queued', $2, $3)
  on conflict (id) do update
    set state = 'queued', token = excluded.token, payload = excluded.payload, written = now()
    where jobs.state = 'withdrawn' and jobs.token < excluded.token
  returning id`;

function write({ sql, redis }: Stores, lease: Lease, id: string, payload: unknown): Promise<boolean> {
  return transaction(sql, async (client) => {
    const { rowCount } = await client.query(INSERT, [id, String(lease.token), JSON.stringify(payload)]);
    if (rowCount === 0) return false;
    await blaming('redis', () => redis.lpush(QUEUE, id));
    // Before the commit, so that a lost lease takes the row back. If we are paused right here, Postgres ends us.
    await blaming('holdfast', async () => lease.check());
    return true;
  });
}

/** The innermost service to fail is the one to blame. */
async function blaming<T>(service: SubmitError['service'], act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw error instanceof SubmitError ? error : new SubmitError(service, error);
  }
}
