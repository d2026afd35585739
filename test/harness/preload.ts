/** A small C library in front of one redis-server's system calls, steered by one number that a test may change at any time. */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export class Preload {
  /** What the server's process must be started with. */
  readonly env: Readonly<Record<string, string>>;
  readonly #directory = mkdtempSync(join(tmpdir(), 'holdfast-preload-'));
  readonly #file: number;
  readonly #remove: () => void;

  /** `name` is that of the C file beside this one, and in capitals that of the variable which it reads. */
  private constructor(name: 'slow-sync' | 'skew-clock') {
    this.#remove = () => rmSync(this.#directory, { recursive: true, force: true });
    process.once('exit', this.#remove);
    const library = join(this.#directory, `${name}.so`);
    const source = fileURLToPath(new URL(`${name}.c`, import.meta.url));
    execFileSync('gcc', ['-shared', '-fPIC', '-O2', '-o', library, source], { stdio: 'pipe' });
    const path = join(this.#directory, 'number');
    this.#file = openSync(path, 'w+');
    this.set(0);
    this.env = { LD_PRELOAD: library, [name.toUpperCase().replace('-', '_')]: path };
  }

  /** Microseconds by which the wall clock is off; 0 is real time. */
  static skewedClock(): Preload {
    return new Preload('skew-clock');
  }

  /** Not 0: no fsync returns. */
  static slowSync(): Preload {
    return new Preload('slow-sync');
  }

  set(value: number): void {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(value));
    writeSync(this.#file, bytes, 0, bytes.length, 0);
  }

  close(): void {
    closeSync(this.#file);
    this.#remove();
    process.removeListener('exit', this.#remove);
  }
}
