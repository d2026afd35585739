/** Fills a tiny disk under `once`, then makes a file that fits; says what each came to. */
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { publishedFile } from '../../src/fencing/index.ts';
import type { Lease } from '../../src/index.ts';
import { once } from '../../src/once/once.ts';

const folder = process.argv[2]!;
const path = join(folder, 'weights.npy');

/** A lock that is always free: this is about the disk. */
const locks = (token: bigint) => ({
  hold: async () => ({ token, check: () => undefined, release: async () => true }) as unknown as Lease,
});

const error = await once(locks(7n), 'weights', path, (file) =>
  writeFileSync(file, Buffer.alloc(1 << 20)),
).then(
  () => undefined,
  (reason: Error & { cause?: { code: string } }) => reason,
);
const left = { folder: readdirSync(folder), fence: readdirSync(join(folder, '.weights.npy.fence')) };
await once(locks(8n), 'weights', path, (file) => writeFileSync(file, 'small'));
const next = (await publishedFile(path))?.token === 8n;
const { name, message, cause } = error!;
console.info(JSON.stringify({ error: name, message, cause: cause?.code, ...left, next }));
