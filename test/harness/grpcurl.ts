/** Runs grpcurl as a reader does: finds it, installs it where go is, calls it once, or leaves it open in a terminal. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { until } from './until.ts';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const INSTALL_MS = 300_000;

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export function runnable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** `.venv/bin` first: that is where `make tools` puts what it installs. */
function onPath(name: string): string | undefined {
  const folders = [join(ROOT, '.venv/bin'), ...(process.env.PATH ?? '').split(delimiter)];
  return folders.map((folder) => join(folder, name)).find(runnable);
}

/** Empty where it is, or can be installed; else what a suite says of itself. */
export const withoutGrpcurl =
  onPath('grpcurl') !== undefined || onPath('go') !== undefined
    ? ''
    : ' [skipped: neither grpcurl nor go is installed]';

export function run(
  file: string,
  args: readonly string[],
  options: { input?: string; limitMs?: number } = {},
): Promise<Ended> {
  return new Promise((resolve) => {
    const child = execFile(file, args, { cwd: ROOT, timeout: options.limitMs ?? 30_000 }, (_, out, err) =>
      resolve({ code: child.exitCode, out, err }),
    );
    // One that ends at once reads nothing.
    child.stdin?.on('error', () => {});
    child.stdin?.end(options.input ?? '');
  });
}

/** Its path, after an installation if need be; empty, and said why, where that fails. */
export async function installedGrpcurl(): Promise<string> {
  const found = onPath('grpcurl');
  if (found !== undefined) return found;
  const { err } = await run(join(ROOT, 'scripts/install-tools.sh'), [], { limitMs: INSTALL_MS });
  const installed = onPath('grpcurl') ?? '';
  if (installed === '') process.stderr.write(`grpcurl could not be installed:\n${err}\n`);
  return installed;
}

/** One message of a stream as grpcurl prints it. */
export type Message = Readonly<Record<string, unknown>>;

/** `grpcurl -plaintext -d @ ADDRESS METHOD`: what is typed goes to the stream, what it prints is read message by message. */
export class Terminal {
  readonly #child: ChildProcess;
  #out = '';
  #err = '';

  constructor(grpcurl: string, address: string, method: string, first: object) {
    this.#child = spawn(grpcurl, ['-plaintext', '-d', '@', address, `holdfast.v1.${method}`], { cwd: ROOT });
    this.#child.stdout?.on('data', (chunk) => {
      this.#out += chunk;
    });
    this.#child.stderr?.on('data', (chunk) => {
      this.#err += chunk;
    });
    // Who is ended by the server finds its terminal closed.
    this.#child.stdin?.on('error', () => {});
    this.type(first);
  }

  /** What grpcurl wrote to standard error. */
  get err(): string {
    return this.#err;
  }

  /** Complete ones: each ends with a brace in the first column. */
  get messages(): Message[] {
    const texts = this.#out.match(/^\{(?:\}|\n(?: .*\n)*\})$/gm) ?? [];
    return texts.map((text) => JSON.parse(text) as Message);
  }

  type(message: object): void {
    this.#child.stdin?.write(`${JSON.stringify(message)}\n`);
  }

  /** Ctrl-D. */
  halfClose(): void {
    this.#child.stdin?.end();
  }

  /** Ctrl-C. */
  async interrupt(): Promise<void> {
    this.#child.kill('SIGINT');
    await this.ended();
  }

  /** The first message for which `look` is true. */
  async sees(what: string, look: (message: Message) => boolean): Promise<Message> {
    return until(what, () => this.messages.find(look)).catch((error: unknown) => {
      throw new Error(`${String(error)}; printed:\n${this.#out}\n${this.#err}`);
    });
  }

  /** The first event of that kind of a Hold. */
  async event(kind: string): Promise<Message> {
    const message = await this.sees(`the Hold tells ${kind}`, (one) => kind in one);
    return message[kind] as Message;
  }

  async ended(): Promise<number | null> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'close');
    return this.#child.exitCode;
  }
}
