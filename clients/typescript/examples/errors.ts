/** Tells apart what can go wrong. */
import { BusyError, DeadlockError, Holdfast, NoQuorumError, UnavailableError } from '@holdfast/client';

const hf = new Holdfast({ address: process.env.HOLDFAST_ADDRESS, owner: 'example' });
await using _held = await hf.lock('gpu/2');
try {
  await hf.lock('gpu/2', { owner: 'another' });
} catch (error) {
  if (error instanceof BusyError) console.log(`busy: ${error.holders[0]?.owner} has it`);
  else if (error instanceof DeadlockError) console.log(`would wait for ever: ${error.cycle}`);
  else if (error instanceof NoQuorumError) console.log(`${error.answered} of ${error.nodes} nodes answered`);
  else if (error instanceof UnavailableError) console.log(`nobody at ${error.addresses.join(', ')}`);
  else throw error;
}
