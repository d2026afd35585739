/** Takes jobs from the queue and fetches the image of each: {"url": ...}. As many of it may run as you like. */
import { createHash } from 'node:crypto';
import { BusyError, type Lease } from '@holdfast/client';
import { fencedUpdate } from '@holdfast/client/fencing';
import { Redis } from 'ioredis';
import { closeStores, lockOf, openStores, QUEUE, TAKEN } from './stores.ts';

const stores = await openStores();
const { locks, sql, redis } = stores;
// A connection of its own, since it spends its time in a blocking pop.
const pops = new Redis(process.env.REDIS_URL ?? 'redis://127.0.0.1:6379', { maxRetriesPerRequest: 0 });
pops.on('error', () => {});
const stopping = new AbortController();

interface Payload {
  readonly url: string;
}

/** What the job is: whatever takes long. */
async function work({ url }: Payload, lease: Lease): Promise<{ bytes: number; sha256: string }> {
  // Only for those who look: that it cannot be told is no failure.
  await lease.progress('fetching').catch(() => undefined);
  const answer = await fetch(url, { signal: lease.signal });
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}`);
  const image = Buffer.from(await answer.arrayBuffer());
  return { bytes: image.length, sha256: createHash('sha256').update(image).digest('hex') };
}

/** True if the entry has been dealt with; false to put it back. */
async function handle(id: string): Promise<boolean> {
  // Waits while the submitter still holds it, and is busy while another worker does.
  const lease = await locks.acquire(lockOf(id), { ttl: '10s', wait: '2s', labels: { phase: 'work' } });
  try {
    const payload = await claim(id, lease);
    if (payload === undefined) return true;
    const outcome = await work(payload, lease).then(
      (result) => ({ state: 'done', result }),
      (error: Error) => ({ state: 'failed', result: { error: error.message } }),
    );
    // A lost lease is no failure of the job: whoever has it now does it.
    lease.check();
    // Refused with StaleTokenError where a newer lease has claimed it: one that was paused writes nothing.
    await fencedUpdate(sql, {
      table: 'jobs',
      key: { id },
      set: { state: outcome.state, result: JSON.stringify(outcome.result), written: new Date() },
      token: lease.token,
      tokenColumn: 'token',
    });
    return true;
  } finally {
    await lease.release().catch(() => undefined);
  }
}

/**
 * The payload, if there is a job to do. No row under this lock means that the submission failed after its push: the
 * entry is void. The tombstone makes that final. The insert waits for a submitter that is stuck in its transaction.
 */
async function claim(id: string, lease: Lease): Promise<Payload | undefined> {
  const values = [id, String(lease.token)];
  await sql.query(
    `insert into jobs (id, state, token) values ($1, 'withdrawn', $2) on conflict do nothing`,
    values,
  );
  const { rows } = await sql.query(
    `update jobs set token = $2 where id = $1 and state = 'queued' and token < $2 returning payload`,
    values,
  );
  return (rows[0] as { payload: Payload } | undefined)?.payload;
}

/** Entries of workers that died: a job that is being done is locked, and one that was done is dropped. */
async function takeBack(): Promise<void> {
  while ((await pops.lmove(TAKEN, QUEUE, 'RIGHT', 'RIGHT')) !== null);
}

async function turn(): Promise<void> {
  const id = await pops.blmove(QUEUE, TAKEN, 'RIGHT', 'LEFT', 1);
  if (id === null) return;
  console.log(JSON.stringify({ id, taken: true }));
  const dealt = await handle(id).catch((error: unknown) => {
    console.log(JSON.stringify({ id, error: String(error), busy: error instanceof BusyError }));
    return false;
  });
  if (!dealt) await redis.lpush(QUEUE, id);
  await redis.lrem(TAKEN, 1, id);
  if (dealt) console.log(JSON.stringify({ id, dealt }));
}

/** Whatever is down comes back: the worker goes on then. */
async function breathe(error: unknown): Promise<void> {
  console.log(JSON.stringify({ error: String(error) }));
  await new Promise((resolve) => setTimeout(resolve, 500));
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopping.abort());
await takeBack().catch(breathe);
while (!stopping.signal.aborted) await turn().catch(breathe);
pops.disconnect();
await closeStores(stores);
