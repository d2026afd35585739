/** A lock node as a process: the memory node of src, which crashes and forgets, and a journal to lose its last writes by. */
import type { AdminAnswer, NodeFacts } from '../../../src/nodes/admin.ts';
import type { Ears } from '../../../src/nodes/line.ts';
import { MemoryNode } from '../../../src/nodes/memory-node.ts';
import type { Rules } from '../../../src/nodes/memory-record.ts';
import type { NodeView, Stamp } from '../../../src/nodes/node.ts';
import type { Clock } from '../../../src/std/clock.ts';
import type { Chance } from './chance.ts';
import type { MachineClock } from './clocks.ts';
import { Process, type Waiting } from './process.ts';
import { TakenBack } from './taken-back.ts';
import type { Timeline } from './timeline.ts';
import type { Published, Question, Reply, Wire } from './wire.ts';

export interface NodeOptions {
  readonly id: string;
  readonly timeline: Timeline;
  readonly clock: MachineClock;
  readonly chance: Chance;
  /** Of each run in turn: whether it flushes every write before it answers. */
  readonly durable: (run: number) => boolean;
  /** Some run will lose its last writes. */
  readonly journal: boolean;
  /** TEST HOOK: see Rules. */
  readonly rules?: Partial<Rules>;
}

/** What changed the node's memory, and what its clock showed then: played again, it makes the same memory. */
interface Written {
  readonly atMs: number;
  readonly nowMicros: number;
  readonly write: (memory: MemoryNode) => void;
}

/** `untilMs`: what was written later is lost. */
export type Memory = 'kept' | 'lost' | { readonly untilMs: number };

export class NodeProcess {
  readonly id: string;
  readonly clock: MachineClock;
  readonly wires = new Set<Wire>();
  process: Process;
  /** Counts the starts of the process. */
  run = 1;
  up = true;
  readonly #options: NodeOptions;
  readonly #timeline: Timeline;
  readonly #listening = new Map<Wire, { readonly replica: string; news: boolean }>();
  /** Replicas whose names the memory node was told. */
  readonly #heard = new Set<string>();
  #memory: MemoryNode;
  #runId: string;
  #paused = false;
  #journal: Written[] = [];
  readonly #takenBack = new TakenBack();
  /** Who is asking a release right now: its own waiters it looks after itself. */
  #quiet: string | undefined;

  constructor(options: NodeOptions) {
    this.id = options.id;
    this.clock = options.clock;
    this.#options = options;
    this.#timeline = options.timeline;
    this.#runId = newRunId(options.chance);
    this.#memory = this.#fresh(options.clock, this.#runId);
    this.#renew('kept');
    this.process = this.#newProcess();
  }

  take(wire: Wire, id: number, question: Question): void {
    this.#answer(wire, question, (reply) => wire.reply(id, reply));
  }

  forget(wire: Wire): void {
    this.wires.delete(wire);
    this.#listening.delete(wire);
  }

  pause(): void {
    this.#paused = true;
    this.process.pause();
  }

  resume(): void {
    this.#paused = false;
    this.process.resume();
  }

  crash(): void {
    this.up = false;
    this.process.kill();
    for (const wire of [...this.wires]) wire.breaks();
  }

  restart(memory: Memory): void {
    this.up = true;
    this.run += 1;
    this.process = this.#newProcess();
    if (this.#paused) this.process.pause();
    this.#runId = newRunId(this.#options.chance);
    if (typeof memory === 'object') this.#loseAfter(memory.untilMs);
    this.#renew(memory === 'lost' ? 'lost' : 'kept');
  }

  /** FLUSHALL. */
  flush(): void {
    this.#renew('lost');
  }

  /** For the end of a run; nobody asks it by the network. Undefined: it does not vote. */
  look(resource: string, stamp: Omit<Stamp, 'runId'>): NodeView | null | undefined {
    this.#memory.admit({ ...stamp, runId: this.#runId });
    const answer = this.#memory.decide({ kind: 'look', resource, history: 0, line: 1000 });
    return answer.kind === 'seen' ? answer.view : undefined;
  }

  #answer(wire: Wire, question: Question, reply: (reply: Reply) => void): void {
    switch (question.kind) {
      case 'votes':
        reply(this.#votes(question));
        break;
      case 'admin':
        this.#administer(question, (answer) => reply({ kind: 'admin', answer }));
        break;
      case 'facts':
        reply({ kind: 'facts', facts: this.#facts() });
        break;
      case 'load':
        reply({ kind: 'load' });
        break;
      case 'listen':
        if (!this.#heard.has(question.replica)) this.#tell(question.replica);
        this.#listening.set(wire, { replica: question.replica, news: question.news });
        reply({ kind: 'listen' });
    }
  }

  /** One script: nothing else happens between its operations, and it reads the clock once. */
  #votes({ stamp, ops, replica }: Extract<Question, { kind: 'votes' }>): Reply {
    const nowMicros = this.clock.wallMicros();
    const answers = ops.map((op) => {
      this.#quiet = op.kind === 'release' && op.why === 'released' ? replica : undefined;
      this.#memory.admit(stamp);
      const answer = this.#memory.decide(op);
      const fault = this.#takenBack.fault(op, answer, nowMicros);
      if (fault !== undefined) this.#timeline.fail(new Error(`${this.id}: ${fault}`));
      return answer;
    });
    this.#quiet = undefined;
    this.#write((memory) => {
      for (const op of ops) {
        memory.admit(stamp);
        memory.decide(op);
      }
    });
    return { kind: 'votes', nowMicros, answers };
  }

  #administer({ op }: Extract<Question, { kind: 'admin' }>, reply: (answer: AdminAnswer) => void): void {
    this.#memory.admin(op).then(reply, (cause: unknown) => this.#timeline.fail(cause));
    this.#write((memory) => void memory.admin(op));
  }

  #facts(): NodeFacts {
    return {
      runId: this.#runId,
      role: 'master',
      clusterEnabled: false,
      maxmemoryPolicy: 'noeviction',
      durable: this.#options.durable(this.run),
      version: 'simulated',
    };
  }

  #write(write: Written['write']): void {
    if (!this.#options.journal) return;
    this.#journal.push({ atMs: this.#timeline.nowMs, nowMicros: this.clock.wallMicros(), write });
  }

  #renew(memory: 'kept' | 'lost'): void {
    const runId = this.#runId;
    if (memory === 'lost') {
      this.#journal = [];
      this.#takenBack.forget();
    }
    this.#memory.restart(memory, runId);
    this.#write((other) => other.restart(memory, runId));
  }

  /** As an append-only file without its end. */
  #loseAfter(untilMs: number): void {
    this.#journal = this.#journal.filter(({ atMs }) => atMs <= untilMs);
    this.#takenBack.forget();
    const clock = new Reading();
    const memory = this.#fresh(clock, '');
    for (const { nowMicros, write } of this.#journal) {
      clock.micros = nowMicros;
      write(memory);
    }
    clock.goesOnAs(this.clock);
    this.#memory = memory;
    const replicas = [...this.#heard];
    this.#heard.clear();
    for (const replica of replicas) this.#tell(replica);
  }

  #fresh(clock: Clock, runId: string): MemoryNode {
    const { id, rules } = this.#options;
    return new MemoryNode({ id, clock, runId, ...(rules === undefined ? {} : { rules }) });
  }

  #tell(replica: string): void {
    this.#heard.add(replica);
    const publish = (published: Published): void => {
      for (const [wire, listener] of this.#listening) {
        if (listener.replica !== replica || (published.kind === 'news' && !listener.news)) continue;
        wire.publish(published);
      }
    };
    const ears: Ears = {
      replica,
      wake: (wake) => {
        if (this.#quiet !== replica) publish({ kind: 'wake', wake });
      },
      news: (news) => publish({ kind: 'news', news }),
      forced: (leaseRef) => publish({ kind: 'forced', leaseRef }),
      missed: () => {},
    };
    this.#memory.hear(ears);
  }

  /** Which of several sockets is read first is left to chance: messages of two connections overtake each other. */
  #newProcess(): Process {
    const { chance } = this.#options;
    return new Process(this.#timeline, this.clock, (waiting) => merged(waiting, chance));
  }
}

/** What a clock showed when something was written; afterwards another clock. */
class Reading implements Clock {
  micros = 0;
  #clock: Clock | undefined;

  goesOnAs(clock: Clock): void {
    this.#clock = clock;
  }

  monotonicMs(): number {
    return this.#clock?.monotonicMs() ?? 0;
  }

  wallMicros(): number {
    return this.#clock?.wallMicros() ?? this.micros;
  }

  after(): never {
    throw new Error('a memory node sets no timer');
  }
}

function newRunId(chance: Chance): string {
  return chance.bytes(20).toString('hex');
}

function merged(waiting: readonly Waiting[], chance: Chance): Waiting[] {
  const lanes = new Map<object | undefined, Waiting[]>();
  for (const one of waiting) {
    const lane = lanes.get(one.by);
    if (lane === undefined) lanes.set(one.by, [one]);
    else lane.push(one);
  }
  const left = [...lanes.values()];
  const order: Waiting[] = [];
  while (left.length > 0) {
    const at = Math.floor(chance.fraction() * left.length);
    const lane = left[at]!;
    order.push(lane.shift()!);
    if (lane.length === 0) left.splice(at, 1);
  }
  return order;
}
