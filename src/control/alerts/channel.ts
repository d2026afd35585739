/** Delivers to one receiver: one message at a time, each try bounded, again with growing pauses, and never in the way of others. */
import type { Clock, Timer } from '../../std/clock.ts';
import type { Random } from '../../std/random.ts';
import type { Alert, Kind, Status } from './alert.ts';
import { type Message, messageOf, type Send, type Tried } from './message.ts';
import { type Bundle, type Grouping, Outbox } from './outbox.ts';

export interface Delivery {
  /** One try takes no longer. */
  readonly timeoutMs: number;
  /** From the first try; then the message is dropped, and counted. */
  readonly giveUpMs: number;
}

export interface Route extends Delivery {
  readonly name: string;
  readonly send: Send;
  readonly wants: (kind: Kind, status: Status) => boolean;
  readonly grouping: Grouping;
  readonly source: string;
  readonly runbooks: string;
}

/** What a channel tells of its work; nothing of it can hold the channel up. */
export interface ChannelEar {
  outcome(channel: string, outcome: 'delivered' | 'retried' | 'failed'): void;
  pending(channel: string, count: number): void;
  failed(channel: string, message: Message, tries: number, why: string): void;
}

/** Pauses between tries: at random up to twice as long each time, so that receivers that recover are not run over. */
const BACKOFF_MS = 500;
const BACKOFF_MS_MAX = 60_000;
/** So many failures in a row open the circuit: from then on one try in this time, whatever the message. */
const CIRCUIT_FAILURES = 5;
const CIRCUIT_MS = 30_000;
/** However long a receiver wants to be left alone. */
const RETRY_AFTER_MS_MAX = 3_600_000;

export class Channel {
  #route: Route;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #ear: ChannelEar;
  readonly #outbox: Outbox;
  /** Ends what is under way. */
  readonly #closing = new AbortController();
  #underWay: readonly Bundle[] = [];
  #working = false;
  #hurry = false;
  #failures = 0;
  #notBeforeMs = Number.NEGATIVE_INFINITY;
  #timer: Timer | undefined;
  #wake: (() => void) | undefined;
  #idle: (() => void)[] = [];

  constructor(route: Route, clock: Clock, random: Random, ear: ChannelEar) {
    this.#route = route;
    this.#clock = clock;
    this.#random = random;
    this.#ear = ear;
    this.#outbox = new Outbox(route.grouping);
    this.#count();
  }

  get name(): string {
    return this.#route.name;
  }

  add(status: Status, alert: Alert): void {
    if (this.#closing.signal.aborted || !this.#route.wants(alert.kind, status)) return;
    this.#outbox.add(status, alert, this.#clock.monotonicMs());
    this.#count();
    this.#begin();
  }

  /** What waits goes the new way, at once. */
  reroute(route: Route): void {
    this.#route = route;
    this.#outbox.grouping = route.grouping;
    this.#failures = 0;
    this.#notBeforeMs = Number.NEGATIVE_INFINITY;
    this.#wake?.();
  }

  /** What waits is dropped, a try under way ended. */
  remove(): void {
    this.#closing.abort();
    this.#timer?.cancel();
    this.#wake?.();
    this.#count();
  }

  /** One last try for all that waits; settles when that is done. */
  async drain(): Promise<void> {
    this.#hurry = true;
    this.#wake?.();
    this.#begin();
    if (this.#working) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #count(): void {
    const underWay = this.#underWay.reduce((sum, { count }) => sum + count, 0);
    this.#ear.pending(this.name, this.#closing.signal.aborted ? 0 : this.#outbox.size + underWay);
  }

  #begin(): void {
    if (this.#working || this.#closing.signal.aborted) return;
    const { dueMs } = this.#outbox;
    if (dueMs === undefined) return;
    this.#timer?.cancel();
    const nowMs = this.#clock.monotonicMs();
    if (this.#hurry || dueMs <= nowMs) void this.#work();
    else this.#timer = this.#clock.after(dueMs - nowMs, () => this.#begin());
  }

  async #work(): Promise<void> {
    this.#working = true;
    for (;;) {
      this.#underWay = this.#outbox.take(this.#clock.monotonicMs(), this.#hurry);
      if (this.#underWay.length === 0) break;
      while (this.#underWay.length > 0 && !this.#closing.signal.aborted) {
        await this.#deliver(this.#underWay[0] as Bundle);
        this.#underWay = this.#underWay.slice(1);
        this.#count();
      }
    }
    this.#working = false;
    for (const told of this.#idle.splice(0)) told();
    this.#begin();
  }

  async #deliver(bundle: Bundle): Promise<void> {
    const { source, runbooks } = this.#route;
    const beganMs = this.#clock.monotonicMs();
    const id = `msg_${this.#random.bytes(18).toString('base64url')}`;
    const message = messageOf(bundle, { id, timeMs: this.#clock.wallMicros() / 1000, source, runbooks });
    for (let tries = 1; ; tries++) {
      await this.#pause();
      if (this.#closing.signal.aborted) return;
      const tried = await this.#try(message);
      if (this.#closing.signal.aborted) return;
      if (tried.kind === 'delivered') {
        this.#failures = 0;
        this.#ear.outcome(this.name, 'delivered');
        return;
      }
      this.#putOff(tried);
      const over = this.#clock.monotonicMs() - beganMs >= this.#route.giveUpMs;
      if (tried.kind === 'never' || over || this.#hurry) {
        this.#ear.outcome(this.name, 'failed');
        this.#ear.failed(this.name, message, tries, tried.why);
        return;
      }
      this.#ear.outcome(this.name, 'retried');
    }
  }

  /** Until the receiver may be asked again. */
  async #pause(): Promise<void> {
    const waitMs = this.#notBeforeMs - this.#clock.monotonicMs();
    if (waitMs <= 0 || this.#hurry) return;
    await new Promise<void>((resolve) => {
      const timer = this.#clock.after(waitMs, resolve);
      this.#wake = () => {
        timer.cancel();
        resolve();
      };
    });
    this.#wake = undefined;
  }

  #putOff(tried: Exclude<Tried, { kind: 'delivered' }>): void {
    this.#failures += 1;
    const most = Math.min(BACKOFF_MS_MAX, BACKOFF_MS * 2 ** (this.#failures - 1));
    const asked = tried.kind === 'again' ? (tried.afterMs ?? 0) : 0;
    // Whether the next message would fare better is not worth asking of each one.
    const open = this.#failures >= CIRCUIT_FAILURES ? CIRCUIT_MS : 0;
    // A refusal is about that message alone, until there are many.
    const backoff = tried.kind === 'again' ? this.#random.fraction() * most : 0;
    const waitMs = Math.max(backoff, open, Math.min(asked, RETRY_AFTER_MS_MAX));
    this.#notBeforeMs = this.#clock.monotonicMs() + waitMs;
  }

  /** Its own bound holds also where a sender does not heed the signal. */
  async #try(message: Message): Promise<Tried> {
    const end = new AbortController();
    const ended = new Promise<Tried>((resolve) => {
      end.signal.addEventListener('abort', () => resolve({ kind: 'again', why: 'no answer in time' }));
    });
    const stop = (): void => end.abort();
    this.#closing.signal.addEventListener('abort', stop);
    const timer = this.#clock.after(this.#route.timeoutMs, stop);
    try {
      return await Promise.race([this.#route.send(message, end.signal), ended]);
    } catch (error) {
      return { kind: 'again', why: error instanceof Error ? error.name : 'failed' };
    } finally {
      timer.cancel();
      this.#closing.signal.removeEventListener('abort', stop);
    }
  }
}
