/** A worker's side: what it hears from its primary, the connections that it is given, and its end. */
import type { Socket } from 'node:net';
import { unpackSettings } from '../config/pack.ts';
import type { Settings } from '../config.ts';
import type { HttpDoor, HttpOptions } from '../control/http.ts';
import type { Snapshot } from '../control/merge.ts';
import type { Reading } from '../control/reload.ts';
import type { Reloaded } from '../domain/operations.ts';
import type { Refusal } from '../domain/refusals.ts';
import type { Bound } from '../edge/listen.ts';
import { Gate, Tally } from './gate.ts';
import type { ToPrimary, ToWorker } from './messages.ts';

/** Instead of doors of its own. */
export interface WorkerDoors {
  readonly number: number;
  listen(address: string, onSocket: (socket: Socket) => void): Promise<Bound>;
  startHttp(options: WorkerHttp): Promise<HttpDoor>;
  /** Of the whole service: its primary reads the settings, and every worker takes them. */
  reload(): Promise<Reloaded | Refusal>;
}

export type WorkerHttp = HttpOptions & { readonly metrics: { snapshot(): Promise<Snapshot> } };

interface Serving {
  drain(): Promise<void>;
  reload(read: () => Reading): Promise<Reloaded | Refusal>;
}

type Start = (settings: Settings, doors: WorkerDoors) => Promise<Serving>;

/** Resolves with the exit code after the drain, when the primary has asked for it or is gone. */
export function runWorker(start: Start): Promise<number> {
  return new Worker(start).run();
}

function tell(message: ToPrimary): void {
  // Of the death of its primary it hears otherwise.
  if (process.connected) process.send?.(message, undefined, undefined, () => {});
}

class Worker {
  readonly #start: Start;
  readonly #gates: Gate[] = [];
  readonly #ended = new Tally((count) => tell({ kind: 'ended', count }));
  readonly #reloads = new Map<number, (outcome: Reloaded | Refusal) => void>();
  #http: WorkerHttp | undefined;
  #service: Serving | undefined;

  constructor(start: Start) {
    this.#start = start;
  }

  async run(): Promise<number> {
    // A terminal and some process managers signal every process of the service; the primary alone decides.
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => {});
    const over = new Promise<void>((resolve) => {
      process.once('disconnect', () => {
        if (this.#service === undefined) process.exit(0);
        resolve();
      });
      process.on('message', (message: ToWorker) => {
        if (message.kind === 'drain') resolve();
      });
    });
    const begun = new Promise<Extract<ToWorker, { kind: 'begin' }>>((resolve) => {
      process.on('message', (message: ToWorker, socket?: Socket) => {
        if (message.kind === 'begin') resolve(message);
        if (message.kind === 'connection') this.#take(message.at, socket);
        // No answer is one too: the primary counts it.
        if (message.kind === 'ask') this.#answer(message.id, message.what).catch(() => {});
        if (message.kind === 'reload') this.#reload(message).catch(() => {});
        if (message.kind === 'reloaded') this.#reloads.get(message.id)?.(message.outcome);
      });
    });
    tell({ kind: 'here' });
    const { number, settings, addresses } = await begun;
    try {
      const service = await this.#start(unpackSettings(settings), this.#doors(number, addresses));
      this.#service = service;
      tell({ kind: 'up' });
      await over;
      await service.drain();
      return 0;
    } catch (error) {
      tell({ kind: 'failed', why: error instanceof Error ? error.message : String(error) });
      return 2;
    }
  }

  #doors(number: number, addresses: readonly string[]): WorkerDoors {
    return {
      number,
      listen: async (_address, onSocket) => {
        const gate = new Gate(onSocket, {
          ended: () => this.#ended.add(),
          closing: () => tell({ kind: 'closing' }),
        });
        this.#gates.push(gate);
        return { address: addresses[this.#gates.length - 1]!, servers: [gate] };
      },
      startHttp: async (options) => {
        this.#http = options;
        return { address: options.address, close: async () => {} };
      },
      reload: () => this.#askReload(),
    };
  }

  #askReload(): Promise<Reloaded | Refusal> {
    const id = this.#reloads.size + 1;
    const outcome = new Promise<Reloaded | Refusal>((resolve) => {
      this.#reloads.set(id, resolve);
    });
    tell({ kind: 'reload', id });
    return outcome;
  }

  async #reload({ id, settings }: Extract<ToWorker, { kind: 'reload' }>): Promise<void> {
    const read = (): Reading => ({ ok: true, settings: unpackSettings(settings), warnings: [] });
    const outcome = await this.#service?.reload(read);
    if (outcome !== undefined) tell({ kind: 'answer', id, answer: outcome });
  }

  #take(at: number, socket: Socket | undefined): void {
    tell({ kind: 'taken' });
    // It may have ended on its way.
    if (socket === undefined) this.#ended.add();
    else this.#gates[at]!.take(socket);
  }

  async #answer(id: number, what: 'report' | 'metrics'): Promise<void> {
    const http = this.#http;
    if (http === undefined) return;
    const said =
      what === 'metrics'
        ? await http.metrics.snapshot()
        : { unready: await http.unready(), about: (await http.about?.()) ?? {} };
    tell({ kind: 'answer', id, answer: said });
  }
}
