/** The guardian: a small shell outside the command's group that kills it when `holdfast run` dies or stands still. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { uptime } from 'node:os';
import { fileURLToPath } from 'node:url';
import { SHELL } from './group.ts';

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));
const SCRIPT = fileURLToPath(new URL('guardian.sh', import.meta.url));
const DEADLINE_PASSED = 3;

/** What is guarded. */
export interface Charge {
  readonly group: number;
  /** The lease's secret: the guardian gives it back when there is nobody else to do so. */
  readonly leaseId: string;
  readonly addresses: readonly string[];
}

/** Two readings of one deadline differ by less: the machine's clock ticks in hundredths of a second. */
const SAME_MS = 30;
const EARLY = 'the guardian ended before it was armed';

export class Guardian {
  /** Ends with the reason: it was dismissed, killed the group at its deadline, or is gone itself. */
  readonly ended: Promise<'dismissed' | 'deadline' | 'gone'>;
  readonly #process: ChildProcess;
  #toldMs = Number.NaN;

  private constructor(process: ChildProcess, leaseId: string) {
    this.#process = process;
    this.ended = once(process, 'exit').then(([code]) => {
      if (code === 0) return 'dismissed';
      return code === DEADLINE_PASSED ? 'deadline' : 'gone';
    });
    // It died: `ended` tells.
    process.stdin?.on('error', () => {});
    process.stdin?.write(`lease ${leaseId}\n`);
  }

  /** Resolves once nothing can happen to this process that leaves the group alive. */
  static async armed({ group, leaseId, addresses }: Charge): Promise<Guardian> {
    const guardian = spawn(SHELL, [SCRIPT, String(group), process.execPath, MAIN, ...addresses], {
      // Neither the terminal's signals nor those to the command's group are for it.
      detached: true,
      cwd: '/',
      // Nothing of the caller's is kept open by it.
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    await new Promise<void>((resolve, reject) => {
      guardian.once('error', reject);
      guardian.once('exit', () => reject(new Error(EARLY)));
      guardian.stdout?.once('data', () => resolve());
    });
    guardian.stdout?.destroy();
    return new Guardian(guardian, leaseId);
  }

  /** The group must not live longer than so many milliseconds from now. */
  allow(ms: number): void {
    const deadlineMs = uptime() * 1000 + ms;
    if (Math.abs(deadlineMs - this.#toldMs) < SAME_MS) return;
    this.#toldMs = deadlineMs;
    this.#process.stdin?.write(`until ${Math.floor(deadlineMs / 10)}\n`);
  }

  /** The group is gone. */
  dismiss(): void {
    this.#process.stdin?.end('done\n');
  }

  kill(): void {
    this.#process.kill('SIGKILL');
  }
}
