/** A replica: cluster, quorum and locks of src, wired as src/app.ts wires them, in a simulated process. */
import type { CallTraces, Probe } from '../../../src/domain/probe.ts';
import { silentProbe } from '../../../src/domain/probe.ts';
import { makeLocks } from '../../../src/locks/desk.ts';
import { Cluster } from '../../../src/quorum/cluster.ts';
import { makeQuorum } from '../../../src/quorum/quorum.ts';
import type { Plan } from '../plan.ts';
import { Chance } from './chance.ts';
import type { MachineClock } from './clocks.ts';
import { Door } from './door.ts';
import { Member } from './member.ts';
import { type Mended, Mender } from './mender.ts';
import type { Network } from './network.ts';
import type { NodeProcess } from './node-process.ts';
import { Process } from './process.ts';
import type { Timeline } from './timeline.ts';

export const NAMESPACE = 'sim';
/** Production has 5 s, 5 s and 6 s of liveness: what is scaled down is scaled down together. */
export const PRIORITY_STEP_MS = 1500;
const YIELD_AFTER_MS = 1000;
const CLOCK_SKEW_MS = 500;
/** A replica that comes back has been left with its bootstrap set this often. */
const BOOTSTRAP_LEFT = 0.1;
const TRACED_SHARE = 0.2;

export interface ReplicaOptions {
  readonly plan: Plan;
  readonly index: number;
  readonly timeline: Timeline;
  readonly network: Network;
  readonly nodes: readonly NodeProcess[];
  readonly clock: MachineClock;
  readonly mended: Mended[];
}

export class Replica {
  readonly clock: MachineClock;
  readonly #options: ReplicaOptions;
  readonly #chance: Chance;
  #starts = 0;
  #process: Process | undefined;
  #cluster: Cluster | undefined;
  #members: Member[] = [];
  #door: Door | undefined;
  #paused = false;
  #barred = false;
  #longestTtlMs: number;

  constructor(options: ReplicaOptions) {
    this.clock = options.clock;
    this.#longestTtlMs = options.plan.longestTtlMs;
    this.#options = options;
    this.#chance = new Chance(options.plan.seed, `replica ${options.index}`);
  }

  /** Takes calls; undefined while it does not listen. */
  get door(): Door | undefined {
    return this.#door;
  }

  get up(): boolean {
    return this.#process !== undefined;
  }

  get ready(): boolean {
    return this.#cluster?.ready() ?? false;
  }

  get longestTtlMs(): number {
    return this.#longestTtlMs;
  }

  /** Ends it, and nobody starts it. */
  bar(): void {
    this.#barred = true;
    this.kill();
  }

  /** Starts it with this setting. */
  admit(longestTtlMs: number): void {
    this.#barred = false;
    this.#longestTtlMs = longestTtlMs;
    this.start();
  }

  start(): void {
    if (this.#barred || this.up) return;
    const { timeline, plan, index } = this.#options;
    const process = new Process(timeline, this.clock);
    if (this.#paused) process.pause();
    this.#process = process;
    this.#starts += 1;
    const name = `replica-${index}-${this.#starts}`;
    const bootstrap = this.#starts === 1 || this.#chance.happens(BOOTSTRAP_LEFT);
    const probe = this.#probe();
    this.#members = [];
    const random = new Chance(plan.seed, name);
    const cluster = new Cluster({
      replica: name,
      nodes: this.#options.nodes.map(({ id }) => ({ id, url: `redis://${id}` })),
      namespace: NAMESPACE,
      longestTtlMs: this.#longestTtlMs,
      nodeTimeoutMs: plan.nodeTimeoutMs,
      clockSkewMs: CLOCK_SKEW_MS,
      bootstrap,
      clock: process,
      random,
      probe,
      connect: ({ id }) => this.#member(id, name, process),
    });
    this.#cluster = cluster;
    const open = (): void => this.#open(cluster, process, random, probe);
    cluster.start().then(open, (cause: unknown) => timeline.fail(cause));
  }

  kill(): void {
    const process = this.#process;
    if (process === undefined) return;
    process.kill();
    for (const node of this.#options.nodes) {
      for (const wire of [...node.wires]) if (wire.process === process) wire.close();
    }
    const door = this.#door;
    this.#process = undefined;
    this.#door = undefined;
    for (const { talk } of door?.calls ?? []) talk.down(() => talk.breaks(), true);
  }

  /** Calls `over` when its process has ended. */
  drain(over: () => void): void {
    const process = this.#process;
    const cluster = this.#cluster;
    const door = this.#door;
    const end = (): void => {
      if (this.#process !== process) return;
      cluster?.stop();
      this.kill();
      over();
    };
    if (door === undefined) end();
    else door.drain().then(end, (cause: unknown) => this.#options.timeline.fail(cause));
  }

  pause(): void {
    this.#paused = true;
    this.#process?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#process?.resume();
  }

  /** Something in between breaks its connections to this node. */
  reset(node: number): void {
    this.#members[node]?.reset();
  }

  #open(cluster: Cluster, process: Process, random: Chance, probe: Probe): void {
    const { plan, timeline } = this.#options;
    const quorum = makeQuorum({
      nodes: cluster.nodes,
      clock: process,
      probe,
      longestTtlMs: this.#longestTtlMs,
      retryAfterMs: plan.nodeTimeoutMs * 2,
      mayPropose: () => cluster.mayPropose(),
      replica: cluster.replica,
    });
    const waiting = {
      livenessMs: plan.livenessMs,
      priorityStepMs: PRIORITY_STEP_MS,
      maxWaiters: 10_000,
      maxWaitersPerResource: 1000,
    };
    const locks = makeLocks({ quorum, random, probe, waiting, yieldAfterMs: YIELD_AFTER_MS });
    this.#door = new Door(process, locks, (cause) => timeline.fail(cause));
    const { mends } = plan;
    if (mends === undefined) return;
    const { index: replica, mended } = this.#options;
    const chance = new Chance(plan.seed, `mender ${cluster.replica}`);
    new Mender({ quorum, process, chance, timeline, mends, replica, mended }).start();
  }

  #member(id: string, replica: string, process: Process): Member {
    const { timeline, network, nodes, plan, index } = this.#options;
    const at = nodes.findIndex((node) => node.id === id);
    const member = new Member({
      timeline,
      network,
      process,
      chance: this.#chance,
      link: { replica: index, node: at },
      node: nodes[at]!,
      timeoutMs: plan.nodeTimeoutMs,
      replica,
      onDefect: (cause) => timeline.fail(cause),
    });
    this.#members[at] = member;
    return member;
  }

  /** A defect that src notices by itself is one all the same. */
  #probe(): Probe {
    const { timeline, plan, index } = this.#options;
    return {
      ...silentProbe,
      ...(plan.mends === undefined ? {} : { traces: tracesOf(new Chance(plan.seed, `traces ${index}`)) }),
      notice(_level, message, facts) {
        if (message.includes('defect')) timeline.fail(new Error(`${message}: ${JSON.stringify(facts)}`));
      },
    };
  }
}

/** A share of the calls is sampled; nobody reads their spans. */
function tracesOf(chance: Chance): CallTraces {
  return {
    current: () =>
      chance.happens(TRACED_SHARE)
        ? `00-${chance.bytes(16).toString('hex')}-${'1'.repeat(16)}-01`
        : undefined,
    waitedFor: () => {},
    release: (_grant, act) => act(),
  };
}
