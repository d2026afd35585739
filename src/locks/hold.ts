/**
 * One lease that a stream keeps, from its grant to the end of the stream or of the lease.
 *
 *              keep
 *               │        due, or to be checked
 *               ▼       ─────────────────────▶
 *            RESTING                            RENEWING
 *               │       ◀─────────────────────      │
 *               │        extended, or in doubt      │
 *               ├───────────────────────────────────┤ closed with a grace
 *               │                                   ▼
 *               │ closed, silent, drained,      LINGERING
 *               ▼ released, lost                    │ its grace is over
 *              OVER ◀───────────────────────────────┘
 *
 * RESTING    the next renewal is on the rota, well before a third of the ttl has gone.
 * RENEWING   a renewal is out. What ends the hold meanwhile ends it at once: the renewal's answer is then no news, and
 *            a release that leaves behind it arrives behind it.
 * LINGERING  the client has closed its stream and may come back: nobody renews, the nodes keep it for the grace.
 * OVER       final. Nothing is told after it.
 *
 * A renewal that reaches no majority leaves it in doubt: it is tried again until the promise that was made last is
 * over, and then the lease is lost. What its stream was told can only be shorter than what the nodes keep, so nobody
 * else has it before.
 */
import { formatLeaseId, type Lease, type LeaseName, splitValue } from '../domain/lease.ts';
import { type LostWhy, type Refusal, refuse } from '../domain/refusals.ts';
import type { Quorum } from '../quorum/quorum.ts';
import { assert } from '../std/assert.ts';
import type { Timer } from '../std/clock.ts';
import type { Random } from '../std/random.ts';
import { askerFor } from './asker.ts';
import { type Extension, heartbeat, type Renewal } from './heartbeat.ts';
import type { Kept, KeptNews, Loss, ReleaseAsk, StreamEnd } from './locks.ts';
import type { Pace } from './pace.ts';
import type { Released } from './release.ts';
import type { Due, Rota, Slot } from './rota.ts';

/** What all holds of a replica share. */
export interface Keeping {
  readonly quorum: Quorum;
  readonly random: Random;
  readonly rota: Rota;
  readonly pace: Pace;
  readonly yieldAfterMs: number;
  onDefect(cause: unknown): void;
  /** Of a lease that it has; `binding` as in release.ts. */
  release(ask: ReleaseAsk, owner: string, binding: number): Promise<Released | Refusal>;
  onLost(name: LeaseName, owner: string, why: LostWhy): void;
  onOver(hold: Hold): void;
}

/** A lease as it is taken into keeping. */
export interface Taken {
  readonly lease: Lease;
  readonly value: string;
  readonly promisedMs: number;
}

export type HoldState = 'resting' | 'renewing' | 'lingering' | 'over';

const FOLLOWS: Readonly<Record<HoldState, readonly HoldState[]>> = {
  resting: ['renewing', 'lingering', 'over'],
  renewing: ['resting', 'lingering', 'over'],
  lingering: ['over'],
  over: [],
};

/** A renewal comes after a quarter to a third of the ttl: leases that were granted together drift apart. */
const EARLIEST = 1 / 4;
const SPREAD = 1 / 12 - 1 / 100;
/** In doubt it is tried again so often within a ttl, and four times a second at least. */
const TRIES = 20;
const TRY_MS_MAX = 250;
const SOON_MS = 10;
const DEFECT = refuse('INTERNAL', 'a defect of the service');
const TAKEN_OVER = 'another stream, or a repeat of its request, has taken the lease over';
const CLOSED = 'the stream was closed';

export class Hold implements Kept, Due {
  readonly value: string;
  readonly leaseRef: string;
  slot: Slot | undefined;
  readonly #keeping: Keeping;
  readonly #binding: number;
  readonly #news: KeptNews;
  /** Of the lease only what no renewal's answer tells, or its end is told with: there may be many thousands. */
  readonly owner: string;
  readonly #resources: readonly string[];
  readonly #ttlMs: number;
  readonly #acquireTimeMs: number;
  readonly #replayed: boolean;
  /**
   * What lies between the expiry times that its stream is told and our monotonic clock. Taken as if what was promised
   * first had been promised only now: so the first time is early by the length of a vote, and never late, though the
   * wall clock may have stepped meanwhile.
   */
  readonly #epochMs: number;
  /** When the last promise ends, by our monotonic clock. */
  #untilMs: number;
  #state: HoldState = 'resting';
  #checkAgain = false;
  /** Owners who have asked it to yield. */
  #askers: Set<string> | undefined;
  #grace: Timer | undefined;

  /** `promisedMs`: how long the lease was good for when it was asked for. */
  constructor(keeping: Keeping, { lease, value, promisedMs }: Taken, binding: number, news: KeptNews) {
    const { clock } = keeping.quorum;
    this.#keeping = keeping;
    this.value = value;
    // Copies: a piece of a text keeps all of it, and what a request was read into has room for more names.
    this.leaseRef = Buffer.from(lease.leaseRef, 'latin1').toString('latin1');
    this.owner = lease.owner;
    this.#resources = [...lease.resources];
    this.#ttlMs = lease.ttlMs;
    this.#acquireTimeMs = lease.acquireTimeMs;
    this.#replayed = lease.replayed;
    this.#binding = binding;
    this.#news = news;
    const keptMs = clock.monotonicMs();
    this.#epochMs = lease.expireTimeMs - promisedMs - keptMs;
    this.#untilMs = keptMs + Math.min(promisedMs, lease.expireTimeMs - clock.wallMicros() / 1000);
    this.#rest();
  }

  get name(): LeaseName {
    const { value, leaseRef } = this;
    return { ...splitValue(value), ttlMs: this.#ttlMs, resources: this.#resources, value, leaseRef };
  }

  get #leftMs(): number {
    return this.#untilMs - this.#keeping.quorum.clock.monotonicMs();
  }

  /** Its stream stands, and hears of it. */
  get #tells(): boolean {
    return this.#state === 'resting' || this.#state === 'renewing';
  }

  onDue(): void {
    if (this.#state === 'resting') this.#begin();
  }

  /** One node says that it was ended: renews when the others will have heard it, too, which tells. */
  check(): void {
    if (this.#state === 'resting') this.#keeping.rota.put(this, SOON_MS);
    else if (this.#state === 'renewing') this.#checkAgain = true;
  }

  end(how: StreamEnd, graceMs: number): void {
    if (!this.#tells) return;
    if (how === 'closed' && graceMs > 0) this.#linger(graceMs);
    else {
      this.#become('over');
      if (how === 'closed') this.#release(CLOSED);
    }
  }

  /** Another has taken it over: a stream, or a repeat of its request. */
  supersede(): void {
    this.#lose('unknown', TAKEN_OVER, { takenOver: true });
  }

  /** It is being released by its id; the result tells the stream so. */
  letGo(): () => void {
    const told = this.#tells;
    if (this.#state !== 'over') this.#become('over');
    return () => {
      if (told) this.#tell('released', 'it was released by its lease_id');
    };
  }

  #begin(): void {
    this.#become('renewing');
    this.#keeping.pace.run(() => this.#renew());
  }

  async #renew(): Promise<void> {
    if (this.#state !== 'renewing') return;
    const { quorum } = this.#keeping;
    const startedMs = quorum.clock.monotonicMs();
    this.#checkAgain = false;
    const renewal = this.#renewal();
    const answer = await heartbeat(quorum, renewal, formatLeaseId(renewal.lease)).catch((cause: unknown) => {
      this.#keeping.onDefect(cause);
      return DEFECT;
    });
    if (this.#now() !== 'renewing') return;
    if (answer.kind === 'extension') this.#extend(answer, startedMs);
    else if (answer.kind === 'bound') this.supersede();
    else this.#doubt(answer);
  }

  #extend(extension: Extension, startedMs: number): void {
    this.#untilMs = startedMs + extension.promisedMs;
    const expireTimeMs = this.#epochMs + this.#untilMs;
    const asGranted = { acquireTimeMs: this.#acquireTimeMs, replayed: this.#replayed };
    this.#become('resting');
    if (this.#checkAgain) this.check();
    else this.#rest();
    this.#news.renewed({ ...extension.lease, ...asGranted, expireTimeMs });
    if (extension.waited) {
      this.#lookForAsker(extension).catch((cause: unknown) => this.#keeping.onDefect(cause));
    }
  }

  #doubt(refusal: Refusal): void {
    if (refusal.reason === 'LEASE_LOST') {
      this.#lose((refusal.metadata.why as LostWhy | undefined) ?? 'unknown', refusal.message);
    } else if (this.#leftMs <= 0) {
      this.#lose('expired', `it could not be renewed in time: ${refusal.message}`);
      // Some nodes may keep it for longer, and now nobody else will tell them.
      this.#release('it could not be renewed in time');
    } else {
      this.#become('resting');
      const againMs = Math.min(TRY_MS_MAX, this.#ttlMs / TRIES, Math.max(1, this.#leftMs));
      this.#keeping.rota.put(this, againMs);
    }
  }

  async #lookForAsker({ lease, priority }: Extension): Promise<void> {
    const { quorum, yieldAfterMs: afterMs } = this.#keeping;
    const asker = await askerFor(quorum, lease, { priority, afterMs, named: this.#askers });
    if (asker === undefined || !this.#tells || this.#askers?.has(asker.owner) === true) return;
    this.#askers ??= new Set();
    this.#askers.add(asker.owner);
    this.#news.yieldRequested(asker);
  }

  #renewal(): Renewal {
    return {
      lease: this.name,
      progress: '',
      binding: this.#binding,
      isOver: () => this.#state === 'over',
    };
  }

  #rest(): void {
    const { random, rota } = this.#keeping;
    rota.put(this, this.#ttlMs * (EARLIEST + SPREAD * random.fraction()));
  }

  #linger(graceMs: number): void {
    this.#become('lingering');
    const { quorum, pace } = this.#keeping;
    if (this.#leftMs < graceMs) {
      const ask = { ...this.#renewal(), ttlMs: graceMs };
      pace.run(() => heartbeat(quorum, ask, formatLeaseId(ask.lease)));
    }
    this.#grace = quorum.clock.after(graceMs, () => {
      this.#become('over');
      this.#release(CLOSED);
    });
  }

  #release(reason: string): void {
    const { pace, release } = this.#keeping;
    const { name: lease, owner } = this;
    pace.run(() => release({ lease, reason }, owner, this.#binding));
  }

  #lose(reason: LostWhy, detail: string, more: Pick<Loss, 'takenOver'> = {}): void {
    const told = this.#tells;
    if (this.#state !== 'over') this.#become('over');
    if (more.takenOver !== true) this.#keeping.onLost(this.name, this.owner, reason);
    if (told) this.#tell(reason, detail, more);
  }

  #tell(reason: LostWhy, detail: string, more: Pick<Loss, 'takenOver'> = {}): void {
    const { leaseRef, token } = this.name;
    this.#news.lost({ reason, leaseRef, token, detail, ...more });
  }

  /** Asked anew after a wait, in which anything may have ended it. */
  #now(): HoldState {
    return this.#state;
  }

  #become(next: HoldState): void {
    assert(FOLLOWS[this.#state].includes(next), `a hold goes from ${this.#state} to ${next}`);
    this.#state = next;
    if (next === 'resting') return;
    this.#keeping.rota.drop(this);
    if (next !== 'over') return;
    this.#grace?.cancel();
    this.#keeping.onOver(this);
  }
}
