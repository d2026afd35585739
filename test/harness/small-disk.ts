/** A disk so small that it is soon full, for real: a tmpfs of its own, gone with the test. */
import { execFileSync } from 'node:child_process';
import { chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

function mount(directory: string, options: string): void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', directory], { stdio: 'pipe' });
}

function unmount(directory: string): void {
  // Lazily: a server may still have a file open.
  execFileSync('umount', ['-l', directory], { stdio: 'pipe' });
}

/** Empty where a disk can be mounted; else what a suite says of itself. */
export const withoutSmallDisk = ((): string => {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-disk-'));
  try {
    mount(directory, 'size=64k');
    unmount(directory);
    return '';
  } catch {
    return ' [SKIPPED: no disk can be mounted here; needs root and the right to mount]';
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
})();

export class SmallDisk {
  readonly directory = mkdtempSync(join(tmpdir(), 'holdfast-disk-'));
  readonly #close = (): void => {
    try {
      unmount(this.directory);
    } catch {
      // It was closed before.
    }
    rmSync(this.directory, { recursive: true, force: true });
  };

  /** `owner`: a user other than ours. */
  constructor(kilobytes: number, owner?: number) {
    mount(this.directory, `size=${kilobytes}k`);
    if (owner !== undefined) chownSync(this.directory, owner, owner);
    process.once('exit', this.#close);
  }

  grow(kilobytes: number): void {
    mount(this.directory, `remount,size=${kilobytes}k`);
  }

  close(): void {
    process.removeListener('exit', this.#close);
    this.#close();
  }
}
