/**
 * A lock node in memory: the executable specification of the contract in node.ts, and the embedded store.
 *
 * It decides synchronously, so one operation is atomic by construction. Here is step 1 (may this node vote at all);
 * the votes are in memory-vote.ts, what mends in memory-mend.ts, the waiting line in memory-line.ts, the reads in
 * memory-views.ts, what they share in memory-record.ts, what is told in memory-news.ts, admission in memory-admin.ts.
 */

import { unreachable } from '../std/assert.ts';
import type { Clock } from '../std/clock.ts';
import { systemRandom } from '../std/random.ts';
import type { AdminAnswer, AdminOp, NodeFacts } from './admin.ts';
import type { Ears, TellOp, WatchOp } from './line.ts';
import { administer } from './memory-admin.ts';
import { join, leave, settle, waits, wakesOf } from './memory-line.ts';
import { bar, reveal } from './memory-mend.ts';
import { Announcer, watchedUntil } from './memory-news.ts';
import { allRules, announce, type Rules, type Turn } from './memory-record.ts';
import { Store } from './memory-store.ts';
import { list, look, sweep } from './memory-views.ts';
import { force, hold, release, renew, repair } from './memory-vote.ts';
import {
  type Answer,
  type LockNode,
  type NodeOp,
  SCHEMA,
  type Silent,
  type SilentWhy,
  type Stamp,
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
  readonly #announcer = new Announcer();
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
    this.#announcer.missed();
  }

  /** Each of several replicas may listen. */
  hear(ears: Ears): void {
    this.#announcer.hear(ears);
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

  nowMicros(): number {
    return this.#clock.wallMicros();
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
    const turn = this.#turn(stamp);
    const given = this.#vote(turn, stamp, op);
    this.#announcer.tell({ wakes: wakesOf(turn), news: turn.news, forced: turn.forced });
    return given;
  }

  #turn({ longestTtlMs }: Stamp): Turn {
    const store = this.#store;
    const nowMicros = this.#clock.wallMicros();
    store.watchUntilMicros = watchedUntil(store.watchUntilMicros, nowMicros);
    const watched = store.watchUntilMicros > nowMicros;
    const told = { news: [], forced: [], loosened: new Set<string>() };
    return { store, nowMicros, longestTtlMs, rules: this.#rules, watched, ...told };
  }

  #vote(turn: Turn, stamp: Stamp, op: NodeOp): Answer {
    const reason = configFault(turn, stamp) ?? this.#amnesia(turn, stamp) ?? suspicion(turn);
    if (reason === undefined) return answer(turn, op);
    if (reason.why === 'config') return reason;
    if (reason.why === 'suspect') return letsGo(op) || isReadOrTidy(op) ? answer(turn, op) : reason;
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

const readsAndTidies: ReadonlySet<NodeOp['kind']> = new Set([
  'look',
  'list',
  'waits',
  'sweep',
  'settle',
  'leave',
  'watch',
  'tell',
]);

/** Step 1: what reads or tidies is not stopped by suspicion (amnesia and config stop it). */
function isReadOrTidy(op: NodeOp): boolean {
  return readsAndTidies.has(op.kind);
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
    case 'reveal':
      return reveal(turn, op);
    case 'bar':
      return bar(turn, op);
    case 'ping':
      return { kind: 'pong', nowMicros: turn.nowMicros };
    case 'join':
      return join(turn, op);
    case 'leave':
      return leave(turn, op);
    case 'waits':
      return waits(turn, op);
    case 'settle':
      return settle(turn, op);
    case 'watch':
      return watch(turn, op);
    case 'tell':
      return tell(turn, op);
    default:
      return unreachable(op);
  }
}

function watch({ store, nowMicros }: Turn, op: WatchOp): Answer {
  store.watchUntilMicros = Math.max(store.watchUntilMicros, nowMicros + op.forMs * 1000);
  return { kind: 'watching' };
}

function tell(turn: Turn, { resources, token, leaseRef, owner, reason }: TellOp): Answer {
  for (const resource of resources) {
    const lost = { type: 'lost', timeMicros: turn.nowMicros, remainingMs: 0 } as const;
    announce(turn, { ...lost, resource, token, leaseRef, owner, reason });
  }
  return { kind: 'told' };
}
