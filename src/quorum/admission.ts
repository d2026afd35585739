/** Admission of one node: probes it, keeps it from voting while it may have forgotten, and lets it back in. */
import type { Probe } from '../domain/probe.ts';
import { type AdminAnswer, detailOf, type NewMeta, type NodeFacts } from '../nodes/admin.ts';
import type { MemberNode } from '../nodes/member.ts';
import { SCHEMA } from '../nodes/node.ts';
import {
  decide,
  factsFault,
  type Identity,
  newQuarantineId,
  type Sight,
  type Step,
} from '../nodes/quarantine.ts';
import type { Clock } from '../std/clock.ts';
import type { Random } from '../std/random.ts';
import type { NodeState, NodeStatus } from './status.ts';
import { takeOver } from './takeover.ts';

/** How often INFO is read again: an operator may make a node a replica or let it evict while it runs. */
const FACTS_EVERY_MS = 5000;

export interface AdmissionOptions {
  readonly node: MemberNode;
  readonly identity: Identity;
  readonly clock: Clock;
  readonly random: Random;
  readonly probe: Probe;
  readonly clockSkewMs: number;
  readonly peersNeeded: number;
  /** Other nodes that are ready, with their run ids. */
  readonly readyPeers: () => readonly { readonly node: MemberNode; readonly runId: string }[];
  /** Another listed node that is the same process. */
  readonly twin: (runId: string) => string | undefined;
  readonly quarantineOff?: boolean;
}

export class Admission {
  readonly node: MemberNode;
  readonly #options: AdmissionOptions;
  #state: NodeState = 'silent';
  #detail = 'not connected yet';
  #facts: NodeFacts | undefined;
  #factsAtMs = Number.NEGATIVE_INFINITY;
  /** The quarantine this replica saw first at `sinceMs`. */
  #seen: { readonly id: string; readonly sinceMs: number } | undefined;
  #leftMs = 0;
  #floor = '';
  #looking: Promise<void> | undefined;
  /** Not before the first round: a look may put a quarantine, and a bootstrap must come first. */
  #watching = false;
  #left = false;

  constructor(options: AdmissionOptions) {
    this.#options = options;
    this.node = options.node;
    options.node.onReady = (facts) => {
      this.#facts = facts;
      this.#factsAtMs = options.clock.monotonicMs();
      if (this.#watching) void this.look();
    };
    options.node.onLost = (detail) => {
      this.#facts = undefined;
      this.#become('silent', detail);
    };
    options.node.onClockJump = (ms) => void this.#suspect(ms);
  }

  get ready(): boolean {
    return this.#state === 'ready';
  }

  get runId(): string | undefined {
    return this.#facts?.runId;
  }

  status(): NodeStatus {
    return {
      node: this.node.id,
      state: this.#state,
      detail: this.#detail,
      voteLatencyMs: this.node.latencyMs,
      quarantineLeftMs: this.#state === 'quarantined' ? this.#leftMs : 0,
      clockOffsetMs: this.node.clockOffsetMs,
      floor: this.#floor,
    };
  }

  /** From now on a node that comes back is looked at when it comes, not at the next round. */
  watch(): void {
    this.#watching = true;
  }

  /** What it sees from now on is its own end, and no news of the node. */
  leave(): void {
    this.#left = true;
    this.node.close();
  }

  /** One look: a ping while all is well, the whole examination when it is not. Looks never overlap. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #look(): Promise<void> {
    if (this.#facts === undefined) return;
    const { clock } = this.#options;
    const due = clock.monotonicMs() - this.#factsAtMs > FACTS_EVERY_MS;
    if (due) await this.#refreshFacts();
    if ((this.#state === 'ready' || this.#state === 'suspect') && (await this.#ping())) return;
    await this.#examine();
  }

  /** Whether the answer tells the state of an admitted node; if not, it has to be examined. */
  async #ping(): Promise<boolean> {
    const answer = await this.node.ask({ kind: 'ping' });
    if (answer.kind === 'pong') this.#become('ready', '');
    else if (answer.kind !== 'silent' || answer.why === 'amnesia' || answer.why === 'config') return false;
    else if (answer.why === 'suspect') this.#become('suspect', answer.detail);
    else this.#become('silent', `${answer.why}: ${answer.detail}`);
    return true;
  }

  async #refreshFacts(): Promise<void> {
    const facts = await this.node.facts();
    const known = this.#facts;
    if (facts === undefined || known === undefined || facts.runId !== known.runId) return;
    this.#facts = facts;
    this.#factsAtMs = this.#options.clock.monotonicMs();
    const fault = factsFault(facts);
    if (fault !== undefined) this.#refuse(fault);
    if (facts.durable !== known.durable) await this.#noteDurable(facts);
  }

  async #noteDurable({ runId, durable }: NodeFacts): Promise<void> {
    await this.node.admin({ kind: 'durable', runId, durable });
  }

  async #examine(): Promise<void> {
    const facts = this.#facts;
    if (facts === undefined) return;
    const twin = this.#options.twin(facts.runId);
    if (twin !== undefined) return this.#refuse(`is the same server as ${twin}: one server has one vote`);
    const read = await this.node.admin({ kind: 'read' });
    if (read.kind !== 'state') return this.#become('silent', detailOf(read));
    const step = decide(this.#options.identity, this.#sightOf(facts, read));
    await this.#take(step, facts, read);
  }

  #sightOf(facts: NodeFacts, read: Extract<AdminAnswer, { kind: 'state' }>): Sight {
    const { clock, readyPeers, peersNeeded, clockSkewMs } = this.#options;
    const nowMs = clock.monotonicMs();
    const standing = read.quarantine?.runId === facts.runId ? read.quarantine : undefined;
    if (standing !== undefined && this.#seen?.id !== standing.id)
      this.#seen = { id: standing.id, sinceMs: nowMs };
    return {
      facts,
      ...(read.meta === undefined ? {} : { meta: read.meta }),
      ...(standing === undefined ? {} : { quarantine: standing }),
      quarantinedForMs: this.#seen === undefined ? 0 : nowMs - this.#seen.sinceMs,
      readyPeers: readyPeers().length,
      peersNeeded,
      clockSkewMs,
    };
  }

  async #take(step: Step, facts: NodeFacts, read: Extract<AdminAnswer, { kind: 'state' }>): Promise<void> {
    const { identity, random, probe, quarantineOff } = this.#options;
    switch (step.kind) {
      case 'refuse':
        return this.#refuse(step.detail);
      case 'ready': {
        const floor = read.meta?.floor ?? 0n;
        if (this.#floor !== 'clocks') this.#floor = floor === 0n ? '' : String(floor);
        // It may have changed while this replica had no connection, so that no reading before shows it.
        if (read.meta?.durable !== facts.durable) await this.#noteDurable(facts);
        this.node.admit({ runId: facts.runId, ...identity });
        // Its meta is in order; whether it votes, and by which clock, only a vote tells: it may be suspect.
        await this.#ping();
        return;
      }
      case 'inherit': {
        const { runId, durable } = facts;
        const { previousRunId } = step;
        const moved = await this.node.admin({ kind: 'inherit', previousRunId, runId, durable });
        // Not looked at again at once: a node that cannot write (its memory may be full) would be asked without end.
        if (moved.kind !== 'done') return this.#become('silent', detailOf(moved));
        probe.notice('info', 'a durable node restarted and kept its vote', { node: this.node.id });
        return this.#examine();
      }
      case 'quarantine': {
        const id = newQuarantineId(random);
        const { cluster, longestTtlMs } = identity;
        const { why } = step;
        const { runId } = facts;
        const put = await this.node.admin({ kind: 'quarantine', runId, id, cluster, why, longestTtlMs });
        if (put.kind !== 'state') return this.#become('silent', detailOf(put));
        probe.notice('warn', 'a node may have lost its memory: it does not vote for now', {
          node: this.node.id,
          why,
        });
        this.#wait(0, why);
        return this.#examine();
      }
      case 'wait':
        if (quarantineOff === true) return this.#rejoin(facts, 'clocks');
        return this.#wait(step.leftMs, step.detail);
      case 'rejoin':
        return this.#rejoin(facts, step.floor);
    }
  }

  /** In quarantine the node is stamped, so that releases and reads reach it; its own meta keeps it from voting. */
  #wait(leftMs: number, detail: string): void {
    this.node.admit({ runId: this.#facts?.runId ?? '', ...this.#options.identity });
    this.#leftMs = leftMs;
    this.#become('quarantined', detail);
  }

  async #rejoin(facts: NodeFacts, floor: 'fences' | 'clocks' | 'adopted'): Promise<void> {
    const { identity, readyPeers, peersNeeded, probe, quarantineOff } = this.#options;
    const quarantineId = this.#seen?.id ?? '';
    if (floor !== 'adopted' && quarantineOff !== true) {
      const taken = await takeOver(this.node, facts.runId, quarantineId, readyPeers());
      if (floor === 'fences' && taken < peersNeeded) {
        return this.#wait(0, `fences taken over from ${taken} of ${peersNeeded} peers`);
      }
    }
    const meta: NewMeta = { schema: SCHEMA, runId: facts.runId, durable: facts.durable, ...identity };
    const created = await this.node.admin({ kind: 'create', quarantineId, meta });
    if (created.kind === 'done') {
      this.#floor = floor === 'clocks' ? 'clocks' : '';
      probe.notice('warn', 'a node votes again after its quarantine', { node: this.node.id, floor });
    }
    // Lost: another replica was first, or the node restarted; the next look tells which.
    if (created.kind === 'done') await this.#examine();
  }

  async #suspect(ms: number): Promise<void> {
    const runId = this.#facts?.runId;
    if (runId === undefined) return;
    this.#options.probe.notice('error', "a node's clock jumped: it does not vote for one longest ttl", {
      node: this.node.id,
      jumpedMs: Math.round(ms),
    });
    await this.node.admin({ kind: 'suspect', runId });
    await this.look();
  }

  #refuse(detail: string): void {
    this.node.admit(undefined, detail);
    this.#become('refused', detail);
  }

  #become(state: NodeState, detail: string): void {
    if (this.#state === state && this.#detail === detail) return;
    const changed = this.#state !== state;
    this.#state = state;
    this.#detail = detail;
    if (changed && !this.#left) this.#options.probe.nodeState(this.node.id, state, detail);
  }
}
