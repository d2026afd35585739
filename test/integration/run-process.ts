/** `holdfast run` as a process: what it prints, its guardian, its command's group, and who of them still runs. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { afterEach } from 'vitest';
import { until } from '../harness/until.ts';

const BIN = fileURLToPath(new URL('../../bin/holdfast', import.meta.url));

interface Seen {
  readonly pid: number;
  readonly state: string;
  readonly parent: number;
  readonly group: number;
}

function seen(pid: number | string): Seen | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const [state = '', parent, group] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { pid: Number(pid), state, parent: Number(parent), group: Number(group) };
  } catch {
    return undefined;
  }
}

function everybody(): readonly Seen[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids
    .map(seen)
    .filter((one) => one !== undefined && one.state !== 'Z' && one.state !== 'X') as Seen[];
}

export function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').trim();
  } catch {
    return '';
  }
}

/** The processes of a group that run or could run; the dead that nobody has collected do not count. */
export function members(group: number): readonly number[] {
  return everybody()
    .filter((one) => one.group === group)
    .map(({ pid }) => pid);
}

const running: RunProcess[] = [];

/** Nothing outlives a test, whatever it was about. */
afterEach(() => {
  for (const run of running.splice(0)) run.clear();
});

interface Around {
  readonly env?: NodeJS.ProcessEnv;
  /** What starts it. */
  readonly wrap?: readonly string[];
  /** The whole command line. */
  readonly instead?: readonly string[];
}

export class RunProcess {
  readonly pid: number;
  readonly stdin: NodeJS.WritableStream;
  readonly ended: Promise<readonly [number | null, NodeJS.Signals | null]>;
  out = '';
  err = '';
  readonly #child: ChildProcess;
  readonly #groups = new Set<number>();

  constructor(args: readonly string[], { env = {}, wrap = [], instead }: Around = {}) {
    const [program = BIN, ...rest] = instead ?? [...wrap, BIN, 'run', ...args];
    this.#child = spawn(program, rest, { env: { ...process.env, ...env } });
    this.pid = this.#child.pid!;
    this.stdin = this.#child.stdin!;
    this.ended = once(this.#child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
    this.#child.stdout!.on('data', (chunk) => {
      this.out += chunk;
    });
    this.#child.stderr!.on('data', (chunk) => {
      this.err += chunk;
    });
    running.push(this);
  }

  get isOver(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** The exit code, once it has ended and nobody writes to its streams any more. */
  async code(): Promise<number | null> {
    if (this.#child.exitCode === null || !this.#child.stdout!.destroyed) await once(this.#child, 'close');
    return this.#child.exitCode;
  }

  /** The group of the command: its id, once the command has printed `line`. */
  async group(line = 'ready'): Promise<number> {
    await until(`the command prints ${line}`, () => {
      if (this.isOver) throw new Error(`run has ended: ${this.out}${this.err}`);
      return this.out.includes(line);
    });
    const id = this.#children().find((pid) => !isGuardian(pid));
    if (id === undefined) throw new Error('no command runs');
    this.#groups.add(id);
    return id;
  }

  async guardian(): Promise<number> {
    const pid = await until('there is a guardian', () => this.#children().find(isGuardian));
    this.#groups.add(pid);
    return pid;
  }

  signal(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal);
  }

  /** Resolves once the process stands still, or goes on. */
  async becomes(pid: number, state: 'stopped' | 'going'): Promise<void> {
    await until(`${pid} is ${state}`, () => (seen(pid)?.state === 'T') === (state === 'stopped'));
  }

  clear(): void {
    for (const pid of this.#children()) this.#groups.add(pid);
    if (!this.isOver) this.#child.kill('SIGKILL');
    for (const group of this.#groups) if (members(group).length > 0) process.kill(-group, 'SIGKILL');
  }

  #children(): readonly number[] {
    if (this.isOver) return [];
    return everybody()
      .filter(({ parent }) => parent === this.pid)
      .map(({ pid }) => pid);
  }
}

function isGuardian(pid: number): boolean {
  return commandLine(pid).includes('guardian.sh');
}

export function codeOf(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}
