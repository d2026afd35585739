/** Fenced files on a real disk: late, equal and newer tokens, what is left behind, and a disk that is full. */
import { execFile } from 'node:child_process';
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { settledFile } from '../../src/fencing/fenced-file.ts';
import { FencedFile, PublishError, publishedFile, StaleTokenError } from '../../src/fencing/index.ts';

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-fencing-'));
  path = join(folder, 'weights.npy');
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function written(token: bigint, text: string): Promise<FencedFile> {
  const file = await FencedFile.claim(path, token);
  writeFileSync(file.temporaryPath, text);
  return file;
}

const text = (): string => readFileSync(path, 'utf8');
const kept = (): string[] => readdirSync(join(folder, '.weights.npy.fence')).sort();

describe('a fenced file', () => {
  it('is published whole, tells its token, and leaves one fence behind', async () => {
    const file = await written(7n, 'seven');
    expect(existsSync(path)).toBe(false);
    expect(file.temporaryPath).toMatch(/\.npy$/);
    expect(await file.publish()).toBe(true);
    expect(text()).toBe('seven');
    expect(await publishedFile(path)).toEqual({ path, token: 7n });
    expect(kept()).toEqual(['7']);
    expect(statSync(path).nlink).toBe(1);
  });

  it('is not overwritten by a late one, which could do so without its fence', async () => {
    const late = await written(5n, 'late');
    const next = await written(6n, 'next');
    await next.publish({ replace: true });
    await expect(late.publish({ replace: true })).rejects.toThrow(StaleTokenError);
    await expect(FencedFile.claim(path, 5n)).rejects.toMatchObject({ token: 5n, current: 6n });
    expect(text()).toBe('next');
    // Off: the fence is taken away, and the same late writer gets through.
    rmSync(join(folder, '.weights.npy.fence'), { recursive: true });
    await (await written(5n, 'late')).publish({ replace: true });
    expect(text()).toBe('late');
  });

  it('is not published by a late writer that makes its temporary file anew', async () => {
    const late = await FencedFile.claim(path, 5n);
    const next = await FencedFile.claim(path, 6n);
    expect(existsSync(late.temporaryPath)).toBe(false);
    writeFileSync(late.temporaryPath, 'late');
    await expect(late.publish()).rejects.toThrow(StaleTokenError);
    expect(existsSync(path)).toBe(false);
    writeFileSync(next.temporaryPath, 'next');
    expect(await next.publish()).toBe(true);
    expect(kept()).toEqual(['6']);
  });

  it('takes the same token again, and keeps what is there unless told to replace it', async () => {
    await (await written(7n, 'first')).publish();
    expect(await (await written(7n, 'again')).publish()).toBe(false);
    expect(text()).toBe('first');
    expect(await (await written(7n, 'again')).publish({ replace: true })).toBe(true);
    expect(text()).toBe('again');
    expect(await publishedFile(path)).toEqual({ path, token: 7n });
    expect(kept()).toEqual(['7']);
  });

  it('has no token if it came there in another way or was changed since', async () => {
    writeFileSync(path, 'by hand');
    expect(await publishedFile(path)).toEqual({ path, token: undefined });
    await (await written(7n, 'seven')).publish({ replace: true });
    writeFileSync(path, 'changed by hand');
    expect(await publishedFile(path)).toEqual({ path, token: undefined });
    rmSync(path);
    expect(await publishedFile(path)).toBeUndefined();
  });

  it('is cleared of what killed writers have left', async () => {
    await written(3n, 'killed in mid-write');
    await written(4n, 'claims after it');
    expect(kept().map((name) => name.replace(/\..*\./, '.'))).toEqual(['4', '4.npy']);
    await (await written(5n, 'five')).publish();
    // As if it had been killed between the link and the removal.
    linkSync(path, join(folder, '.weights.npy.fence', '5.abc.ready'));
    mkdirSync(join(folder, '.weights.npy.fence', '4.abc.part.tmp'));
    await settledFile(path);
    expect(kept()).toEqual(['5']);
    expect(text()).toBe('five');
  });

  it('leaves nothing when it is discarded, and the older ones stay shut out', async () => {
    await (await written(7n, 'seven')).discard();
    expect(kept()).toEqual(['7']);
    await expect(FencedFile.claim(path, 6n)).rejects.toThrow(StaleTokenError);
  });

  it('takes no token that cannot be one', async () => {
    await expect(FencedFile.claim(path, 0n)).rejects.toThrow(/token: 1 to 18446744073709551615, not 0/);
    await expect(FencedFile.claim(path, 7 as unknown as bigint)).rejects.toThrow(/a bigint is needed/);
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('a disk that refuses', () => {
  it('is a PublishError with its cause', async () => {
    const nowhere = FencedFile.claim(join(folder, 'no', 'such'), 7n);
    await expect(nowhere).rejects.toMatchObject({ name: 'PublishError', cause: { code: 'ENOENT' } });
    const file = await FencedFile.claim(path, 7n);
    rmSync(file.temporaryPath);
    await expect(file.publish()).rejects.toThrow(PublishError);
  });

  it('is a clear error when it is full, and no half file is left', async () => {
    const child = fileURLToPath(new URL('./fencing-full-disk.ts', import.meta.url));
    // A mount of its own, in a namespace that ends with the program.
    const small = 'mount -t tmpfs -o size=64k none "$1" && exec "$0" "$2" "$1"';
    const args = ['--mount', 'sh', '-c', small, process.execPath, folder, child];
    const { stdout } = await promisify(execFile)('unshare', args);
    expect(JSON.parse(stdout)).toEqual({
      error: 'PublishError',
      message: `${path} could not be published: no space is left on the device`,
      cause: 'ENOSPC',
      folder: ['.weights.npy.fence'],
      fence: ['7'],
      next: true,
    });
  });
});
