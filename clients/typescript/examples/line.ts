/** Waits in line, sees how it goes, and may give up. */
import { Holdfast } from '@holdfast/client';

const hf = new Holdfast({ address: process.env.HOLDFAST_ADDRESS, owner: 'first' });
const first = await hf.acquire('gpu/3', { labels: { job: 'train-7' } });

const waits = hf.hold(['gpu/3', 'gpu/4'], {
  any: 2,
  owner: 'second',
  priority: 3,
  signal: AbortSignal.timeout(60_000),
  onQueued: ({ position, holders }) => {
    console.log(`place ${position}, behind ${holders[0]?.owner} (${holders[0]?.labels.job})`);
    void first.release();
  },
});
const lease = await waits;
console.log(`has ${lease.resources.join(' and ')}`);
await lease.release();
await hf.close();
