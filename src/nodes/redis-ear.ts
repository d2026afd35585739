/** The second connection to a Redis server: hears the wakes for this replica, what was ended by force, and the news while somebody watches. */
import { Redis } from 'ioredis';
import type { Clock, Timer } from '../std/clock.ts';
import type { ConnectionOptions } from './connection.ts';
import { forcedChannel, type Keys, newsChannel, wakeChannel } from './keys.ts';
import type { Ears } from './line.ts';
import { newsOf, wakeOf } from './wire.ts';

export interface EarOptions {
  readonly url: string;
  /** Of the connection that asks; what is particular to hearing is set here. */
  readonly connection: ConnectionOptions;
  readonly keys: Keys;
  readonly clock: Clock;
  readonly ears: Ears;
  onDefect(cause: unknown): void;
}

const KEEP_ALIVE_MS = 5000;

/** Whatever is told may be lost: whoever relies on them also looks. So nothing here is retried but the connection. */
export class RedisEar {
  readonly #redis: Redis;
  readonly #wakes: string;
  readonly #forced: string;
  readonly #news: string;
  readonly #clock: Clock;
  #following: Timer | undefined;
  /** The news come in now. */
  #hears = false;

  constructor({ url, connection, keys, clock, ears, onDefect }: EarOptions) {
    this.#wakes = wakeChannel(keys, ears.replica);
    this.#forced = forcedChannel(keys);
    this.#news = newsChannel(keys);
    this.#clock = clock;
    // A listener is silent for as long as nothing happens: no limit on that.
    const { socketTimeout: _, ...rest } = connection;
    const settings = { ...rest, connectionName: 'holdfast-ear', keepAlive: KEEP_ALIVE_MS };
    this.#redis = url.startsWith('unix://') ? new Redis(settings) : new Redis(url, settings);
    this.#redis.on('ready', () => this.#subscribe());
    this.#redis.on('close', () => {
      // Once for each time that it stops hearing: a dead server is tried again twice a second.
      if (this.#hears) ears.missed();
      this.#hears = false;
    });
    // The connection that asks tells what is wrong with the server.
    this.#redis.on('error', () => {});
    this.#redis.on('message', (channel: string, message: string) => {
      try {
        if (channel === this.#wakes) ears.wake(wakeOf(message));
        else if (channel === this.#forced) ears.forced(message);
        else ears.news(newsOf(message));
      } catch (cause) {
        onDefect(cause);
      }
    });
  }

  /** Hears the node's news from now on for `forMs`; a later call prolongs it. */
  follow(forMs: number): void {
    const first = this.#following === undefined;
    this.#following?.cancel();
    this.#following = this.#clock.after(forMs, () => {
      this.#following = undefined;
      this.#hears = false;
      this.#redis.unsubscribe(this.#news).catch(() => {});
    });
    if (first && this.#redis.status === 'ready') this.#subscribe();
  }

  close(): void {
    this.#following?.cancel();
    this.#following = undefined;
    this.#hears = false;
    this.#redis.disconnect();
  }

  #subscribe(): void {
    const always = [this.#wakes, this.#forced];
    this.#redis.subscribe(...always, ...(this.#following === undefined ? [] : [this.#news])).then(
      () => {
        this.#hears = this.#following !== undefined;
      },
      () => {},
    );
  }
}
