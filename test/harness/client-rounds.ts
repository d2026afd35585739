/**
 * A client process that locks and unlocks many times, in every way that the TypeScript client has, and says at each tenth
 * what it has become: `client-rounds.ts ADDRESS ROUNDS [kept]`; with `kept` it forgets no lease and closes no client, as
 * a leak would. client-rounds.py is the same in Python.
 */
import { getEventListeners } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { queryObjects } from 'node:v8';
import { BusyError, Holdfast, type Lease } from '../../clients/typescript/src/index.ts';

const TENTHS = 10;
/** Every so many rounds a client is made for one alone. */
const APART = 50;
const RESOURCE = 'rounds';

const [, , address = '', rounds, kept] = process.argv;
const hf = new Holdfast({ address, ttl: '30s' });
const rival = new Holdfast({ address, ttl: '30s' });
const giveUp = new AbortController();
const leases: Lease[] = [];

async function plain(): Promise<void> {
  const lease = await hf.acquire(RESOURCE);
  if (kept === 'kept') leases.push(lease);
  await lease.release();
}

async function watched(): Promise<void> {
  await using lease = await hf.lock(RESOURCE);
  if (lease.signal.aborted || lease.remainingMs === 0) throw new Error('it was lost');
  lease.check();
}

async function waiting(): Promise<void> {
  const lease = await hf.lock(RESOURCE, { wait: '1m', signal: giveUp.signal, onQueued: () => {} });
  await lease.release('its round is over');
}

async function behind(): Promise<void> {
  const lease = await hf.acquire(RESOURCE);
  const next = rival.hold(RESOURCE, { signal: giveUp.signal });
  await lease.release();
  await (await next).release();
}

async function refused(): Promise<void> {
  await using _ = await hf.lock(RESOURCE);
  await rival.acquire(RESOURCE).then(
    () => {
      throw new Error('it was granted twice');
    },
    (error: unknown) => {
      if (!(error instanceof BusyError)) throw error;
    },
  );
}

const within = (): Promise<void> => hf.withLock(RESOURCE, (lease) => lease.progress('half'));

/** With a connection of its own. */
async function apart(): Promise<void> {
  const own = new Holdfast({ address, ttl: '30s' });
  await own.withLock(RESOURCE, () => {});
  if (kept !== 'kept') await own.close();
}

const WAYS = [plain, watched, plain, waiting, plain, behind, plain, refused, plain, within];

/** The only object of its kind that this program keeps. */
const sample = await hf.acquire('sample');

function said(round: number, tookMs: number): void {
  globalThis.gc?.();
  const line = {
    round,
    tookMs,
    rss: process.memoryUsage().rss,
    heap: process.memoryUsage().heapUsed,
    threads: Number(/^Threads:\s+(\d+)$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1]),
    fds: readdirSync('/proc/self/fd').length,
    handles: process.getActiveResourcesInfo().filter((name) => name !== 'Immediate').length,
    listeners: getEventListeners(giveUp.signal, 'abort').length,
    objects: queryObjects(sample.constructor),
  };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

let sinceMs = performance.now();
const each = Number(rounds) / TENTHS;
for (let round = 1; round <= Number(rounds); round += 1) {
  await (round % APART === 0 ? apart : WAYS[round % WAYS.length]!)();
  if (round % each === 0) {
    said(round, performance.now() - sinceMs);
    sinceMs = performance.now();
  }
}
await sample.release();
await Promise.all([hf.close(), rival.close()]);
