/** A node as a replica sees it through the simulated network: what redis-node.ts is over a real one. */
import { limits } from '../../../src/domain/limits.ts';
import type { AdminAnswer, AdminOp, NodeFacts } from '../../../src/nodes/admin.ts';
import { ClockWatch } from '../../../src/nodes/clock-watch.ts';
import type { Ears } from '../../../src/nodes/line.ts';
import type { MemberNode } from '../../../src/nodes/member.ts';
import type { Answer, NodeOp, Silent, SilentWhy, Stamp } from '../../../src/nodes/node.ts';
import type { Timer } from '../../../src/std/clock.ts';
import { Caller, type Told } from './caller.ts';
import type { Chance } from './chance.ts';
import { Ear } from './ear.ts';
import type { Link, Network } from './network.ts';
import type { NodeProcess } from './node-process.ts';
import type { Process } from './process.ts';
import type { Timeline } from './timeline.ts';

export interface MemberOptions {
  readonly timeline: Timeline;
  readonly network: Network;
  readonly process: Process;
  readonly chance: Chance;
  readonly link: Link;
  readonly node: NodeProcess;
  readonly timeoutMs: number;
  readonly replica: string;
  onDefect(cause: unknown): void;
}

type Heard = (answer: Answer) => void;

function silence(why: SilentWhy, detail: string): Silent {
  return { kind: 'silent', why, detail };
}

export class Member implements MemberNode {
  readonly id: string;
  onReady: (facts: NodeFacts) => void = () => {};
  onLost: (detail: string) => void = () => {};
  onClockJump: (ms: number) => void = () => {};
  latencyMs = 0;
  clockOffsetMs = 0;
  readonly #options: MemberOptions;
  readonly #caller: Caller;
  readonly #watch = new ClockWatch();
  #ear: Ear | undefined;
  #facts: NodeFacts | undefined;
  #stamp: Stamp | undefined;
  #refusal = silence('unreachable', 'not connected');
  #closed = false;
  #ops: NodeOp[] = [];
  #heard: Heard[] = [];
  #inFlight = 0;
  #awaiting: (() => void)[] = [];

  constructor(options: MemberOptions) {
    this.id = options.node.id;
    this.#options = options;
    this.#caller = new Caller(options, {
      onConnected: () => this.#greet(),
      onBroken: () => this.#lose('connection lost'),
    });
  }

  ask(op: NodeOp): Promise<Answer> {
    if (op.kind === 'watch') this.#ear?.follow(op.forMs);
    return new Promise((resolve) => this.post(op, resolve));
  }

  post(op: NodeOp, heard: Heard): void {
    const refusal =
      this.#stamp === undefined
        ? this.#refusal
        : this.#inFlight >= limits.operationsInFlight
          ? silence('overloaded', 'too many unanswered operations')
          : undefined;
    if (refusal !== undefined) {
      queueMicrotask(() => heard(refusal));
      return;
    }
    this.#inFlight += 1;
    if (this.#ops.length === 0) this.#options.timeline.atTurnEnd(() => this.#flush());
    this.#ops.push(op);
    this.#heard.push(heard);
  }

  hear(ears: Ears): void {
    this.#ear ??= new Ear(this.#options, ears);
  }

  nowMicros(): number | undefined {
    const offsetMs = this.#watch.offsetMs();
    return offsetMs === undefined
      ? undefined
      : Math.round((this.#options.process.monotonicMs() + offsetMs) * 1000);
  }

  admit(stamp: Stamp | undefined, detail = 'not admitted'): void {
    if (stamp !== undefined && stamp.runId !== this.#facts?.runId) return;
    this.#stamp = stamp;
    if (stamp === undefined) this.#refusal = silence('refused', detail);
  }

  async facts(): Promise<NodeFacts | undefined> {
    const told = await this.#asked({ kind: 'facts' });
    return told.kind === 'facts' ? told.facts : undefined;
  }

  async admin(op: AdminOp): Promise<AdminAnswer> {
    const told = await this.#asked({ kind: 'admin', op });
    if (told.kind === 'admin') return told.answer;
    return { kind: 'failed', detail: told.kind === 'broken' ? 'connection closed' : 'no answer in time' };
  }

  ready(withinMs = Number.POSITIVE_INFINITY): Promise<NodeFacts | undefined> {
    if (this.#facts !== undefined || this.#closed) return Promise.resolve(this.#facts);
    return new Promise((resolve) => {
      let timer: Timer | undefined;
      const done = (): void => {
        timer?.cancel();
        resolve(this.#facts);
      };
      if (withinMs !== Number.POSITIVE_INFINITY) timer = this.#options.process.after(withinMs, done);
      this.#awaiting.push(done);
    });
  }

  close(): void {
    this.#closed = true;
    this.#lose('closed');
    this.#caller.close();
    this.#ear?.close();
  }

  /** Something between replica and node breaks all connections. */
  reset(): void {
    this.#caller.reset();
    this.#ear?.reset();
  }

  async #greet(): Promise<void> {
    const facts = await this.facts();
    if (this.#closed) return;
    if (facts === undefined || !this.#caller.connected) {
      this.#caller.again();
      return;
    }
    await this.#asked({ kind: 'load' });
    if (!this.#caller.connected) return;
    this.#facts = facts;
    this.onReady(facts);
    const awaiting = this.#awaiting;
    this.#awaiting = [];
    for (const tell of awaiting) tell();
  }

  #lose(detail: string): void {
    this.#stamp = undefined;
    this.#watch.forget();
    this.#refusal = silence('unreachable', detail);
    if (this.#facts === undefined) return;
    this.#facts = undefined;
    this.onLost(detail);
  }

  #flush(): void {
    const ops = this.#ops;
    const heard = this.#heard;
    this.#ops = [];
    this.#heard = [];
    if (!this.#options.process.alive) return;
    for (let start = 0; start < ops.length; start += limits.operationsPerBatch) {
      const end = start + limits.operationsPerBatch;
      this.#send(ops.slice(start, end), heard.slice(start, end));
    }
  }

  #send(ops: readonly NodeOp[], heard: readonly Heard[]): void {
    const stamp = this.#stamp;
    if (stamp === undefined) {
      this.#tell(heard, this.#refusal);
      return;
    }
    const sentMs = this.#options.process.monotonicMs();
    const { replica, timeoutMs } = this.#options;
    this.#caller.ask({ kind: 'votes', stamp, ops, replica }, (told) => {
      if (told.kind === 'votes') {
        this.#observe(sentMs, told.nowMicros);
        this.#tell(heard, told.answers);
      } else if (told.kind === 'broken') this.#tell(heard, silence('error', 'Connection is closed.'));
      else this.#tell(heard, silence('timeout', `no answer within ${timeoutMs} ms`));
    });
  }

  #tell(heard: readonly Heard[], answers: readonly Answer[] | Silent): void {
    this.#inFlight -= heard.length;
    for (const [index, hear] of heard.entries()) {
      try {
        hear('kind' in answers ? answers : answers[index]!);
      } catch (cause) {
        this.#options.onDefect(cause);
      }
    }
  }

  #observe(sentMs: number, nowMicros: number): void {
    const { process } = this.#options;
    const receivedMs = process.monotonicMs();
    const tookMs = receivedMs - sentMs;
    this.latencyMs = this.latencyMs === 0 ? tookMs : this.latencyMs * 0.9 + tookMs * 0.1;
    this.clockOffsetMs = (nowMicros - process.wallMicros()) / 1000 + tookMs / 2;
    const jumpedMs = this.#watch.sample(sentMs, receivedMs, nowMicros);
    if (jumpedMs !== 0) this.onClockJump(jumpedMs);
  }

  #asked(question: Parameters<Caller['ask']>[0]): Promise<Told> {
    return new Promise((resolve) => this.#caller.ask(question, resolve));
  }
}
