/** A client process that waits for locks and says when it is granted each: `client-rival.ts ADDRESS TTL_MS RESOURCE...`. */
import { Holdfast, NoQuorumError } from '../../clients/typescript/src/index.ts';

const WAIT = '5m';

const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6;
const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);

const [, , address = '', ttlMs, ...resources] = process.argv;
const hf = new Holdfast({ address, ttl: Number(ttlMs) });

async function take(resource: string): Promise<void> {
  const onQueued = (): void => say({ event: 'queued', resource });
  const options = { wait: WAIT, owner: `rival for ${resource}`, onQueued };
  for (;;) {
    try {
      await hf.acquire(resource, options);
      say({ event: 'granted', atMs: nowMs(), resource });
      return;
    } catch (error) {
      if (!(error instanceof NoQuorumError)) throw error;
    }
  }
}

await Promise.all(resources.map(take));
