/** A process of its own for the tests: `node child.ts WAY ADDRESS`; says what happens, a line of JSON each. */
import { Holdfast, type Lease } from '../../src/index.ts';

const [way = '', address = ''] = process.argv.slice(2);
const hf = new Holdfast({ address, grace: '2s' });
const say = (what: object): void => void process.stdout.write(`${JSON.stringify(what)}\n`);

/** What a holder learns without waiting for any event. */
function told(lease: Lease): object {
  let thrown = '';
  try {
    lease.check();
  } catch (error) {
    thrown = (error as Error).name;
  }
  return { remainingMs: lease.remainingMs, thrown, lost: lease.lost?.reason, aborted: lease.signal.aborted };
}

/** Spins until it was stopped after `fromMs`, and never yields to the event loop: no event can tell it anything. */
function watchClock(lease: Lease, fromMs: number): void {
  for (let before = fromMs, now = fromMs; now - before < 1000; ) {
    before = now;
    now = performance.now();
  }
  say({ woke: true, ...told(lease) });
}

if (way === 'closed') {
  await (await hf.acquire('exit')).release();
  await hf.acquire('exit/held');
  await hf.close();
  say({ closed: true });
} else if (way === 'idle') {
  await (await hf.acquire('exit')).release();
  await hf.status();
  say({ idle: true });
} else if (way === 'held') {
  await hf.acquire('exit');
  say({ held: true });
} else if (way === 'stopped') {
  const lease = await hf.acquire('stopped', { ttl: '1s' });
  // Of before the line: its reader may stop this process as soon as it is out, which it is once it is written.
  const fromMs = performance.now();
  say({ held: true, ...told(lease) });
  watchClock(lease, fromMs);
}
