/** The same worker in TypeScript; both may share one folder: node sync.ts MANIFEST_URL FOLDER */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Holdfast, type Lease } from '@holdfast/client';

interface Model {
  readonly name: string;
  readonly url: string;
  readonly bytes: number;
  readonly sha256: string;
}

const TRIES = 8;
const TTL = `${process.env.SYNC_TTL ?? 30}s`;
const headers = { 'X-Worker': String(process.pid) };

const say = (facts: object): void => console.log(JSON.stringify({ pid: process.pid, ...facts }));

/** Into a temporary file that is ours alone. Whatever it throws, nothing of it is left. */
async function download(model: Model, temporaryPath: string, lease: Lease): Promise<void> {
  // Fails with LeaseLostError when the lease is lost: somebody else may be at it already.
  const answer = await fetch(model.url, { headers, signal: lease.signal });
  if (!answer.ok || answer.body === null) throw new Error(`${model.url} answered ${answer.status}`);
  await pipeline(Readable.fromWeb(answer.body), createWriteStream(temporaryPath));
}

async function sha256Of(path: string): Promise<string> {
  const digest = createHash('sha256');
  await pipeline(createReadStream(path), digest);
  return digest.digest('hex');
}

/** Resolves once it is there, whole. A failed download is tried again, by us or by whoever waits behind us. */
async function bring(hf: Holdfast, model: Model, folder: string): Promise<void> {
  for (let attempt = 1; attempt <= TRIES; attempt += 1) {
    try {
      const found = await hf.once(
        `models/${model.name}`,
        join(folder, model.name),
        (temporaryPath, lease) => download(model, temporaryPath, lease),
        { ttl: TTL, verify: async (path) => (await sha256Of(path)) === model.sha256 },
      );
      say({ model: model.name, made: found.made, token: String(found.token), attempt });
      return;
    } catch (error) {
      say({ model: model.name, failed: String(error), attempt });
      await new Promise((resolve) => setTimeout(resolve, (50 + Math.random() * 150) * attempt));
    }
  }
  throw new Error(`${model.name} could not be had in ${TRIES} tries`);
}

const [manifestUrl, folder] = process.argv.slice(2) as [string, string];
const { models } = (await (await fetch(manifestUrl, { headers })).json()) as { models: Model[] };
const hf = new Holdfast({ address: process.env.HOLDFAST_ADDRESS ?? '127.0.0.1:7420' });
say({ started: true });
for (const model of models.toSorted(() => Math.random() - 0.5)) {
  await bring(hf, model, folder);
  const path = join(folder, model.name);
  if ((await sha256Of(path)) !== model.sha256) throw new Error(`${path} is not what the manifest says`);
}
await hf.close();
say({ done: models.length });
