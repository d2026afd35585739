/** Knows when everything that the fake has said has arrived at its clients, so that a test need not wait for a time. */
import { type Clock, systemClock } from '../clock.ts';
import type { Holdfast } from '../holdfast.ts';
import type { ManualClock } from './clock.ts';
import { type Desk, ECHO } from './desk.ts';

/** A client that comes back may pause between its attempts: the clock goes on by so much at most for that. */
const COMING_BACK_MS = 100;
/** How often one looks whether it has come back. Nothing depends on it but how soon that is seen. */
const LOOK_MS = 5;

/** One client of the fake's own. */
interface Known {
  readonly number: number;
  readonly holdfast: Holdfast;
  /** How often it has sought a connection. */
  readonly sought: () => number;
}

export class Settling {
  readonly #desk: Desk;
  readonly #clock: ManualClock;
  readonly #clients = new Map<number, Known>();
  readonly #watchers = new Set<() => void>();
  #number = 0;
  #settledAt = 0;

  constructor(desk: Desk, clock: ManualClock) {
    this.#desk = desk;
    this.#clock = clock;
  }

  /** `make` gets the clock of the client. */
  add(make: (clock: Clock) => Holdfast): Holdfast {
    let sought = 0;
    const clock = this.#clock;
    const holdfast = make({
      nowMs: () => clock.nowMs(),
      after: (delayMs, act) => clock.after(delayMs, act),
      secret: () => clock.secret(),
      // Chance plays a part in nothing but the pause before a connection is sought: so that is seen here.
      fraction: () => {
        sought += 1;
        this.changed();
        return clock.fraction();
      },
    });
    this.#number += 1;
    this.#clients.set(this.#number, { number: this.#number, holdfast, sought: () => sought });
    return holdfast;
  }

  changed(): void {
    for (const look of [...this.#watchers]) look();
  }

  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!condition()) return;
        this.#watchers.delete(look);
        resolve();
      };
      this.#watchers.add(look);
      look();
    });
  }

  /**
   * Each client asks for something and hears of it on the stream on which it hears of its leases: what was told before
   * has arrived by then. What it asks because of that has arrived when the next round is over, and so on, until nothing
   * new was asked or told.
   */
  async settle(): Promise<void> {
    if (this.#desk.pulse === this.#settledAt) return;
    for (let quiet = 0, last = this.#desk.pulse; quiet < 2 && this.#reachable; ) {
      await Promise.race([this.#echoes(), this.until(() => !this.#reachable)]);
      quiet = this.#desk.pulse === last ? quiet + 1 : 0;
      last = this.#desk.pulse;
    }
    this.#settledAt = this.#desk.pulse;
  }

  /** What the clients do because of something that ends their streams, up to that they seek another one. */
  async noticed(end: () => void): Promise<void> {
    this.#settledAt = -1;
    await this.settle();
    const busy = new Set([...this.#desk.streams].filter((stream) => stream.busy).map(({ client }) => client));
    const before = [...this.#clients.values()]
      .filter(({ number }) => busy.has(number))
      .map(({ sought }) => ({ sought, times: sought() }));
    end();
    await this.until(() => before.every(({ sought, times }) => sought() > times));
  }

  /** As `settle`, for clients that have no stream now: their pauses between attempts go by on the clock. */
  async comeBack(): Promise<void> {
    const untilMs = this.#clock.nowMs() + COMING_BACK_MS;
    let back = false;
    const echoes = this.#echoes().then(() => {
      back = true;
    });
    while (!back) {
      await Promise.race([echoes, new Promise<void>((resolve) => systemClock.after(LOOK_MS, resolve, true))]);
      if (!back && this.#desk.streams.size === 0) this.#clock.step(untilMs - this.#clock.nowMs());
    }
    this.#settledAt = -1;
    await this.settle();
  }

  get #reachable(): boolean {
    const { streams, stalled, unreachable, drained } = this.#desk;
    return streams.size > 0 && !stalled && !unreachable && !drained;
  }

  async #echoes(): Promise<void> {
    await Promise.all([...this.#clients.values()].map((client) => this.#echo(client)));
  }

  async #echo({ number, holdfast }: Known): Promise<void> {
    try {
      await holdfast.acquire(`${ECHO}${number}`, { owner: ECHO });
    } catch (error) {
      // Busy is the answer; a client that its user has closed hears nothing any more.
      if ((error as { reason?: string }).reason === 'CLOSED') this.#clients.delete(number);
    }
  }
}
