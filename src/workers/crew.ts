/** Keeps so many workers running: starts them, replaces whoever dies, gives up when starting is in vain, drains them all. */
import type { Probe } from '../domain/probe.ts';
import type { Clock, Timer } from '../std/clock.ts';

/** A process, as far as its life goes. */
export interface Hand {
  readonly pid: number | undefined;
  drain(): void;
  kill(): void;
}

/** What a process tells of its life; nothing after `ended`. */
export interface Life {
  up(): void;
  failed(why: string): void;
  ended(how: string): void;
}

export interface CrewOptions<H extends Hand> {
  readonly count: number;
  readonly clock: Clock;
  readonly notice: Probe['notice'];
  spawn(number: number, life: Life): H;
  joined(number: number, hand: H): void;
  left(number: number, hand: H): void;
}

/** Starts of one worker in a row that came to nothing, before the service gives up. */
const VAIN_STARTS_MAX = 5;
const START_MS = 30_000;
/** Whoever lived so long does not die of how it was started. */
const STEADY_MS = 10_000;
const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 10_000;
/** Beyond the limit of a drain, for the flush of logs and traces. */
const KILL_AFTER_MS = 5000;

interface Post<H> {
  readonly number: number;
  hand: H | undefined;
  state: 'away' | 'starting' | 'up';
  upSinceMs: number;
  /** Deaths in a row, each soon after the start. */
  deaths: number;
  vainStarts: number;
  why: string;
  timer: Timer | undefined;
}

export class Crew<H extends Hand> {
  readonly #options: CrewOptions<H>;
  readonly #posts: readonly Post<H>[];
  #complete = false;
  #ending = false;
  #orderly = true;
  #began: { resolve(): void; reject(error: Error): void } | undefined;
  #gone: (() => void) | undefined;
  #gaveUp: (why: string) => void = () => {};
  /** Resolves with the reason when a worker cannot be started any more. */
  readonly gaveUp: Promise<string>;
  restarts = 0;

  constructor(options: CrewOptions<H>) {
    this.#options = options;
    this.#posts = Array.from({ length: options.count }, (_, at) => ({
      number: at + 1,
      hand: undefined,
      state: 'away',
      upSinceMs: 0,
      deaths: 0,
      vainStarts: 0,
      why: '',
      timer: undefined,
    }));
    this.gaveUp = new Promise((resolve) => {
      this.#gaveUp = resolve;
    });
  }

  /** Resolves when all are up; rejects when the first start of one fails. */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#began = { resolve, reject };
      for (const post of this.#posts) this.#start(post);
    });
  }

  /** Those that serve. */
  up(): readonly (readonly [number, H])[] {
    return this.#posts.flatMap(({ number, state, hand }) =>
      state === 'up' && hand !== undefined ? [[number, hand] as const] : [],
    );
  }

  /** Ends them all; true if each did so by itself. */
  async drain(limitMs: number): Promise<boolean> {
    this.#ending = true;
    const gone = new Promise<void>((resolve) => {
      this.#gone = resolve;
    });
    for (const post of this.#posts) {
      post.timer?.cancel();
      // Whoever is still starting serves nobody.
      if (post.state === 'up') post.hand?.drain();
      else post.hand?.kill();
    }
    const late = this.#options.clock.after(limitMs + KILL_AFTER_MS, () => this.#killAll());
    this.#check();
    await gone;
    late.cancel();
    return this.#orderly;
  }

  #killAll(): void {
    for (const { number, hand } of this.#posts) {
      if (hand === undefined) continue;
      this.#options.notice('error', 'a worker does not end and is killed', { worker: number, pid: hand.pid });
      hand.kill();
    }
  }

  #start(post: Post<H>): void {
    const { clock, spawn } = this.#options;
    post.state = 'starting';
    post.why = '';
    post.hand = spawn(post.number, {
      up: () => this.#up(post),
      failed: (why) => {
        post.why = why;
      },
      ended: (how) => this.#ended(post, how),
    });
    post.timer = clock.after(START_MS, () => {
      post.why = `it did not start within ${START_MS / 1000} s`;
      post.hand?.kill();
    });
  }

  #up(post: Post<H>): void {
    post.timer?.cancel();
    if (this.#ending || post.hand === undefined) return;
    post.state = 'up';
    post.upSinceMs = this.#options.clock.monotonicMs();
    post.vainStarts = 0;
    this.#options.joined(post.number, post.hand);
    if (this.#complete || this.#posts.some(({ state }) => state !== 'up')) return;
    this.#complete = true;
    this.#began?.resolve();
  }

  #ended(post: Post<H>, how: string): void {
    const { hand, state } = post;
    post.timer?.cancel();
    post.hand = undefined;
    post.state = 'away';
    if (state === 'up' && hand !== undefined) this.#options.left(post.number, hand);
    if (this.#ending) {
      if (state === 'up' && how !== DRAINED) this.#orderly = false;
      this.#check();
      return;
    }
    const why = post.why === '' ? how : post.why;
    if (state === 'starting') post.vainStarts += 1;
    if (state === 'starting' && (!this.#complete || post.vainStarts >= VAIN_STARTS_MAX)) {
      this.#giveUp(`worker ${post.number}: ${why}`);
      return;
    }
    this.#replace(post, hand?.pid, why, state === 'up');
  }

  #giveUp(why: string): void {
    if (this.#complete) this.#gaveUp(why);
    else this.#began?.reject(new Error(why));
  }

  #replace(post: Post<H>, pid: number | undefined, why: string, wasUp: boolean): void {
    const { clock, notice } = this.#options;
    const steady = wasUp && clock.monotonicMs() - post.upSinceMs >= STEADY_MS;
    post.deaths = steady ? 1 : post.deaths + 1;
    const inMs = Math.min(FIRST_DELAY_MS * 2 ** (post.deaths - 1), LONGEST_DELAY_MS);
    this.restarts += 1;
    notice('error', 'a worker ended and is replaced', { worker: post.number, pid, why, inMs });
    post.timer = clock.after(inMs, () => this.#start(post));
  }

  #check(): void {
    if (this.#posts.every(({ hand }) => hand === undefined)) this.#gone?.();
  }
}

/** How the end of a worker reads that drained. */
export const DRAINED = 'exit code 0';
