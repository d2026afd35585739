/** The processes of the runner: each has one job at a time, and one that does not end it is replaced. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../src/std/clock.ts';
import type { Done, Job } from './jobs.ts';

const WORKER = fileURLToPath(new URL('worker.ts', import.meta.url));

/** A job ended without an answer: the process died, or ran longer than anything may. */
export class Failed extends Error {
  readonly late: boolean;

  constructor(why: string, late = false) {
    super(why);
    this.late = late;
  }
}

export class Hand {
  #process: ChildProcess | undefined;

  /** Rejects with `Failed`; the next job then gets a new process. */
  ask(job: Job, longestMs: number): Promise<Done> {
    this.#process ??= fork(WORKER, { serialization: 'advanced', execArgv: ['--max-semi-space-size=64'] });
    const process = this.#process;
    return new Promise((resolve, reject) => {
      const settle = (act: () => void): void => {
        timer.cancel();
        process.off('message', answered).off('exit', died);
        act();
      };
      const fail = (why: string, late = false): void =>
        settle(() => {
          this.#process = undefined;
          process.kill('SIGKILL');
          reject(new Failed(why, late));
        });
      const answered = (done: unknown): void => settle(() => resolve(done as Done));
      const died = (code: number | null, signal: string | null): void =>
        fail(`its process ended with ${signal ?? `code ${code}`}`);
      const timer = systemClock.after(longestMs, () =>
        fail(`it did not end within ${Math.round(longestMs / 1000)} s`, true),
      );
      process.on('message', answered).on('exit', died);
      process.send(job);
    });
  }

  /** The process ends by itself, so that it can write what it covered. */
  dismiss(): void {
    this.#process?.disconnect();
    this.#process = undefined;
  }
}
