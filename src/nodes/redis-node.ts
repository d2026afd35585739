/** One Redis server as a voter: a connection that never replays a command, and one script for each tick's votes. */
import { Redis } from 'ioredis';
import { type Probe, silentProbe } from '../domain/probe.ts';
import { type Clock, pause } from '../std/clock.ts';
import type { AdminAnswer, AdminOp, NodeFacts } from './admin.ts';
import { adminText, factsOf, parseAdmin } from './admin-wire.ts';
import { Batch } from './batch.ts';
import { ClockWatch } from './clock-watch.ts';
import { connectionOptions } from './connection.ts';
import { keyList, keysOf } from './keys.ts';
import type { Ears } from './line.ts';
import type { MemberNode } from './member.ts';
import type { Answer, NodeOp, Silent, Stamp } from './node.ts';
import { batchBytes } from './op-bytes.ts';
import { RedisEar } from './redis-ear.ts';
import { type Script, scripts } from './scripts.ts';
import { parseAnswer, stampArgs } from './wire.ts';

export interface RedisNodeOptions {
  /** `host:port`, socket path or explicit name: what the meta on the server must say. */
  readonly id: string;
  /** `redis://`, `rediss://` or `unix:///path`. */
  readonly url: string;
  /** For a unix socket, whose URL has no place for them. */
  readonly username?: string;
  readonly password?: string;
  readonly namespace: string;
  /** How long one vote may take before it counts as silence. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly probe?: Probe;
  /** Which replica asks; its own releases do not wake it. */
  readonly replica?: string;
  /** TEST HOOK: scripts with one rule switched off, to show the anomaly that the rule prevents. */
  readonly scripts?: typeof scripts;
}

const READY_POLL_MS = 10;

function silence(why: Silent['why'], detail: string): Silent {
  return { kind: 'silent', why, detail };
}

/** Others may have written to the node's keys: what cannot be read is silence, and no end of this process (G10). */
function answerIn(text: string, nowMicros: number): Answer {
  try {
    return parseAnswer(text, nowMicros);
  } catch (cause) {
    return silence('error', `unreadable answer: ${String(cause)}`);
  }
}

export class RedisNode implements MemberNode {
  readonly id: string;
  onReady: (facts: NodeFacts) => void = () => {};
  onLost: (detail: string) => void = () => {};
  onClockJump: (ms: number) => void = () => {};
  latencyMs = 0;
  clockOffsetMs = 0;

  readonly #clock: Clock;
  readonly #probe: Probe;
  readonly #timeoutMs: number;
  readonly #keys: string[];
  readonly #replica: string;
  readonly #options: RedisNodeOptions;
  #ear: RedisEar | undefined;
  readonly #redis: Redis;
  readonly #scripts: typeof scripts;
  readonly #batch = new Batch(
    (operations) => this.#send(operations),
    (cause) => this.#probe.notice('error', 'a vote failed on a defect', { cause: String(cause) }),
  );
  readonly #watch = new ClockWatch();
  #facts: NodeFacts | undefined;
  #stamp: { readonly args: readonly string[]; readonly runId: string } | undefined;
  #refusal = silence('unreachable', 'not connected');
  #closed = false;

  constructor(options: RedisNodeOptions) {
    this.id = options.id;
    this.#clock = options.clock;
    this.#probe = options.probe ?? silentProbe;
    this.#timeoutMs = options.timeoutMs;
    this.#scripts = options.scripts ?? scripts;
    this.#keys = keyList(keysOf(options.namespace));
    this.#replica = options.replica ?? '';
    this.#options = options;
    const settings = connectionOptions(options);
    this.#redis = options.url.startsWith('unix://') ? new Redis(settings) : new Redis(options.url, settings);
    this.#redis.on('ready', () => void this.#greet());
    this.#redis.on('close', () => this.#lose('connection lost'));
    this.#redis.on('error', (error) => {
      if (this.#facts === undefined) this.#refusal = silence('unreachable', error.message);
    });
  }

  ask(op: NodeOp): Promise<Answer> {
    if (op.kind === 'watch') this.#ear?.follow(op.forMs);
    if (this.#stamp === undefined) return Promise.resolve(this.#refusal);
    return this.#batch.ask(op);
  }

  post(op: NodeOp, heard: (answer: Answer) => void): void {
    if (this.#stamp === undefined) {
      const refusal = this.#refusal;
      queueMicrotask(() => heard(refusal));
    } else {
      this.#batch.post(op, heard);
    }
  }

  /** Opens the connection on which the node tells `ears`; once. */
  hear(ears: Ears): void {
    const { url, namespace } = this.#options;
    this.#ear ??= new RedisEar({
      url,
      connection: connectionOptions(this.#options),
      keys: keysOf(namespace),
      clock: this.#clock,
      ears,
      onDefect: (cause) => this.#probe.notice('error', 'a wake failed on a defect', { cause: String(cause) }),
    });
  }

  nowMicros(): number | undefined {
    const offsetMs = this.#watch.offsetMs();
    return offsetMs === undefined ? undefined : Math.round((this.#clock.monotonicMs() + offsetMs) * 1000);
  }

  admit(stamp: Stamp | undefined, detail = 'not admitted'): void {
    if (stamp !== undefined && stamp.runId !== this.#facts?.runId) return;
    this.#stamp = stamp === undefined ? undefined : { args: stampArgs(stamp), runId: stamp.runId };
    if (stamp === undefined) this.#refusal = silence('refused', detail);
  }

  async facts(): Promise<NodeFacts | undefined> {
    const [info, policy] = await Promise.all([
      this.#command(() => this.#redis.info()),
      // Managed servers forbid CONFIG; without its word the node counts as one that may lose writes.
      this.#command(() => this.#redis.config('GET', 'appendfsync')),
    ]);
    return typeof info === 'string' ? factsOf(info, policy) : undefined;
  }

  async admin(op: AdminOp): Promise<AdminAnswer> {
    const reply = await this.#command(() => this.#run(this.#scripts.admin, [adminText(op)]));
    if (typeof reply !== 'string') {
      return { kind: 'failed', detail: reply instanceof Error ? reply.message : 'no answer in time' };
    }
    try {
      return parseAdmin(reply);
    } catch (cause) {
      return { kind: 'failed', detail: `what the node keeps of itself cannot be read: ${String(cause)}` };
    }
  }

  async ready(withinMs = Number.POSITIVE_INFINITY): Promise<NodeFacts | undefined> {
    const untilMs = this.#clock.monotonicMs() + withinMs;
    while (this.#facts === undefined && !this.#closed && this.#clock.monotonicMs() < untilMs) {
      await pause(this.#clock, READY_POLL_MS);
    }
    return this.#facts;
  }

  close(): void {
    this.#closed = true;
    this.#lose('closed');
    this.#redis.disconnect();
    this.#ear?.close();
  }

  /** A run id is true for as long as this very connection lives: no process outlives its sockets. */
  async #greet(): Promise<void> {
    const facts = await this.facts();
    if (this.#closed) return;
    if (facts === undefined || this.#redis.status !== 'ready') {
      this.#redis.disconnect(true);
      return;
    }
    await this.#command(() => this.#redis.script('LOAD', this.#scripts.votes.source));
    this.#facts = facts;
    this.onReady(facts);
  }

  #lose(detail: string): void {
    this.#stamp = undefined;
    this.#watch.forget();
    this.#refusal = silence('unreachable', detail);
    if (this.#facts === undefined) return;
    this.#facts = undefined;
    this.onLost(detail);
  }

  async #send(operations: readonly NodeOp[]): Promise<readonly Answer[] | Silent> {
    const stamp = this.#stamp;
    if (stamp === undefined) return this.#refusal;
    this.#probe.batch(this.id, operations.length);
    const sentMs = this.#clock.monotonicMs();
    const reply = await this.#command(() =>
      this.#run(this.#scripts.votes, [...stamp.args, batchBytes(operations), this.#replica]),
    );
    if (reply instanceof Error) return silence('error', reply.message);
    if (typeof reply !== 'string') return silence('timeout', `no answer within ${this.#timeoutMs} ms`);
    const [time, ...texts]: string[] = reply.split('\n');
    const nowMicros = Number(time);
    this.#observe(sentMs, nowMicros);
    return texts.map((text) => answerIn(text, nowMicros));
  }

  #observe(sentMs: number, nowMicros: number): void {
    const receivedMs = this.#clock.monotonicMs();
    const tookMs = receivedMs - sentMs;
    this.#probe.roundTrip(this.id, tookMs);
    this.latencyMs = this.latencyMs === 0 ? tookMs : this.latencyMs * 0.9 + tookMs * 0.1;
    this.clockOffsetMs = (nowMicros - this.#clock.wallMicros()) / 1000 + tookMs / 2;
    const jumpedMs = this.#watch.sample(sentMs, receivedMs, nowMicros);
    if (jumpedMs !== 0) this.onClockJump(jumpedMs);
  }

  async #run(script: Script, args: readonly (string | Buffer)[]): Promise<unknown> {
    const parts = [this.#keys.length, ...this.#keys, ...args] as const;
    try {
      return await this.#redis.call('EVALSHA', script.sha, ...parts);
    } catch (error) {
      // SCRIPT FLUSH or a restart: the text itself, once.
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
      return await this.#redis.call('EVAL', script.source, ...parts);
    }
  }

  /** The reply, an Error, or undefined when none came in time. A late reply is dropped: its vote counts as silence. */
  #command(run: () => Promise<unknown>): Promise<unknown> {
    return new Promise((resolve) => {
      const deadline = this.#clock.after(this.#timeoutMs, () => resolve(undefined));
      run().then(
        (reply) => {
          deadline.cancel();
          resolve(reply);
        },
        (error: unknown) => {
          deadline.cancel();
          resolve(error instanceof Error ? error : new Error(String(error)));
        },
      );
    });
  }
}
