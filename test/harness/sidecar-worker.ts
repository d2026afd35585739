/**
 * The worker beside a sidecar, as a main container would run it: `sidecar-worker.ts turns COUNT RESOURCE` or
 * `... keep RESOURCE TTL_MS`, at HOLDFAST_ADDRESS. sidecar-worker.py is the same in Python.
 */
import { Holdfast } from '../../clients/typescript/src/index.ts';

/** CLOCK_MONOTONIC, which all processes of a machine share. */
const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6;
const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);

const [, , mode = '', ...rest] = process.argv;
const hf = new Holdfast({ address: process.env.HOLDFAST_ADDRESS, owner: 'typescript' });

async function turns(count: number, resource: string): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) {
    const lease = await hf.lock(resource, { ttl: '20s', wait: '1m' });
    const fromMs = nowMs();
    lease.check();
    say({ event: 'turn', token: String(lease.token), fromMs, untilMs: nowMs() });
    await lease.release();
  }
  await hf.close();
}

/** Ends when it is told to: at once by SIGTERM, or where it was made slow by SIGUSR1, only after SIGUSR2. */
async function keep(resource: string, ttlMs: number): Promise<void> {
  const lease = await hf.lock(resource, { ttl: ttlMs, wait: '1m' });
  lease.signal.addEventListener('abort', () => say({ event: 'lost', why: lease.lost?.reason }));
  let slow = false;
  process.on('SIGUSR1', () => {
    slow = true;
    say({ event: 'slow' });
  });
  const alive = setInterval(() => {}, 1000);
  await new Promise<void>((end) => {
    process.on('SIGTERM', () => {
      say({ event: 'told' });
      if (!slow) end();
    });
    process.on('SIGUSR2', () => end());
    say({ event: 'granted', token: String(lease.token) });
  });
  clearInterval(alive);
  lease.check();
  await lease.release('worker ends');
  await hf.close();
  say({ event: 'released' });
}

if (mode === 'turns') await turns(Number(rest[0]), rest[1]!);
else await keep(rest[0]!, Number(rest[1]));
