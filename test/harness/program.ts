/** A program of the examples as a process of its own: what it says, what it is told by signals, and how it ends. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { ROOT, runnable } from './grpcurl.ts';
import { until } from './until.ts';

/** Of the tests and examples. */
export const PYTHON = join(ROOT, '.venv/bin/python');

/** Empty where Python programs can run; else what a suite says of itself. */
export const withoutPython = runnable(PYTHON) ? '' : ' [skipped: no .venv here; run make tools]';

/** The Python client is run from its sources. */
export const PYTHON_ENV = { PYTHONPATH: join(ROOT, 'clients/python/src'), PYTHONUNBUFFERED: '1' };

/** A busy machine takes long to start a dozen of them. */
const SAYS_MS = 40_000;

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export type Line = Readonly<Record<string, unknown>>;

export class Program {
  readonly name: string;
  readonly #child: ChildProcess;
  #out = '';
  #err = '';

  constructor(command: readonly [string, ...string[]], env: Readonly<Record<string, string>>, cwd = ROOT) {
    const [file, ...args] = command;
    this.name = args.join(' ');
    const inherited = { PATH: process.env.PATH, HOME: process.env.HOME };
    this.#child = spawn(file, args, {
      cwd,
      env: { ...inherited, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child.stdout?.setEncoding('utf8').on('data', (text) => {
      this.#out += text;
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text) => {
      this.#err += text;
    });
    running.add(this.#child);
    this.#child.once('error', ({ message }) => {
      this.#err += message;
    });
    this.#child.once('close', () => running.delete(this.#child));
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get err(): string {
    return this.#err;
  }

  get over(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null || this.#child.pid === undefined;
  }

  /** Its lines of JSON so far. */
  get lines(): Line[] {
    const complete = this.#out.split('\n').slice(0, -1);
    return complete.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as Line);
  }

  /** The first line for which `look` is true. */
  async says(what: string, look: (line: Line) => boolean, withinMs = SAYS_MS): Promise<Line> {
    const found = (): Line | undefined => {
      const line = this.lines.find(look);
      if (line === undefined && this.over) throw new Error(`it ended with ${this.#child.exitCode}`);
      return line;
    };
    return until(`${this.name}: ${what}`, found, withinMs).catch((error: unknown) => {
      throw new Error(`${String(error)}; it said:\n${this.#out}\n${this.#err}`);
    });
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Its exit code, or the signal that ended it. */
  async ended(withinMs = SAYS_MS): Promise<number | string> {
    await until(`${this.name} ends`, () => this.over, withinMs).catch((error: unknown) => {
      throw new Error(`${String(error)}; it said:\n${this.#out}\n${this.#err}`);
    });
    return this.#child.exitCode ?? this.#child.signalCode ?? 'never ran';
  }

  /** Ends it as its user would, or at once. */
  async stopped(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.over) return;
    this.#child.kill(signal);
    await this.ended();
  }
}
