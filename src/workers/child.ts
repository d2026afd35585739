/** One worker as its primary sees it: a process, what it is told, asked and given, and the lines that it logs. */
import { type ChildProcess, fork } from 'node:child_process';
import type { Socket } from 'node:net';
import type { PackedSettings } from '../config/pack.ts';
import type { Snapshot } from '../control/merge.ts';
import type { Reloaded } from '../domain/operations.ts';
import type { Refusal } from '../domain/refusals.ts';
import { type Clock, pause } from '../std/clock.ts';
import type { Hand, Life } from './crew.ts';
import type { Answer, Report, ToPrimary, ToWorker } from './messages.ts';

export interface ChildOptions {
  readonly entry: URL;
  readonly number: number;
  readonly settings: PackedSettings;
  readonly addresses: readonly string[];
  readonly clock: Clock;
  /** Whole lines of its log. */
  readonly log: (lines: string) => void;
}

/** What concerns its connections. */
export interface Deals {
  confirmed(): void;
  ended(count: number): void;
  closing(): void;
  /** The worker was asked to reload the service. */
  reload(): Promise<Reloaded | Refusal>;
}

/** A worker that answers later than this counts as one that hangs. */
const ANSWER_MS = 1000;
/** A reload reads files, and may fetch keys. */
const RELOAD_MS = 15_000;

export class Child implements Hand {
  readonly #process: ChildProcess;
  readonly #clock: Clock;
  readonly #asked = new Map<number, (answer: Answer) => void>();
  #asks = 0;

  constructor(options: ChildOptions, life: Life, deals: Deals) {
    this.#clock = options.clock;
    const child = fork(options.entry, {
      // Lines go through the primary: two writers of one pipe would write into each other's lines.
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
      // JSON has no NaN, which a gauge may be.
      serialization: 'advanced',
    });
    this.#process = child;
    child.stdout!.setEncoding('utf8').on('data', wholeLines(options.log));
    child.on('message', (message) => this.#hear(message as ToPrimary, options, life, deals));
    let over = false;
    const end = (how: string): void => {
      if (!over) life.ended(how);
      over = true;
    };
    child.on('error', () => {
      // Without a process nothing else is told; of an existing one the end is.
      if (child.pid === undefined) end('it could not be started');
    });
    // Not `exit`: its last lines are still on their way then.
    child.once('close', (code, signal) => end(signal === null ? `exit code ${code}` : `signal ${signal}`));
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  drain(): void {
    this.#tell({ kind: 'drain' });
  }

  kill(): void {
    this.#process.kill('SIGKILL');
  }

  give(socket: Socket, at: number): void {
    this.#tell({ kind: 'connection', at }, socket);
  }

  report(): Promise<Report | undefined> {
    return this.#ask((id) => ({ kind: 'ask', id, what: 'report' })) as Promise<Report | undefined>;
  }

  metrics(): Promise<Snapshot | undefined> {
    return this.#ask((id) => ({ kind: 'ask', id, what: 'metrics' })) as Promise<Snapshot | undefined>;
  }

  reload(settings: PackedSettings): Promise<Reloaded | Refusal | undefined> {
    return this.#ask((id) => ({ kind: 'reload', id, settings }), RELOAD_MS) as Promise<
      Reloaded | Refusal | undefined
    >;
  }

  /** Undefined: no answer in time. */
  async #ask(question: (id: number) => ToWorker, limitMs = ANSWER_MS): Promise<Answer | undefined> {
    this.#asks += 1;
    const id = this.#asks;
    const answer = new Promise<Answer>((resolve) => {
      this.#asked.set(id, resolve);
    });
    this.#tell(question(id));
    const said = await Promise.race([answer, pause(this.#clock, limitMs).then(() => undefined)]);
    this.#asked.delete(id);
    return said;
  }

  #tell(message: ToWorker, socket?: Socket): void {
    if (!this.#process.connected) return;
    // Open here as well until it has arrived: what Node closes by itself stays open for ever when the worker dies
    // in between. Of such a death its end tells, so an error here is no news.
    this.#process.send(message, socket, { keepOpen: true }, () => {});
  }

  #hear(message: ToPrimary, options: ChildOptions, life: Life, deals: Deals): void {
    switch (message.kind) {
      case 'here': {
        const { number, settings, addresses } = options;
        this.#tell({ kind: 'begin', number, settings, addresses });
        break;
      }
      case 'up':
        life.up();
        break;
      case 'failed':
        life.failed(message.why);
        break;
      case 'taken':
        deals.confirmed();
        break;
      case 'ended':
        deals.ended(message.count);
        break;
      case 'closing':
        deals.closing();
        break;
      case 'answer':
        this.#asked.get(message.id)?.(message.answer);
        break;
      case 'reload':
        void deals.reload().then((outcome) => this.#tell({ kind: 'reloaded', id: message.id, outcome }));
    }
  }
}

/** Collects text until it is lines: a line that a death cut short stays unsaid. */
export function wholeLines(say: (lines: string) => void): (text: string) => void {
  let rest = '';
  return (text) => {
    const all = rest + text;
    const end = all.lastIndexOf('\n') + 1;
    rest = all.slice(end);
    if (end > 0) say(all.slice(0, end));
  };
}
