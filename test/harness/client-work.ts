/** Clients that work under locks, and one that waits for these: when each did what, on the one clock of the machine. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Partition } from './partition.ts';
import { type Line, Program, PYTHON, PYTHON_ENV, withoutPython } from './program.ts';
import { here } from './scene.ts';
import { until } from './until.ts';

export type Language = 'typescript' | 'python' | 'asyncio';
/**
 * By what a client knows that it may work. `told`: what comes to it by itself, which is `signal` in TypeScript,
 * `lost_event` with threads, and being cancelled in asyncio. `check`: it asks before each step. `none`: it works on.
 */
export type Looks = 'told' | 'check' | 'none';

/** What a holder is told to do; spans in milliseconds. */
export interface Orders {
  /** The first one can be cut off. */
  readonly addresses: readonly string[];
  readonly resource: string;
  readonly language: Language;
  readonly looks: Looks;
  readonly ttlMs: number;
  readonly graceMs: number;
  /** Silence is asked about after the first, and given up after the second; the client's own unless set. */
  readonly keepaliveMs?: readonly [number, number];
  /** Where each step of its work is written down. */
  readonly path: string;
  /** By SIGUSR2 it does nothing else for so long. */
  readonly blockMs: number;
  /** Python: by what a child that is forked off under the lock knows that it may work. */
  readonly child?: Looks;
}

/** Without Python nothing of it is tried, and the tests say so. */
export const languages: readonly Language[] =
  withoutPython === '' ? ['typescript', 'python', 'asyncio'] : ['typescript'];

export const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6;

const STEPS = 20;

/** The times in a file, a line each; the last line may be cut short by a SIGKILL. */
function timesOf(path: string): number[] {
  if (!existsSync(path)) return [];
  return readFileSync(path, 'latin1').split('\n').slice(0, -1).map(Number);
}

export class Worker {
  readonly orders: Orders;
  readonly network: Partition;
  readonly #program: Program;

  constructor(orders: Orders, network: Partition) {
    this.orders = orders;
    this.network = network;
    const told = JSON.stringify(orders);
    this.#program =
      orders.language === 'typescript'
        ? new Program([process.execPath, here('client-holder.ts'), told], {})
        : new Program([PYTHON, here('client-holder.py'), told], PYTHON_ENV);
  }

  get name(): string {
    return this.orders.resource;
  }

  signal(signal: NodeJS.Signals): void {
    this.#program.signal(signal);
  }

  said(event: string): Line | undefined {
    return this.#program.lines.find((line) => line.event === event);
  }

  says(event: string): Promise<Line> {
    return this.#program.says(event, (line) => line.event === event);
  }

  /** When it worked. */
  get timesMs(): number[] {
    return timesOf(this.orders.path);
  }

  /** When its child did. */
  get childMs(): number[] {
    return timesOf(`${this.orders.path}.child`);
  }

  /** The longest that it did nothing between two steps, from `sinceMs` on. */
  longestPauseMs(sinceMs: number): number {
    const times = this.timesMs;
    const first = Math.max(
      1,
      times.findIndex((timeMs) => timeMs >= sinceMs),
    );
    return Math.max(0, ...times.slice(first).map((timeMs, index) => timeMs - times[first + index - 1]!));
  }

  /** Resolves when it has its lock and works. */
  async works(): Promise<void> {
    await this.says('granted');
    await until(`${this.name} works`, () => this.timesMs.length > STEPS);
  }

  /** Resolves when it stands still. */
  async stop(): Promise<void> {
    this.signal('SIGSTOP');
    const state = () => / T /.test(readFileSync(`/proc/${this.#program.pid}/stat`, 'latin1'));
    await until(`${this.name} is stopped`, state);
  }

  kill(): Promise<void> {
    return killed(this.#program);
  }

  /** With the child that it forked off. */
  async end(): Promise<void> {
    await this.kill();
    this.network.close();
    const child = this.said('child')?.pid;
    if (typeof child === 'number') process.kill(child, 'SIGKILL');
  }
}

/** What one holder did, and its rival after it. */
export interface Outcome {
  readonly worker: Worker;
  /** When the rival was granted the lock. */
  readonly grantedMs: number;
  /** The steps of the holder after that: an anomaly. */
  readonly late: readonly number[];
  /** From the holder's last step to the grant. */
  readonly marginMs: number;
}

export interface Places {
  /** Of the replica that the holders use, each through a network of its own; and of the rival's. */
  readonly holders: string;
  readonly rival: string;
  /** Where the holders may go beside. */
  readonly others?: readonly string[];
}

export type Wish = Pick<Orders, 'language' | 'looks' | 'child'>;

/** Times that a shift is begun where the machine is too busy for it. */
const BEGUN_MAX = 5;

export class Shift {
  readonly workers: readonly Worker[];
  readonly #rival: Program;
  readonly #directory: string;

  private constructor(workers: readonly Worker[], rival: Program, directory: string) {
    this.workers = workers;
    this.#rival = rival;
    this.#directory = directory;
  }

  /** Resolves when all work, and somebody stands in line for each of their locks. */
  static async begin(
    places: Places,
    fault: string,
    wishes: readonly Wish[],
    spans: Pick<Orders, 'ttlMs' | 'graceMs' | 'keepaliveMs'>,
  ): Promise<Shift> {
    for (let begun = 1; ; begun += 1) {
      const shift = await Shift.#begin(places, `${fault} ${begun}`, wishes, spans);
      const stands = await shift.#stands().catch(async (error: unknown) => {
        await shift.end();
        throw error;
      });
      if (stands) return shift;
      await shift.end();
      if (begun >= BEGUN_MAX) throw new Error(`${begun} times somebody lost a lock before any fault`);
    }
  }

  static async #begin(
    { holders, rival, others }: Places,
    fault: string,
    wishes: readonly Wish[],
    spans: Pick<Orders, 'ttlMs' | 'graceMs' | 'keepaliveMs'>,
  ): Promise<Shift> {
    const directory = mkdtempSync(join(tmpdir(), 'holdfast-work-'));
    const workers = await Promise.all(
      wishes.map(async (wish, index) => {
        const network = await Partition.to(holders);
        const addresses = [network.address, ...(others ?? [])];
        const resource = `${fault.replaceAll(' ', '-')}/${wish.language}-${wish.looks}`;
        const path = join(directory, `${index}`);
        const blockMs = 2 * spans.ttlMs;
        return new Worker({ ...spans, ...wish, addresses, resource, path, blockMs }, network);
      }),
    );
    const names = workers.map(({ name }) => name);
    const args = [here('client-rival.ts'), rival, String(spans.ttlMs), ...names] as const;
    try {
      await Promise.all(workers.map((worker) => worker.works()));
      return new Shift(workers, new Program([process.execPath, ...args], {}), directory);
    } catch (error) {
      await Promise.all(workers.map((worker) => worker.end()));
      throw error;
    }
  }

  /** False: a busy machine took longer over the start of the rival than a lease lives, and somebody has lost one. */
  async #stands(): Promise<boolean> {
    const names = this.workers.map(({ name }) => name);
    await Promise.all(names.map((name) => this.#says(name, 'queued', 'granted')));
    return !names.some((name) => this.granted(name));
  }

  of(...looks: readonly Looks[]): Worker[] {
    return this.workers.filter(({ orders }) => looks.includes(orders.looks));
  }

  granted(name: string): boolean {
    return this.#rival.lines.some((line) => line.event === 'granted' && line.resource === name);
  }

  /** Resolves when all that look have lost their lease: what they said of it. */
  lost(): Promise<Line[]> {
    return Promise.all(this.of('told', 'check').map((worker) => worker.says('lost')));
  }

  /** Resolves when the rival has the lock. */
  async outcome(worker: Worker): Promise<Outcome> {
    const { atMs } = await this.#says(worker.name, 'granted');
    const grantedMs = atMs as number;
    const times = worker.timesMs;
    const late = times.filter((timeMs) => timeMs >= grantedMs);
    return { worker, grantedMs, late, marginMs: grantedMs - times.at(-1)! };
  }

  outcomes(...looks: readonly Looks[]): Promise<Outcome[]> {
    return Promise.all(this.of(...looks).map((worker) => this.outcome(worker)));
  }

  /** Who looks at nothing works on under somebody else's lease: so the fault is one. */
  async anomalies(): Promise<void> {
    for (const worker of this.of('none')) {
      const steps = async () => (await this.outcome(worker)).late.length > STEPS;
      await until(`${worker.name} works on after the grant of its rival`, steps);
    }
  }

  async end(): Promise<void> {
    await Promise.all([killed(this.#rival), ...this.workers.map((worker) => worker.end())]);
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #says(name: string, ...events: readonly string[]): Promise<Line> {
    const look = ({ event, resource }: Line) => resource === name && events.includes(String(event));
    return this.#rival.says(`${events.join(' or ')} ${name}`, look);
  }
}

async function killed(program: Program): Promise<void> {
  if (!program.over) program.signal('SIGKILL');
  await program.ended();
}
