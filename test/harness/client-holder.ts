/**
 * A client process that works under a lock and writes down when: `client-holder.ts ORDERS`, through the public face of
 * the TypeScript client alone. client-holder.py is the same in Python.
 *
 * Each step of the work reads the machine's monotonic clock, THEN asks the lease, and only then writes the time that it
 * read: a lease that is valid was valid a moment ago, wherever the process is stopped in between.
 */
import { appendFileSync } from 'node:fs';
import { Holdfast, LeaseLostError } from '../../clients/typescript/src/index.ts';
import type { Orders } from './client-work.ts';

const STEP_MS = 1;
const LIFE_MS = 120_000;

/** CLOCK_MONOTONIC, which all processes of a machine share. */
const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6;
const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);

const { addresses, resource, ttlMs, graceMs, keepaliveMs, looks, path, blockMs } = JSON.parse(
  process.argv[2]!,
) as Orders;
const [time, timeout] = keepaliveMs ?? [];
const hf = new Holdfast({ addresses, ttl: ttlMs, grace: graceMs, keepalive: { time, timeout } });
const lease = await hf.acquire(resource);
const { signal } = lease;

function valid(): boolean {
  if (looks === 'none') return true;
  if (looks === 'told') return !signal.aborted;
  try {
    lease.check();
    return true;
  } catch (error) {
    if (error instanceof LeaseLostError) return false;
    throw error;
  }
}

function step(): void {
  const atMs = nowMs();
  if (valid()) {
    appendFileSync(path, `${atMs}\n`);
    setTimeout(step, STEP_MS);
  } else {
    say({ event: 'lost', atMs: nowMs(), why: lease.lost?.reason, remaining: lease.remainingMs });
  }
}

process.on('SIGUSR2', () => {
  const endMs = nowMs() + blockMs;
  while (nowMs() < endMs);
  // In the same turn, before anybody can have told it anything.
  say({ event: 'unblocked', atMs: nowMs(), valid: valid() });
});
// It lives until it is killed, whether it has the lock or not, but does not outlive a test that crashed by more.
setTimeout(() => process.exit(1), LIFE_MS);
say({ event: 'granted', atMs: nowMs(), token: String(lease.token) });
step();
