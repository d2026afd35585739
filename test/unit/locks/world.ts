/** Memory nodes, replicas and the messages between them, each of which a test delivers, loses or holds back. */

import { type Lease, type LeaseName, parseLeaseId } from '../../../src/domain/lease.ts';
import { type Probe, silentProbe } from '../../../src/domain/probe.ts';
import type { Refusal } from '../../../src/domain/refusals.ts';
import { makeLocks } from '../../../src/locks/desk.ts';
import type { LineSettings } from '../../../src/locks/line.ts';
import type { AcquireAsk, Busy, Caller, Locks } from '../../../src/locks/locks.ts';
import type { Released } from '../../../src/locks/release.ts';
import { MemoryNode } from '../../../src/nodes/memory-node.ts';
import type { Rules } from '../../../src/nodes/memory-record.ts';
import {
  type Answer,
  type LockNode,
  type NodeOp,
  type NodeView,
  type Place,
  SCHEMA,
} from '../../../src/nodes/node.ts';
import { makeQuorum, type Quorum } from '../../../src/quorum/quorum.ts';
import { ManualClock } from '../../../src/std/clock.ts';
import { SeededRandom } from '../../../src/std/random.ts';
import { asking, callerWho, usualWaiting } from '../../harness/asking.ts';
import { enlist } from '../../harness/enlist.ts';

export const START = 1_800_000_000_000_000;
export const TTL_MS = 10_000;
export const LONGEST_TTL_MS = 60_000;
const TIMEOUT_MS = 250;

export const present: Caller = callerWho(() => false);

/**
 * What becomes of a request: `now` executed and answered; `later` waits for `deliver`, as its answer does;
 * `lost` never arrives; `unheard` is executed, its answer lost; `late` counts as lost and arrives at `deliver`.
 */
export type Fate = 'now' | 'later' | 'lost' | 'unheard' | 'late';

export interface Message {
  readonly replica: string;
  readonly node: number;
  readonly op: NodeOp;
  /** Requests of one replica to one node with the same number left together, as one script. */
  readonly script: number;
  /** Undefined: the request has not been executed yet. */
  answer?: Answer;
  readonly settle: (answer: Answer) => void;
}

const TIMEOUT: Answer = { kind: 'silent', why: 'timeout', detail: 'no answer' };

/** A place in line where a test cares for little of it. */
export function placed(changes: Partial<Place> = {}): Place {
  const { ticket = 100 } = changes;
  const who = { id: 'w', ticket, order: ticket, priority: 0, replica: 'a', owner: 'w' };
  const what = { mode: 'exclusive', any: 0, resources: ['r'], livenessMs: 6000, most: 1000 } as const;
  return { ...who, ...what, ...changes };
}

/** Lets promises settle that wait for nothing but each other. */
export async function quiet(turns = 60): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) await undefined;
}

export class World {
  readonly nodes: readonly MemoryNode[];
  readonly nodeClocks: readonly ManualClock[];
  readonly replicas: Replica[] = [];
  /** Requests and answers under way, oldest first. */
  readonly inFlight: Message[] = [];
  /** Whether nodes' wakes arrive. */
  wakes = true;
  /** How replicas that come from now on keep their lines. */
  waiting: LineSettings = usualWaiting;
  /** Who hears what replicas announce that come from now on. */
  probe: Probe = silentProbe;
  /** Counts the moments in which messages leave. */
  moment = 0;
  fate: (replica: string, node: number, op: NodeOp) => Fate = () => 'now';
  /** How fast each node's clock runs, and then each replica's. */
  rates: readonly number[] = [];
  #elapsedMs = 0;

  private constructor(nodes: readonly MemoryNode[], clocks: readonly ManualClock[]) {
    this.nodes = nodes;
    this.nodeClocks = clocks;
  }

  static async of(size = 3, rules: Partial<Rules> = {}): Promise<World> {
    const clocks = Array.from({ length: size }, () => new ManualClock(START));
    const nodes = clocks.map(
      (clock, index) => new MemoryNode({ id: `n${index}`, clock, runId: `run ${index}`, rules }),
    );
    for (const [index, node] of nodes.entries()) {
      const stamp = { runId: `run ${index}`, nodeId: node.id, cluster: 'c', longestTtlMs: LONGEST_TTL_MS };
      await enlist(node, { ...stamp, schema: SCHEMA, durable: false });
      node.admit(stamp);
    }
    return new World(nodes, clocks);
  }

  /** The replica of that name; a new one's wall clock is off by `offMicros`. */
  replica(id: string, offMicros = 0): Replica {
    const known = this.replicas.find((one) => one.id === id);
    if (known !== undefined) return known;
    const replica = new Replica(this, id, START + this.#elapsedMs * 1000 + offMicros);
    this.replicas.push(replica);
    return replica;
  }

  /** True time passes; every clock follows at its own rate. */
  async advance(ms: number): Promise<void> {
    this.moment += 1;
    this.#elapsedMs += ms;
    const clocks = [...this.nodeClocks, ...this.replicas.map(({ clock }) => clock)];
    clocks.forEach((clock, index) => {
      clock.advance(ms * (this.rates[index] ?? 1));
    });
    await quiet();
  }

  /** The same in small steps, so that whatever follows from one moment has its own time. */
  async pass(ms: number, stepMs = 10): Promise<void> {
    for (let passed = 0; passed < ms; passed += stepMs) await this.advance(Math.min(stepMs, ms - passed));
  }

  /** Moves one message a step on: a request is executed, an answer comes back. */
  async deliver(message: Message): Promise<void> {
    this.moment += 1;
    if (message.answer === undefined) {
      message.answer = await this.nodes[message.node]!.ask(message.op);
    } else {
      this.inFlight.splice(this.inFlight.indexOf(message), 1);
      message.settle(message.answer);
    }
    await quiet();
  }

  /** Delivers all that is under way, and what follows from it. */
  async deliverAll(): Promise<void> {
    for (let next = this.inFlight[0]; next !== undefined; next = this.inFlight[0]) await this.deliver(next);
  }

  /** Delivers until `done` settles, letting time pass whenever nothing is under way. */
  async finish<T>(done: Promise<T>): Promise<T> {
    let result: { readonly value: T } | undefined;
    void done.then((value) => {
      result = { value };
    });
    for (let turn = 0; turn < 2000; turn += 1) {
      await quiet();
      if (result !== undefined) return result.value;
      if (this.inFlight[0] === undefined) await this.advance(1);
      else await this.deliver(this.inFlight[0]);
    }
    throw new Error('it never came to an end');
  }

  view(node: number, resource = 'r'): NodeView | null {
    const answer = this.nodes[node]!.decide({ kind: 'look', resource, history: 100 });
    if (answer.kind !== 'seen') throw new Error(`look was answered with ${answer.kind}`);
    return answer.view;
  }

  /** The owners of those who stand in line at a node. */
  line(node: number, resource = 'r'): string[] {
    const answer = this.nodes[node]!.decide({ kind: 'look', resource, history: 0, line: 64 });
    return answer.kind === 'seen' ? (answer.view?.line?.waiters ?? []).map(({ owner }) => owner) : [];
  }

  /** Which lease each node holds the resource for: leaseRefs, '' for nobody. */
  holders(resource = 'r'): string[] {
    return this.nodes.map((_, index) => this.view(index, resource)?.holder?.leaseRef ?? '');
  }
}

export class Replica {
  readonly id: string;
  readonly clock: ManualClock;
  readonly quorum: Quorum;
  readonly locks: Locks;
  /** Whether a majority of the nodes has been ready yet. */
  mayPropose = true;
  /** Every request that left, in order. */
  readonly sent: { readonly node: number; readonly op: NodeOp }[] = [];
  readonly #world: World;

  constructor(world: World, id: string, wallMicros: number) {
    this.#world = world;
    this.id = id;
    this.clock = new ManualClock(wallMicros);
    const random = new SeededRandom([...id].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), 7));
    const { waiting, probe } = world;
    this.quorum = makeQuorum({
      nodes: world.nodes.map((node, index) => this.#reach(node, index)),
      clock: this.clock,
      probe,
      longestTtlMs: LONGEST_TTL_MS,
      retryAfterMs: 500,
      mayPropose: () => this.mayPropose,
      replica: id,
    });
    this.locks = makeLocks({ quorum: this.quorum, random, probe, waiting });
  }

  acquire(changes: Partial<AcquireAsk> = {}, caller: Caller = present): Promise<Lease | Busy | Refusal> {
    return this.locks.acquire(asking({ owner: this.id, ttlMs: TTL_MS, ...changes }), caller);
  }

  async heartbeat(
    { leaseId }: Pick<Lease, 'leaseId'>,
    ttlMs?: number,
    progress = '',
  ): Promise<Lease | Refusal> {
    const ask = { lease: nameOf(leaseId), progress, ...(ttlMs === undefined ? {} : { ttlMs }) };
    const answer = await this.locks.heartbeat(ask);
    return answer.kind === 'renewed' ? answer.lease : answer;
  }

  release({ leaseId }: Pick<Lease, 'leaseId'>, reason = ''): Promise<Released | Refusal> {
    return this.locks.release({ lease: nameOf(leaseId), reason });
  }

  /** How many requests of one kind reached the network, by node. */
  count(kind: NodeOp['kind']): number[] {
    return this.#world.nodes.map(
      (_, index) => this.sent.filter(({ node, op }) => node === index && op.kind === kind).length,
    );
  }

  #reach(node: MemoryNode, index: number): LockNode {
    return {
      id: node.id,
      ask: (op) => this.#ask(index, op),
      // Wakes are told to one replica only, as channels do, and may be lost like any other message.
      hear: (ears) => node.hear({ ...ears, wake: (wake) => this.#world.wakes && ears.wake(wake) }),
      nowMicros: () => this.clock.wallMicros(),
    };
  }

  async #ask(node: number, op: NodeOp): Promise<Answer> {
    this.sent.push({ node, op });
    const fate = this.#world.fate(this.id, node, op);
    if (fate === 'now') return this.#world.nodes[node]!.ask(op);
    if (fate === 'lost') return TIMEOUT;
    if (fate === 'unheard') {
      await this.#world.nodes[node]!.ask(op);
      return TIMEOUT;
    }
    return new Promise((resolve) => {
      const { moment: script } = this.#world;
      this.#world.inFlight.push({ replica: this.id, node, op, script, settle: resolve });
      if (fate === 'late') resolve(TIMEOUT);
      else this.clock.after(TIMEOUT_MS, () => resolve(TIMEOUT));
    });
  }
}

export function nameOf(leaseId: string): LeaseName {
  const name = parseLeaseId(leaseId);
  if (name === undefined) throw new Error(`${leaseId} does not parse`);
  return name;
}

/** The lease, or a failure that says what came instead. */
export function leaseOf(answer: Lease | Busy | Refusal): Lease {
  if (answer.kind === 'lease') return answer;
  throw new Error(`no lease: ${answer.kind === 'busy' ? 'busy' : `${answer.reason} ${answer.message}`}`);
}

/** An Acquire that waits, if need be for a minute. */
export class Wait {
  answer: Lease | Busy | Refusal | undefined;

  constructor(replica: Replica, changes: Partial<AcquireAsk> = {}, caller: Caller = present) {
    void replica.acquire({ waitMs: 60_000, ...changes }, caller).then((answer) => {
      this.answer = answer;
    });
  }

  get kind(): string {
    return this.answer?.kind ?? 'waits';
  }
}
