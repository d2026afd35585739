/** A wall clock for redis-server that stands where a test puts it, to the microsecond. */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const source = fileURLToPath(new URL('still-clock.c', import.meta.url));

export class StillClock {
  /** What the server's process must be started with. */
  readonly env: Readonly<Record<string, string>>;
  readonly #directory: string;
  readonly #file: number;
  readonly #removeOnExit: () => void;

  constructor() {
    this.#directory = mkdtempSync(join(tmpdir(), 'holdfast-clock-'));
    this.#removeOnExit = () => rmSync(this.#directory, { recursive: true, force: true });
    process.once('exit', this.#removeOnExit);
    const library = join(this.#directory, 'still-clock.so');
    compile(library);
    const path = join(this.#directory, 'micros');
    this.#file = openSync(path, 'w+');
    this.set(0);
    this.env = { LD_PRELOAD: library, STILL_CLOCK: path };
  }

  /** From now on it is `micros` since the Unix epoch, until the next call; 0 is real time. */
  set(micros: number): void {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(micros));
    writeSync(this.#file, bytes, 0, bytes.length, 0);
  }

  close(): void {
    closeSync(this.#file);
    this.#removeOnExit();
    process.removeListener('exit', this.#removeOnExit);
  }
}

function compile(library: string): void {
  try {
    execFileSync('gcc', ['-shared', '-fPIC', '-O2', '-o', library, source], { stdio: 'pipe' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new Error('gcc is not on the PATH: apt-get install gcc libc6-dev');
    }
    throw error;
  }
}
