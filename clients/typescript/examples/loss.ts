/** Stops its work when the lease is lost, whoever caused that. */
import { Holdfast, type Lease, LeaseLostError } from '@holdfast/client';

const hf = new Holdfast({ address: process.env.HOLDFAST_ADDRESS });

async function train(lease: Lease): Promise<void> {
  for (let epoch = 1; epoch <= 3; epoch += 1) {
    // Reads the clock: also a process that was stopped for minutes learns of it here.
    lease.check();
    await lease.progress(`epoch ${epoch} of 3`);
    // Whatever takes a signal ends by itself: fetch(url, { signal: lease.signal }).
    if (epoch === 2) await hf.forceRelease('gpu/1', { reason: 'an operator needs the card' });
  }
}

try {
  await hf.withLock('gpu/1', train);
} catch (error) {
  if (!(error instanceof LeaseLostError)) throw error;
  console.log(`stopped: ${error.why}`);
}
await hf.close();
