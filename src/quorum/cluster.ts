/** The nodes of one cluster together: connects them, keeps looking after them, and says whether a majority is ready. */
import { hash } from 'node:crypto';
import type { Probe } from '../domain/probe.ts';
import type { MemberNode } from '../nodes/member.ts';
import type { LockNode } from '../nodes/node.ts';
import { RedisNode, type RedisNodeOptions } from '../nodes/redis-node.ts';
import type { Clock, Timer } from '../std/clock.ts';
import type { Random } from '../std/random.ts';
import { Admission } from './admission.ts';
import { majorityOf } from './ballot.ts';
import { bootstrap } from './bootstrap.ts';
import type { ClusterStatus } from './status.ts';
import type { Store } from './store.ts';

const LOOK_EVERY_MS = 500;
/** A replica that starts waits this long for nodes that are slow to answer, then serves with the others. */
const FIRST_CONTACT_MS = 1000;
const SWEEP_EVERY_MS = 2000;
const SWEEP_PAGE = 200;

export interface NodeAddress {
  readonly id: string;
  readonly url: string;
  readonly username?: string;
  readonly password?: string;
}

export interface ClusterOptions {
  readonly nodes: readonly NodeAddress[];
  readonly namespace: string;
  readonly longestTtlMs: number;
  readonly nodeTimeoutMs: number;
  readonly clockSkewMs: number;
  /** `done`: somebody has seen to it, and it is still set. */
  readonly bootstrap: boolean | 'done';
  readonly clock: Clock;
  readonly random: Random;
  readonly probe: Probe;
  /** As in QuorumOptions. */
  readonly replica?: string;
  /** Test hook: forgetful nodes vote at once, so that a test can show what the quarantine prevents. */
  readonly quarantineOff?: boolean;
  /** TEST HOOK: see RedisNodeOptions. */
  readonly scripts?: RedisNodeOptions['scripts'];
  /** How a node is reached; as a Redis server unless said. */
  readonly connect?: (options: RedisNodeOptions) => MemberNode;
}

/** Which node list this is, whatever its order: another list must not meddle with these nodes. */
export function fingerprint(nodes: readonly NodeAddress[], namespace: string): string {
  const ids = nodes.map(({ id }) => id).sort();
  return hash('sha256', JSON.stringify([namespace, ids]), 'hex').slice(0, 16);
}

export class Cluster implements Store {
  readonly nodes: readonly LockNode[];
  readonly replica: string;
  readonly #options: ClusterOptions;
  readonly #admissions: readonly Admission[];
  readonly #warnings = new Set<string>();
  readonly #swept: string[];
  #timers: Timer[] = [];
  #stopped = false;
  #proposing = false;

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.replica = options.replica ?? '';
    const cluster = fingerprint(options.nodes, options.namespace);
    const { namespace, nodeTimeoutMs, clock, probe, longestTtlMs } = options;
    const connect = options.connect ?? ((settings) => new RedisNode(settings));
    const nodes = options.nodes.map((address) =>
      connect({
        ...address,
        namespace,
        timeoutMs: nodeTimeoutMs,
        clock,
        probe,
        replica: this.replica,
        ...(options.scripts === undefined ? {} : { scripts: options.scripts }),
      }),
    );
    this.nodes = nodes;
    this.#swept = nodes.map(() => '');
    this.#admissions = nodes.map(
      (node, index) =>
        new Admission({
          node,
          identity: { nodeId: node.id, cluster, longestTtlMs },
          clock,
          random: options.random,
          probe,
          clockSkewMs: options.clockSkewMs,
          peersNeeded: nodes.length - majorityOf(nodes.length) + 1,
          readyPeers: () => this.#readyPeers(index),
          twin: (runId) => this.#twin(index, runId),
          ...(options.quarantineOff === undefined ? {} : { quarantineOff: options.quarantineOff }),
        }),
    );
  }

  /** Connects and looks once at every node that can be reached; goes on looking until `stop`. */
  async start(): Promise<void> {
    if (this.#options.bootstrap === true) await this.#bootstrap();
    await Promise.all(this.#admissions.map(({ node }) => node.ready(FIRST_CONTACT_MS)));
    await this.#round();
  }

  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers) timer.cancel();
    for (const admission of this.#admissions) admission.leave();
  }

  /** A majority answered its last probe. */
  ready(): boolean {
    const ready = this.#margin() >= 0;
    this.#proposing ||= ready;
    return ready;
  }

  /**
   * A majority was ready at least once: before that no vote is asked for. While a bootstrap has written only one meta,
   * that node could vote, lose its memory and be bootstrapped again (docs/decisions/0003-what-the-model-says.md, C6).
   */
  mayPropose(): boolean {
    return this.#proposing || this.ready();
  }

  status(): ClusterStatus {
    const leftSet = this.#options.bootstrap
      ? ['HOLDFAST_BOOTSTRAP is set: unset it; a cluster that lost all its nodes at once would not notice']
      : [];
    return {
      embedded: false,
      nodes: this.#admissions.map((admission) => admission.status()),
      quorumMargin: this.#margin(),
      warnings: [...leftSet, ...this.#warnings],
    };
  }

  #margin(): number {
    return this.#admissions.filter(({ ready }) => ready).length - majorityOf(this.nodes.length);
  }

  async #bootstrap(): Promise<void> {
    const { nodes, namespace, longestTtlMs, clock, random, probe } = this.#options;
    const report = await bootstrap({
      nodes: this.#admissions.map(({ node }) => node),
      cluster: fingerprint(nodes, namespace),
      longestTtlMs,
      clock,
      random,
    });
    probe.notice(report.ok ? 'info' : 'warn', `bootstrap: ${report.lines.join('; ')}`);
    if (!report.ok) this.#warnings.add(`bootstrap was asked for and not done: ${report.lines.join('; ')}`);
  }

  async #round(): Promise<void> {
    await Promise.all(this.#admissions.map((admission) => admission.look()));
    if (this.#stopped) return;
    const { clock, random } = this.#options;
    this.#timers = [
      clock.after(LOOK_EVERY_MS, () => void this.#lookAgain()),
      clock.after(SWEEP_EVERY_MS * (1 + random.fraction()), () => void this.#sweep()),
    ];
    for (const admission of this.#admissions) admission.watch();
  }

  async #lookAgain(): Promise<void> {
    await Promise.all(this.#admissions.map((admission) => admission.look()));
    if (!this.#stopped)
      this.#timers[0] = this.#options.clock.after(LOOK_EVERY_MS, () => void this.#lookAgain());
  }

  /** Forgets what has expired and drops old fences, a page of each node at a time. */
  async #sweep(): Promise<void> {
    await Promise.all(
      this.nodes.map(async (node, index) => {
        const answer = await node.ask({ kind: 'sweep', after: this.#swept[index]!, limit: SWEEP_PAGE });
        if (answer.kind === 'swept') this.#swept[index] = answer.next;
      }),
    );
    if (this.#stopped) return;
    const delayMs = SWEEP_EVERY_MS * (0.5 + this.#options.random.fraction());
    this.#timers[1] = this.#options.clock.after(delayMs, () => void this.#sweep());
  }

  #readyPeers(index: number): { node: MemberNode; runId: string }[] {
    return this.#admissions.flatMap((admission, at) =>
      at !== index && admission.ready && admission.runId !== undefined
        ? [{ node: admission.node, runId: admission.runId }]
        : [],
    );
  }

  #twin(index: number, runId: string): string | undefined {
    return this.#admissions.find((other, at) => at !== index && other.runId === runId)?.node.id;
  }
}
