/** One death: a holder that is killed, and how long the next in line then waits for the lock. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Child } from './children.ts';
import type { HolderKind } from './death-holder.ts';

/** A process that holds. */
export interface Holder {
  kill(): Promise<void>;
}

export interface Case {
  readonly name: string;
  /** Resolves once it holds `lock`. */
  hold(lock: string): Promise<Holder>;
  /** Resolves once the lock is had, and lets go of it again. */
  wait(lock: string): { readonly standing: Promise<void>; readonly granted: Promise<() => Promise<unknown>> };
  /** A holder dies at a moment of no particular place in any period. */
  readonly aliveMs: number;
}

export async function nodeHolder(
  kind: HolderKind,
  lock: string,
  ttlS: number,
  addresses: readonly string[],
): Promise<Holder> {
  const child = new Child('death-holder.ts', {}, [[kind, lock, ttlS, ...addresses].join(' ')]);
  await child.answer();
  return { kill: () => child.stop() };
}

const PYTHON = fileURLToPath(new URL('../../.venv/bin/python', import.meta.url));
const SCRIPT = fileURLToPath(new URL('death-holder.py', import.meta.url));

export const hasPython = (): boolean => existsSync(PYTHON);

async function firstLine(child: ChildProcess): Promise<void> {
  const said = once(child.stdout!, 'data');
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`the holder in Python ended with ${code}`);
  });
  await Promise.race([said, ended]);
  ended.catch(() => {});
}

/** Its standard input ends with us, and so does it. */
export async function pythonHolder(lock: string, ttlS: number, address: string): Promise<Holder> {
  const child = spawn(PYTHON, [SCRIPT, address, lock, String(ttlS)], { stdio: ['pipe', 'pipe', 'inherit'] });
  await firstLine(child);
  return {
    async kill() {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** Milliseconds from the signal to the grant; the holder is killed while the waiter stands in line. */
export async function death({ hold, wait, aliveMs }: Case, lock: string): Promise<number> {
  const holder = await hold(lock);
  const { standing, granted } = wait(lock);
  let early = true;
  const had = granted.then((release) => {
    if (early) throw new Error(`${lock} was granted while its holder lived`);
    return { atMs: performance.now(), release };
  });
  // Heard below, and before that where it comes too soon.
  had.catch(() => {});
  await standing;
  await Promise.race([sleep(Math.random() * aliveMs), had]);
  early = false;
  const killedMs = performance.now();
  const [{ atMs, release }] = await Promise.all([had, holder.kill()]);
  await release();
  return atMs - killedMs;
}
