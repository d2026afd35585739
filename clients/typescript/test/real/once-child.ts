/** One of a crowd that wants the same file: says each step it comes to, and goes on when the file for it appears. */
import { once as event } from 'node:events';
import { createWriteStream, existsSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../../../../test/harness/until.ts';
import { Holdfast, type Lease, type LockOptions } from '../../src/index.ts';
import { once } from '../../src/once/once.ts';

const [address, target, gates] = process.argv.slice(2) as [string, string, string];
const PATIENCE_MS = 600_000;
/** Any bytes, the same for all, much more than a buffer. */
const PAYLOAD = Buffer.alloc(1 << 20, 'holdfast ');

const say = (line: object): boolean => process.stdout.write(`${JSON.stringify(line)}\n`);

async function at(step: string, { token }: Lease): Promise<void> {
  say({ at: step, token: String(token) });
  const gate = join(gates, `${process.pid}.${step}`);
  await until(`the gate ${gate}`, () => existsSync(gate), PATIENCE_MS, 20);
}

async function make(temporaryPath: string, lease: Lease): Promise<void> {
  await at('before the fetch', lease);
  const file = createWriteStream(temporaryPath);
  const half = PAYLOAD.length / 2;
  if (!file.write(PAYLOAD.subarray(0, half))) await event(file, 'drain');
  await at('in mid-write', lease);
  file.end(PAYLOAD.subarray(half));
  await event(file, 'close');
}

await using hf = new Holdfast({ address });
let held: Lease;
/** The client, with a stop between the publication and the release. */
const locks = {
  async hold(name: string, options: LockOptions): Promise<Lease> {
    held = await hf.hold(name, options);
    const release = held.release.bind(held);
    held.release = async (reason) => {
      await at('before the release', held);
      return release(reason);
    };
    return held;
  },
};
say({ ready: process.pid });
try {
  const verify = (): Promise<void> => at('before the publication', held);
  const { made, token } = await once(locks, 'crowd/file', target, make, { ttl: '5s', verify });
  say({ made, token: String(token) });
} catch (error) {
  say({ error: String(error) });
}
