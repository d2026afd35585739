/**
 * A client process that keeps leases by a stream, says what it is told, and counts until when it may rely on them in two
 * ways: by the rule of lock.proto, and from the arrival of events.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { HoldRequest } from '../../src/edge/gen/holdfast/v1/HoldRequest.ts';
import { HoldStream, machineMs, SessionStream } from './lock-streams.ts';
import { expireMs, type Lease } from './rpc-client.ts';
import type { Shown } from './shown.ts';
import { until } from './until.ts';

/** Longer than a busy machine lets a process wait, shorter than any stop by a signal. */
const PAUSE_MS = 500;
const LOOK_MS = 20;
const WAIT_MS = 50_000;
const WAIT = { seconds: WAIT_MS / 1000 };

interface Wish {
  readonly hold?: HoldRequest;
  /** Names that one session locks, each on its own. */
  readonly session?: readonly string[];
  readonly ttlMs?: number;
  readonly shown?: Shown;
}

/** One line of the process; all times are those of the machine. */
export interface Said {
  readonly atMs: number;
  /** `granted`, `renewed`..., `ended`; `woke`: it did not run for a while, and has read nothing since. */
  readonly kind: string;
  readonly leases?: readonly Lease[];
  /** Until when the lease is good, as it counts before it has looked at this event, and after. */
  readonly before?: Count;
  readonly after?: Count;
  readonly how?: string;
}

export interface Count {
  /** By the rule: from before the stream was opened, and the differences of `expire_time`, less 1 %. */
  readonly ruleMs: number;
  /** From the arrival of the newest event. */
  readonly arrivalMs: number;
}

export class HoldingProcess {
  readonly said: Said[] = [];
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
    createInterface({ input: child.stdout! }).on('line', (line) => this.said.push(JSON.parse(line)));
  }

  /** Resolves when it has all that it wants, or stands in line for it. */
  static async start(
    address: string,
    wish: Wish,
    first: 'granted' | 'queued' = 'granted',
    node: readonly string[] = [],
  ): Promise<HoldingProcess> {
    const args = [...node, fileURLToPath(import.meta.url), address, JSON.stringify(wish)];
    return HoldingProcess.#started(
      spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] }),
      first,
    );
  }

  /** The same in Python, over grpcio; it knows Hold only, and says no more than what it was granted. */
  static async python(python: string, address: string, resource: string): Promise<HoldingProcess> {
    const script = fileURLToPath(new URL('./holding.py', import.meta.url));
    const args = [script, address, resource];
    return HoldingProcess.#started(spawn(python, args, { stdio: ['ignore', 'pipe', 'inherit'] }), 'granted');
  }

  static async #started(child: ChildProcess, first: string): Promise<HoldingProcess> {
    const kill = (): void => void child.kill('SIGKILL');
    process.once('exit', kill);
    child.once('exit', () => process.removeListener('exit', kill));
    const client = new HoldingProcess(child);
    await until(`the client process is told ${first}`, () => {
      if (child.exitCode !== null) throw new Error(`the client process ended with ${child.exitCode}`);
      return client.of(first).length > 0;
    });
    return client;
  }

  get leases(): readonly Lease[] {
    return this.said.find(({ kind }) => kind === 'granted')?.leases ?? [];
  }

  get lease(): Lease {
    return this.leases[0]!;
  }

  of(kind: string): Said[] {
    return this.said.filter((said) => said.kind === kind);
  }

  /** So many extensions more than there were. */
  async renewals(count: number): Promise<void> {
    const before = this.of('renewed').length;
    await until(`${count} renewals more`, () => {
      const [ended] = this.of('ended');
      if (ended !== undefined) throw new Error(`its stream has ended: ${ended.how}`);
      return this.of('renewed').length >= before + count;
    });
  }

  /** Resolves when it really stands still. */
  async stop(): Promise<void> {
    this.#child.kill('SIGSTOP');
    const state = () => / T /.test(readFileSync(`/proc/${this.#child.pid}/stat`, 'latin1'));
    await until('the process is stopped', state);
  }

  wake(): void {
    this.#child.kill('SIGCONT');
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }
}

/** Drift of 1 % and 2 ms, as lock.proto allows for. */
const goodFor = (ttlMs: number): number => ttlMs - ttlMs / 100 - 2;

/** What the process does. */
class Holding {
  readonly #ttlMs: number;
  readonly #startedMs = machineMs();
  #firstExpireMs = 0;
  #count: Count = { ruleMs: 0, arrivalMs: 0 };
  #lookedMs = machineMs();

  constructor(ttlMs: number) {
    this.#ttlMs = ttlMs;
    setInterval(() => this.#look(), LOOK_MS);
  }

  begin(address: string, { hold, session, shown = {} }: Wish): void {
    if (hold !== undefined) this.#hold(address, hold, shown);
    else void this.#session(address, session!, shown);
  }

  #hold(address: string, request: HoldRequest, shown: Shown): void {
    const stream = new HoldStream(address, request, shown);
    stream.onEvent = ({ granted, renewed, event }) => {
      this.#look();
      const before = this.#count;
      const lease = granted ?? renewed;
      if (lease != null) this.#counted(lease);
      this.#say({ kind: event!, before, after: this.#count, ...(lease == null ? {} : { leases: [lease] }) });
    };
    stream.onEnd = () => {
      this.#look();
      const how = stream.ended === 'OK' ? 'OK' : `${stream.ended?.code} ${stream.ended?.message}`;
      this.#say({ kind: 'ended', before: this.#count, how });
    };
  }

  async #session(address: string, names: readonly string[], shown: Shown): Promise<void> {
    const stream = new SessionStream(address, shown);
    const granted = Promise.all(names.map((name) => stream.lock(name, { wait: WAIT })));
    const waits = until('one of them waits', () => stream.of('queued').length > 0, WAIT_MS);
    waits.then(
      () => this.#say({ kind: 'queued' }),
      () => {},
    );
    const leases = await granted;
    this.#say({ kind: 'granted', leases });
  }

  #counted(lease: Lease): void {
    if (this.#firstExpireMs === 0) this.#firstExpireMs = expireMs(lease);
    this.#count = {
      ruleMs: this.#startedMs + goodFor(this.#ttlMs) + 0.99 * (expireMs(lease) - this.#firstExpireMs),
      arrivalMs: machineMs() + goodFor(this.#ttlMs),
    };
  }

  /** Whatever it does, it looks first whether it was stopped. */
  #look(): void {
    const atMs = machineMs();
    if (atMs - this.#lookedMs > PAUSE_MS) this.#say({ kind: 'woke', before: this.#count });
    this.#lookedMs = atMs;
  }

  #say(said: Omit<Said, 'atMs'>): void {
    process.stdout.write(`${JSON.stringify({ atMs: machineMs(), ...said })}\n`);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , address = '', wish = ''] = process.argv;
  const wanted = JSON.parse(wish) as Wish;
  new Holding(wanted.ttlMs ?? 0).begin(address, wanted);
}
