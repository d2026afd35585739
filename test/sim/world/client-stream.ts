/** A client that keeps its lease on a stream: hears of renewals, goes elsewhere after a drain or a break, counts by itself. */
import { type Lease, type LeaseName, leaseNameOf } from '../../../src/domain/lease.ts';
import type { Refusal } from '../../../src/domain/refusals.ts';
import type { AcquireAsk, Busy, Loss } from '../../../src/locks/locks.ts';
import type { Timer } from '../../../src/std/clock.ts';
import { type Belief, goodForMs } from './belief.ts';
import { type Round, release } from './client-calls.ts';
import type { HoldTold } from './holding.ts';
import { type Broken, CALL_MS, type Life } from './life.ts';
import type { Talk } from './talk.ts';

export interface StreamRound extends Round {
  readonly graceMs: number;
}

const TRIES = 3;
/** Of the grace, what a client counts on after its stream broke. */
const OF_GRACE = 0.75;
/** Renewals that have added more ttls than this cost too much of the allowance: it counts anew. */
const ADDED_TTLS = 4;
const OF_RENEWED = 0.99;

export async function byStream(round: StreamRound): Promise<void> {
  const { life, ask, habits } = round;
  const keeper = await open(round);
  if (keeper === undefined) return;
  const { belief } = keeper;
  const untilMs = life.ownMs + life.chance.between(habits.holdMs);
  while (belief.valid && life.ownMs < untilMs && !round.stopping()) {
    const pauseMs = life.chance.between([0, Math.max(1, untilMs - life.ownMs)]);
    if (ask.mode === 'exclusive') await life.stage.registers.use(life, belief, pauseMs / 3);
    await life.sleep(Math.max(0, Math.min(pauseMs, untilMs - life.ownMs)));
  }
  await keeper.end();
  life.forget(belief);
}

/** A stream with a lease on it, and the count of that lease. */
class Keeper {
  readonly belief: Belief;
  readonly #round: StreamRound;
  readonly #name: LeaseName;
  #at: number;
  #stream: Stream;
  #moving = false;
  #over = false;

  constructor(round: StreamRound, stream: Stream, lease: Lease, at: number) {
    this.#round = round;
    this.#stream = stream;
    this.#at = at;
    this.#name = leaseNameOf(lease);
    this.belief = round.life.believe(lease);
  }

  /** Counts from before the stream was opened, where that is worth something; else takes the lease over anew. */
  async begin(): Promise<boolean> {
    const { ttlMs } = this.#round.ask;
    const lease = this.#stream.granted!;
    const leftMs = this.#stream.startedMs + goodForMs(ttlMs) - this.#round.life.ownMs;
    if (!lease.replayed && leftMs > 0.75 * goodForMs(ttlMs)) this.#follow(this.#stream);
    else await this.#move(this.#at, true);
    return this.belief.valid;
  }

  async end(): Promise<void> {
    const { life, habits } = this.#round;
    const { chance } = life;
    this.#over = true;
    const forgets = chance.happens(habits.forgets);
    this.belief.end('released');
    // Closing the stream lets go of it as well, after the grace.
    if (!forgets) await release({ at: this.#at, round: this.#round, belief: this.belief, name: this.#name });
    this.#stream.hangUp();
  }

  /** From now on this stream is what keeps it. */
  #follow(stream: Stream): void {
    const { life, ask } = this.#round;
    const first = stream.granted!;
    const fromMs = stream.startedMs + goodForMs(ask.ttlMs);
    this.#stream = stream;
    this.belief.extend(fromMs);
    stream.onTold = (told) => {
      if (stream !== this.#stream || this.#over) return;
      if (told.kind === 'renewed') {
        const addedMs = told.lease.expireTimeMs - first.expireTimeMs;
        this.belief.extend(fromMs + addedMs * OF_RENEWED);
        if (addedMs > ADDED_TTLS * ask.ttlMs) void this.#again(this.#at, true);
      } else if (told.kind === 'lost') this.#lose(told.loss);
      else if (told.kind === 'draining') void this.#again(this.#at + 1, true);
      else if (told.kind === 'refusal') void this.#again(this.#at + 1, told.refusal.reason === 'DRAINING');
    };
    stream.onBroken = () => {
      if (stream !== this.#stream || this.#over) return;
      this.belief.cut(life.ownMs + OF_GRACE * this.#round.graceMs);
      void this.#again(this.#at + 1, false);
    };
  }

  /** While it takes the lease over by another stream, this one hears just that. */
  #lose({ takenOver }: Loss): void {
    if (takenOver !== true || !this.#moving) this.belief.end('lost');
  }

  async #again(at: number, announced: boolean): Promise<void> {
    try {
      await this.#move(at, announced);
    } catch (cause) {
      this.#round.life.stage.timeline.fail(cause);
    }
  }

  /** Takes the lease over by another stream; the old one ends when that has it, or is over already. */
  async #move(at: number, announced: boolean): Promise<void> {
    if (this.#moving) return;
    this.#moving = true;
    const { life, replicas } = this.#round;
    const old = this.#stream;
    for (let tried = 0; tried < 2 * TRIES && !this.#over; tried += 1) {
      const to = (at + tried) % replicas;
      const stream = new Stream(this.#round, to, this.#name);
      const answer = await stream.answer;
      if (this.#over) {
        stream.hangUp();
        break;
      }
      if (answer.kind === 'granted') {
        this.#at = to;
        this.#follow(stream);
        old.hangUp();
        break;
      }
      stream.hangUp();
      if (answer.kind === 'refusal' && answer.refusal.reason === 'LEASE_LOST') {
        this.belief.end('lost');
        break;
      }
      if (!announced && !this.belief.valid) break;
      await life.sleep(life.chance.between([5, 60]));
    }
    this.#moving = false;
  }
}

type Answer =
  | { readonly kind: 'granted'; readonly lease: Lease }
  | { readonly kind: 'refusal'; readonly refusal: Refusal }
  | Busy
  | Broken;

/** The client's end of one Hold. */
class Stream {
  readonly answer: Promise<Answer>;
  readonly startedMs: number;
  onTold: (told: HoldTold) => void = () => {};
  onBroken: () => void = () => {};
  granted: Lease | undefined;
  queuedMs: number | undefined;
  readonly #life: Life;
  readonly #talk: Talk;
  #timer: Timer | undefined;
  #settle: (answer: Answer) => void = () => {};
  #answered = false;

  constructor(round: StreamRound, at: number, what: AcquireAsk | LeaseName, cancelMs?: number) {
    const { life, graceMs } = round;
    this.#life = life;
    this.startedMs = life.ownMs;
    this.answer = new Promise((resolve) => {
      this.#settle = resolve;
    });
    const told = (news: HoldTold): void => this.#hear(news);
    this.#talk = life.stream(
      at,
      (door, served) => door.hold(served, what, graceMs, told),
      () => this.#break(),
    );
    const waitMs = ('waitMs' in what ? what.waitMs : 0) + CALL_MS;
    const kind = cancelMs !== undefined && cancelMs < waitMs ? 'cancelled' : 'late';
    this.#timer = life.process.after(Math.min(waitMs, cancelMs ?? waitMs), () => {
      this.hangUp();
      this.#end({ kind });
    });
  }

  hangUp(): void {
    this.#life.hangUp(this.#talk);
  }

  #hear(told: HoldTold): void {
    if (told.kind === 'busy' || told.kind === 'lost' || told.kind === 'refusal') this.#talk.done();
    if (told.kind === 'queued') this.queuedMs ??= this.#life.nowMs;
    else if (told.kind === 'granted') {
      this.granted = told.lease;
      this.#end(told);
    } else if (!this.#answered && (told.kind === 'busy' || told.kind === 'refusal')) {
      this.#end(told);
    } else this.onTold(told);
  }

  #break(): void {
    if (this.#answered) this.onBroken();
    else this.#end({ kind: 'unavailable' });
  }

  #end(answer: Answer): void {
    if (this.#answered) return;
    this.#answered = true;
    this.#timer?.cancel();
    this.#settle(answer);
  }
}

/** Asks, at one replica after the other if it has a name for its request, until it has the lease. */
async function open(round: StreamRound): Promise<Keeper | undefined> {
  const { life, ask, habits, replicas } = round;
  const cancelMs = life.chance.happens(habits.cancels)
    ? life.chance.between([0, ask.waitMs + 20])
    : undefined;
  for (let tried = 0; tried < TRIES && !round.stopping(); tried += 1) {
    const asked = life.record(ask);
    const at = (round.at + tried) % replicas;
    const stream = new Stream(round, at, ask, tried === 0 ? cancelMs : undefined);
    const answer = await stream.answer;
    if (stream.queuedMs !== undefined) asked.queuedMs = stream.queuedMs;
    life.answered(
      asked,
      answer.kind === 'granted' ? answer.lease : answer.kind === 'refusal' ? answer.refusal : answer,
    );
    if (answer.kind === 'granted') {
      const keeper = new Keeper(round, stream, answer.lease, at);
      if (await keeper.begin()) return keeper;
      await keeper.end();
      return undefined;
    }
    stream.hangUp();
    if (answer.kind === 'busy' || answer.kind === 'cancelled') return undefined;
    if (answer.kind === 'refusal' && !['NO_QUORUM', 'DRAINING'].includes(answer.refusal.reason))
      return undefined;
    await life.sleep(life.chance.between([5, 200]));
  }
  return undefined;
}
