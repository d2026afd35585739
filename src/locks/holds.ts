/** The leases that streams keep at this replica: taken, taken over from another stream, and found again by their value. */
import {
  formatLeaseId,
  type Lease,
  type LeaseName,
  leaseNameOf,
  leaseValueIn,
  sealOf,
} from '../domain/lease.ts';
import { limits } from '../domain/limits.ts';
import type { Probe } from '../domain/probe.ts';
import { noQuorum, type Refusal } from '../domain/refusals.ts';
import type { Quorum } from '../quorum/quorum.ts';
import { leftMs } from '../quorum/validity.ts';
import { pause } from '../std/clock.ts';
import type { Random } from '../std/random.ts';
import { callerGone } from './attempt.ts';
import { type Chronicle, UNHEARD } from './chronicle.ts';
import { heartbeat } from './heartbeat.ts';
import { Hold, type Keeping } from './hold.ts';
import type { Caller, Granted, KeptNews } from './locks.ts';
import { defectNotice, Pace } from './pace.ts';
import { giveBack } from './release.ts';
import { Rota } from './rota.ts';

/** Renewals and releases that are out at once: what a node takes beyond that would only wait there. */
const AT_ONCE = 1024;
const JITTER_MS = 16;
/** A binding has 32 bits: room for millions of resumes of one lease. */
const BINDING_GAP = 1024;

export interface HoldsOptions {
  readonly quorum: Quorum;
  readonly random: Random;
  readonly probe: Probe;
  readonly chronicle: Chronicle;
  readonly release: Keeping['release'];
  /** How long somebody of higher priority waits before the holder is asked to yield. */
  readonly yieldAfterMs: number;
}

interface ToKeep {
  readonly lease: Lease;
  /** Of whom it was granted to. */
  readonly seal: string;
  readonly promisedMs: number;
}

export class Holds {
  readonly #keeping: Keeping;
  readonly #random: Random;
  readonly #probe: Probe;
  readonly #chronicle: Chronicle;
  /** By lease value: the newest stream that keeps it. */
  readonly #held = new Map<string, Hold>();

  constructor({ quorum, random, probe, chronicle, release, yieldAfterMs }: HoldsOptions) {
    this.#random = random;
    this.#probe = probe;
    this.#chronicle = chronicle;
    const onDefect = defectNotice(probe, 'a kept lease met a defect');
    this.#keeping = {
      quorum,
      random,
      rota: new Rota(quorum.clock),
      pace: new Pace(AT_ONCE, onDefect),
      onDefect,
      yieldAfterMs,
      release,
      onLost: (name, owner, why) => chronicle.lost(name, owner, why),
      onOver: (hold) => this.#forget(hold),
    };
    quorum.wakeups.onForced = (leaseRef) => this.#forced(leaseRef);
  }

  get count(): number {
    return this.#held.size;
  }

  /** Resolves when what was asked of the nodes for streams is answered. */
  settled(): Promise<void> {
    return this.#keeping.pace.idle();
  }

  /** Keeps what an Acquire was granted; what nobody heard of is given back. */
  async take(lease: Lease, caller: Caller, news: KeptNews): Promise<Granted | Refusal> {
    const { seal = '' } = caller;
    if (!lease.replayed && !caller.gone()) {
      return this.#keep({ lease, seal, promisedMs: leftMs(lease.ttlMs, 0) }, 0, news);
    }
    const name = leaseNameOf(lease, seal);
    if (lease.replayed) return this.resume(name, news, true);
    if (await giveBack(this.#keeping.quorum, name)) this.#chronicle.released(name, lease.owner, UNHEARD);
    return callerGone;
  }

  /**
   * Raises the binding in the same vote that extends the lease. Each node gives a binding to one resumer only, so of
   * several at once one has a majority; the others try again with a higher one. By how much higher is left to chance: a
   * node that lost its copy has forgotten to whom it gave which.
   */
  async resume(name: LeaseName, news: KeptNews, replayed = false): Promise<Granted | Refusal> {
    const { quorum } = this.#keeping;
    const leaseId = formatLeaseId(name);
    let binding = this.#above(0);
    for (let tried = 0; tried < limits.attempts; tried += 1) {
      const answer = await heartbeat(quorum, { lease: name, progress: '', binding, binds: true }, leaseId);
      if (answer.kind === 'refusal') return answer;
      if (answer.kind === 'extension') {
        // Copied: a piece of a node's answer would keep all of it.
        const owner = Buffer.from(answer.lease.owner).toString();
        const lease = { ...answer.lease, owner, replayed };
        return this.#keep({ lease, seal: sealOf(name), promisedMs: answer.promisedMs }, binding, news);
      }
      binding = this.#above(answer.binding);
      // The first time it only learns which binding the lease has.
      if (tried > 0) await pause(quorum.clock, this.#random.fraction() * JITTER_MS * tried);
    }
    const detail = 'other streams take the lease over at the same time';
    return noQuorum(quorum.size, quorum.size, quorum.retryAfterMs, detail);
  }

  #above(binding: number): number {
    return binding + 1 + Math.floor(this.#random.fraction() * BINDING_GAP);
  }

  /** Whoever knows the lease releases it through this replica: from now on nobody renews it. `tell` tells its stream. */
  letGo(value: string): { readonly owner: string; tell(): void } | undefined {
    const hold = this.#held.get(value);
    return hold === undefined ? undefined : { owner: hold.owner, tell: hold.letGo() };
  }

  #keep({ lease, seal, promisedMs }: ToKeep, binding: number, news: KeptNews): Granted {
    const value = leaseValueIn(lease.leaseId, seal);
    this.#held.get(value)?.supersede();
    const hold = new Hold(this.#keeping, { lease, value, promisedMs }, binding, news);
    this.#held.set(value, hold);
    this.#probe.kept(this.#held.size);
    return { kind: 'granted', lease, kept: hold };
  }

  #forget(hold: Hold): void {
    if (this.#held.get(hold.value) === hold) this.#held.delete(hold.value);
    this.#probe.kept(this.#held.size);
  }

  /** Rare, so a walk through all of them is cheaper than a second map. */
  #forced(leaseRef: string): void {
    for (const hold of this.#held.values()) if (hold.leaseRef === leaseRef) hold.check();
  }
}
