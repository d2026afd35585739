/** Takes a lock for as long as a block lasts. */
import { Holdfast } from '@holdfast/client';

const hf = new Holdfast({ address: process.env.HOLDFAST_ADDRESS });
{
  await using lease = await hf.lock('gpu/0', { ttl: '30s', wait: '1m' });
  console.log(`token ${lease.token}, certainly valid for ${Math.round(lease.remainingMs)} ms`);
}
await hf.close();
