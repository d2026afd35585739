/** The TypeScript of docs/fencing.md, letter for letter; fencing-docs.test.ts runs it. */
import { copyFile, writeFile } from 'node:fs/promises';
import {
  FencedFile,
  fencedPut,
  fencedSet,
  fencedUpdate,
  type Objects,
  type Queries,
  type Scripts,
} from '../../src/fencing/index.ts';
import type { Holdfast } from '../../src/index.ts';
import type { OnceResult } from '../../src/once/once.ts';

export async function file(hf: Holdfast, path: string, report: string): Promise<void> {
  // snippet: file
  await hf.withLock('report', async (lease) => {
    const file = await FencedFile.claim(path, lease.token);
    await copyFile(report, file.temporaryPath);
    await file.publish({ replace: true });
  });
  // end
}

export async function onceOnly(hf: Holdfast, path: string, url: string): Promise<OnceResult> {
  // snippet: once
  const result = await hf.once('model/7b', path, async (temporaryPath, lease) => {
    const answer = await fetch(url, { signal: lease.signal });
    if (!answer.ok) throw new Error(`${url} answers ${answer.status}`);
    await writeFile(temporaryPath, answer.body!);
  });
  console.info(result.path, result.made ? 'made here' : 'made by another');
  // end
  return result;
}

export async function row(hf: Holdfast, client: Queries, id: number): Promise<void> {
  // snippet: row
  await hf.withLock(`job/${id}`, async (lease) => {
    await fencedUpdate(client, { table: 'jobs', key: { id }, set: { status: 'done' }, token: lease.token });
  });
  // end
}

export async function version(hf: Holdfast, client: Queries, id: number, seen: number): Promise<void> {
  // snippet: version
  await hf.withLock(`job/${id}`, async (lease) => {
    const version = { column: 'version', expected: seen };
    await fencedUpdate(client, {
      table: 'jobs',
      key: { id },
      set: { status: 'done' },
      token: lease.token,
      version,
    });
  });
  // end
}

export async function redis(hf: Holdfast, client: Scripts): Promise<void> {
  // snippet: redis
  await hf.withLock('leader', async (lease) => {
    await fencedSet(client, { key: 'leader:state', value: 'ready', token: lease.token });
  });
  // end
}

export async function object(hf: Holdfast, s3: Objects<string>, bucket: string): Promise<void> {
  // snippet: object
  await hf.withLock('manifest', async (lease) => {
    const body = JSON.stringify({ token: String(lease.token), files: ['a.bin', 'b.bin'] });
    await fencedPut(s3, { bucket, key: 'manifest.json', body, token: lease.token });
  });
  // end
}
