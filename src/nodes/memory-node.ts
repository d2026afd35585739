/**
 * A lock node in memory: the executable specification of the contract in node.ts, and the embedded store.
 *
 * It decides synchronously, so one operation is atomic by construction. Here is step 1 (may this node vote at all);
 * the votes are in memory-vote.ts, what they share in memory-record.ts, admission in memory-admin.ts.
 */
import { fenceAgeMicros } from '../domain/limits.ts';
import { maxToken } from '../domain/token.ts';
import { unreachable } from '../std/assert.ts';
import type { Clock } from '../std/clock.ts';
import { systemRandom } from '../std/random.ts';
import type { AdminAnswer, AdminOp, NodeFacts } from './admin.ts';
import { administer } from './memory-admin.ts';
import { allRules, type Rules, settle, type Turn, viewOf } from './memory-record.ts';
import { nextPage, Store } from './memory-store.ts';
import { force, hold, release, renew, repair } from './memory-vote.ts';
import {
  type Answer,
  type ListOp,
  type LockNode,
  type LookOp,
  type NodeOp,
  SCHEMA,
  type Silent,
  type SilentWhy,
  type Stamp,
  type SweepOp,
} from './node.ts';

export interface MemoryNodeOptions {
  readonly id: string;
  readonly clock: Clock;
  readonly runId?: string;
  /** TEST HOOK, see Rules. */
  readonly rules?: Partial<Rules>;
}

/** As Redis forms them: 40 hexadecimal digits that no other run has. */
function newRunId(): string {
  return systemRandom.bytes(20).toString('hex');
}

export class MemoryNode implements LockNode {
  readonly id: string;
  readonly #clock: Clock;
  readonly #rules: Rules;
  #runId: string;
  #store = new Store();
  #stamp: Stamp | undefined;

  constructor(options: MemoryNodeOptions) {
    this.id = options.id;
    this.#clock = options.clock;
    this.#runId = options.runId ?? newRunId();
    this.#rules = { ...allRules, ...options.rules };
  }

  /** The embedded store: a node that is admitted to itself at once, for there is no earlier run to have forgotten. */
  static embedded(clock: Clock, longestTtlMs: number): MemoryNode {
    const node = new MemoryNode({ id: 'embedded', clock });
    const stamp: Stamp = { runId: node.#runId, nodeId: node.id, cluster: 'embedded', longestTtlMs };
    node.#store.meta = { ...stamp, schema: SCHEMA, durable: false };
    node.admit(stamp);
    return node;
  }

  get stamp(): Stamp | undefined {
    return this.#stamp;
  }

  admit(stamp: Stamp | undefined): void {
    this.#stamp = stamp;
  }

  /** Another run of the process; what it remembers is kept or lost, and the stamp is of the run before. */
  restart(memory: 'kept' | 'lost', runId: string = newRunId()): void {
    this.#runId = runId;
    if (memory === 'lost') this.#store = new Store();
  }

  async facts(): Promise<NodeFacts> {
    return {
      runId: this.#runId,
      role: 'master',
      clusterEnabled: false,
      maxmemoryPolicy: 'noeviction',
      durable: false,
      version: 'memory',
    };
  }

  async admin(op: AdminOp): Promise<AdminAnswer> {
    return administer(this.#store, op, this.#clock.wallMicros());
  }

  async ask(op: NodeOp): Promise<Answer> {
    try {
      return this.decide(op);
    } catch (error) {
      return silent('error', error instanceof Error ? error.message : String(error));
    }
  }

  decide(op: NodeOp): Answer {
    const stamp = this.#stamp;
    if (stamp === undefined) return silent('unreachable', 'not admitted');
    const turn: Turn = {
      store: this.#store,
      nowMicros: this.#clock.wallMicros(),
      longestTtlMs: stamp.longestTtlMs,
      rules: this.#rules,
    };
    const reason = configFault(turn, stamp) ?? this.#amnesia(turn, stamp) ?? suspicion(turn);
    if (reason === undefined) return answer(turn, op);
    if (reason.why === 'config') return reason;
    if (reason.why === 'suspect') return letsGo(op) || isRead(op) ? answer(turn, op) : reason;
    if (!letsGo(op)) return reason;
    const given = answer(turn, op);
    return hasMatched(given) ? given : reason;
  }

  /** Step 1: a run that nobody admitted may have forgotten anything; a stamp of an earlier run admits nobody. */
  #amnesia({ store }: Turn, stamp: Stamp): Silent | undefined {
    if (store.meta === undefined) return silent('amnesia', 'no meta');
    const admitted = store.meta.runId === stamp.runId && stamp.runId === this.#runId;
    return admitted ? undefined : silent('amnesia', 'another run');
  }
}

function silent(why: SilentWhy, detail: string): Silent {
  return { kind: 'silent', why, detail };
}

/** Step 1: the node belongs to somebody else, or to another arrangement of ours. */
function configFault({ store: { meta } }: Turn, stamp: Stamp): Silent | undefined {
  if (meta === undefined) return undefined;
  if (meta.schema !== SCHEMA) return silent('config', `schema ${meta.schema}, expected ${SCHEMA}`);
  for (const field of ['cluster', 'nodeId', 'longestTtlMs'] as const) {
    if (meta[field] !== stamp[field]) {
      return silent('config', `${field} ${meta[field]}, expected ${stamp[field]}`);
    }
  }
  return undefined;
}

/**
 * Step 1: nobody trusts this node's clock for now. A suspicion further away than one longest ttl is cut to that,
 * for a clock that stepped back would otherwise keep it for as long as the step was.
 */
function suspicion({ store, nowMicros, longestTtlMs }: Turn): Silent | undefined {
  store.suspectUntil = Math.min(store.suspectUntil, nowMicros + longestTtlMs * 1000);
  return store.suspectUntil > nowMicros ? silent('suspect', 'its clock jumped') : undefined;
}

/** Step 1: `look`, `list` and `sweep` are not stopped by suspicion (amnesia and config stop them). */
function isRead(op: NodeOp): boolean {
  return op.kind === 'look' || op.kind === 'list' || op.kind === 'sweep';
}

/** Step 1: `release` and `force` are stopped neither by suspicion nor by amnesia, for letting go is always safe. */
function letsGo(op: NodeOp): boolean {
  return op.kind === 'release' || op.kind === 'force';
}

/** Step 1: what a forgetful node does not hold proves nothing. */
function hasMatched(given: Answer): boolean {
  return (given.kind === 'released' && given.matched) || (given.kind === 'forced' && given.holder !== null);
}

function answer(turn: Turn, op: NodeOp): Answer {
  switch (op.kind) {
    case 'hold':
      return hold(turn, op);
    case 'renew':
      return renew(turn, op);
    case 'repair':
      return repair(turn, op);
    case 'release':
      return release(turn, op);
    case 'force':
      return force(turn, op);
    case 'look':
      return look(turn, op);
    case 'list':
      return list(turn, op);
    case 'sweep':
      return sweep(turn, op);
    case 'ping':
      return { kind: 'pong', nowMicros: turn.nowMicros };
    default:
      return unreachable(op);
  }
}

function look(turn: Turn, op: LookOp): Answer {
  const record = turn.store.record(op.resource);
  return { kind: 'seen', view: record === undefined ? null : viewOf(turn, record, op.history) };
}

function list(turn: Turn, op: ListOp): Answer {
  const { names, more } = turn.store.page(op.after, op.limit, op.prefix);
  return { kind: 'listed', views: names.map((name) => viewOf(turn, turn.store.record(name)!, 0)), more };
}

function sweep(turn: Turn, op: SweepOp): Answer {
  const { store } = turn;
  const { names } = store.page(op.after, op.limit);
  let expired = 0;
  let dropped = 0;
  for (const name of names) {
    if (settle(turn, name)) expired += 1;
    const record = store.record(name)!;
    if (record.holder !== undefined) continue;
    if (record.fence.token + BigInt(fenceAgeMicros) >= BigInt(turn.nowMicros)) continue;
    // Fence and floor change together: at no moment may a token below the dropped fence be admitted.
    store.floor = maxToken(store.floor, record.fence.token);
    store.drop(name);
    dropped += 1;
  }
  store.dropPastMarkers(turn.nowMicros);
  return { kind: 'swept', next: nextPage(names, op.limit), expired, dropped };
}
