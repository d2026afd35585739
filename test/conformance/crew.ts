/** Driver processes: one line of JSON each way, a request and its answer, and news in between. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { until } from '../harness/until.ts';
import type { Knockout } from './knockouts.ts';
import type { Language } from './model.ts';
import { Turns } from './turns.ts';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** By the language: what runs its driver. */
const COMMANDS: Readonly<Record<Language, readonly [string, string]>> = {
  typescript: [process.execPath, here('driver.ts')],
  python: [here('../../.venv/bin/python'), here('driver.py')],
  asyncio: [here('../../.venv/bin/python'), here('driver_aio.py')],
};

export interface Request {
  readonly op: string;
  readonly client: string;
  /** As the scenario calls it, told apart from those of other runs. */
  readonly lease: string;
  readonly with: unknown;
}

/** What a client throws, as plain values: `error` is the name of its class. */
export class Thrown extends Error {
  readonly fields: Readonly<Record<string, unknown>>;

  constructor(fields: Readonly<Record<string, unknown>>) {
    super(`${fields.error}: ${fields.message}`);
    this.fields = fields;
  }
}

export interface News {
  readonly event: string;
  readonly lease: string;
  readonly told: Readonly<Record<string, unknown>>;
}

/** Many that load their libraries at the same time would keep everything else from running. */
const starts = new Turns(3);
const START_MS = 60_000;

interface Line {
  readonly id?: number;
  readonly ok?: unknown;
  readonly error?: Readonly<Record<string, unknown>>;
  readonly event?: string;
  readonly lease?: string;
  readonly told?: Readonly<Record<string, unknown>>;
}

export class Driver {
  readonly news: News[] = [];
  readonly #child: ChildProcess;
  readonly #asked = new Map<number, (line: Line) => void>();
  #errors = '';
  #last = 0;

  /** Resolves when it can be asked. */
  static start(language: Language, without?: Knockout['driver']): Promise<Driver> {
    return starts.take(async () => {
      const driver = new Driver(language, without);
      const ready = () => driver.over || driver.news.some(({ event }) => event === 'ready');
      await until(`the driver of ${language} is ready`, ready, START_MS);
      return driver;
    });
  }

  private constructor(language: Language, without?: Knockout['driver']) {
    const [file, script] = COMMANDS[language];
    const flags = without === undefined ? [] : [`--without=${without}`];
    const env = {
      PATH: process.env.PATH,
      PYTHONPATH: here('../../clients/python/src'),
      PYTHONUNBUFFERED: '1',
    };
    this.#child = spawn(file, [script, ...flags], { env, stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child.stderr?.on('data', (chunk) => {
      this.#errors = (this.#errors + chunk).slice(-4000);
    });
    this.#child.stdin?.on('error', () => {});
    createInterface({ input: this.#child.stdout! }).on('line', (line) => this.#read(line));
    const kill = (): void => void this.#child.kill('SIGKILL');
    process.once('exit', kill);
    this.#child.once('error', ({ message }) => {
      this.#errors += message;
    });
    this.#child.once('exit', () => process.removeListener('exit', kill));
    this.#child.once('close', () => this.#gone());
  }

  /** Rejects with `Thrown` when the client threw. */
  ask(request: Request): Promise<unknown> {
    this.#last += 1;
    const id = this.#last;
    return new Promise((resolve, reject) => {
      this.#asked.set(id, ({ ok, error }) => (error === undefined ? resolve(ok) : reject(new Thrown(error))));
      if (this.over) this.#gone();
      else this.#child.stdin!.write(`${JSON.stringify({ id, ...request })}\n`);
    });
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  get over(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null || this.#child.pid === undefined;
  }

  /** Its exit code, or the signal that ended it. */
  async ended(withinMs: number): Promise<number | string> {
    await until('the driver ends', () => this.over, withinMs);
    return this.#child.exitCode ?? this.#child.signalCode ?? 'never ran';
  }

  async stop(): Promise<void> {
    if (this.over) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }

  /** Whoever still waits for an answer is told that none will come. */
  #gone(): void {
    const how = this.#child.signalCode ?? this.#child.exitCode;
    for (const told of this.#asked.values()) {
      told({ error: { error: 'DriverEnded', message: `the driver ended with ${how}\n${this.#errors}` } });
    }
    this.#asked.clear();
  }

  #read(text: string): void {
    let line: Line;
    try {
      line = JSON.parse(text) as Line;
    } catch {
      this.#errors += `${text}\n`;
      return;
    }
    if (line.event !== undefined) {
      this.news.push({ event: line.event, lease: line.lease ?? '', told: line.told ?? {} });
      return;
    }
    const told = this.#asked.get(line.id ?? 0);
    this.#asked.delete(line.id ?? 0);
    told?.(line);
  }
}

/** Processes that several scenarios share: one for each language and each way to be knocked out. */
export class Crew {
  readonly #shared = new Map<string, Promise<Driver>>();

  shared(language: Language, without?: Knockout['driver']): Promise<Driver> {
    const key = `${language} ${without}`;
    const driver = this.#shared.get(key) ?? Driver.start(language, without);
    this.#shared.set(key, driver);
    return driver;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#shared.values()].map(async (driver) => (await driver).stop()));
  }
}
