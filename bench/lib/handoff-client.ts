/** One process of clients that all want the same lock: each acquires, holds and releases for as long as it is told. */
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { serveParent } from './children.ts';
import { ownCpuMicros } from './cpu.ts';
import { openEtcd, openHoldfast, openHoldfastSession } from './handoff-grpc.ts';
import { openRedisSemaphore, openRedlock4Default, openRedlock4Tuned, openRedlock5 } from './handoff-peers.ts';
import { type Hold, nowMicros, type Window } from './handoff-stats.ts';
import type { Kind, Opener, Taken, Taker } from './handoff-taker.ts';

export interface Contend extends Window {
  readonly kind: Kind;
  readonly addresses: readonly string[];
  /** Another one for each slice: nothing that an earlier slice left behind matters. */
  readonly lock: string;
  readonly holdMs: number;
  /** From then on nobody asks any more, and what is granted only clears the line. */
  readonly stopMicros: number;
}

export interface Contended {
  readonly holds: readonly Hold[];
  readonly failures: number;
  /** How long those had waited who were never granted: left in line when the patience was over, or refused at last. */
  readonly unfinishedMs: readonly number[];
  /** Of this process, within the window. */
  readonly cpuMicros: number;
  /** One of the failures, for people. */
  readonly failure: string;
}

const openers: Readonly<Record<Kind, Opener>> = {
  holdfast: openHoldfast,
  'holdfast-session': openHoldfastSession,
  etcd: openEtcd,
  'redlock4-tuned': openRedlock4Tuned,
  'redlock4-default': openRedlock4Default,
  'redlock5-tuned': openRedlock5,
  'redis-semaphore': openRedisSemaphore,
};

/** After a failure, so that a subject that refuses at once is not asked without end. */
const BREATH_MS = 5;
/** For those still in line at the end. */
const PATIENCE_MS = 6_000;

/** A timer alone may be early by most of a millisecond. */
async function hold(ms: number, sinceMicros: number): Promise<void> {
  if (ms === 0) return;
  await sleep(ms);
  while (nowMicros() - sinceMicros < ms * 1000) await turn();
}

class Contest {
  readonly #question: Contend;
  readonly #holds: Hold[] = [];
  readonly #waiting = new Map<number, number>();
  #failures = 0;
  #failure = '';

  constructor(question: Contend) {
    this.#question = question;
  }

  async run(first: number, takers: readonly Taker[]): Promise<Contended> {
    const { fromMicros, untilMicros, stopMicros } = this.#question;
    const cpu = cpuWithin(fromMicros, untilMicros);
    const leftMs = (stopMicros - nowMicros()) / 1000 + PATIENCE_MS;
    const all = Promise.all(takers.map((take, index) => this.#loop(first + index, take)));
    await Promise.race([all, sleep(leftMs, undefined, { ref: false })]);
    const unfinishedMs = [...this.#waiting.values()].map((sinceMicros) => (nowMicros() - sinceMicros) / 1000);
    return {
      holds: this.#holds,
      failures: this.#failures,
      unfinishedMs,
      cpuMicros: await cpu,
      failure: this.#failure,
    };
  }

  async #loop(client: number, take: Taker): Promise<void> {
    const { stopMicros, lock, holdMs } = this.#question;
    let askedMicros = nowMicros();
    while (nowMicros() < stopMicros) {
      this.#waiting.set(client, askedMicros);
      const taken = await this.#tried(() => take(lock));
      if (taken === undefined) continue;
      this.#waiting.delete(client);
      await this.#held(
        { client, askedMicros, grantedMicros: nowMicros(), token: taken.token },
        taken,
        holdMs,
      );
      askedMicros = nowMicros();
    }
  }

  async #held(begun: Omit<Hold, 'releasedMicros'>, taken: Taken, holdMs: number): Promise<void> {
    if (begun.grantedMicros < this.#question.stopMicros) await hold(holdMs, begun.grantedMicros);
    this.#holds.push({ ...begun, releasedMicros: nowMicros() });
    await this.#tried(() => taken.release());
  }

  async #tried<T>(act: () => Promise<T>): Promise<T | undefined> {
    try {
      return await act();
    } catch (error) {
      this.#failures += 1;
      this.#failure = String(error).slice(0, 120);
      await sleep(BREATH_MS);
      return undefined;
    }
  }
}

const until = (micros: number): Promise<void> => sleep(Math.max(0, (micros - nowMicros()) / 1000));

async function cpuWithin(fromMicros: number, untilMicros: number): Promise<number> {
  await until(fromMicros);
  const before = ownCpuMicros();
  await until(untilMicros);
  return ownCpuMicros() - before;
}

/** Connections stay for the next slice of the same subject. */
const opened = new Map<string, Promise<readonly Taker[]>>();

function takersOf({ kind, addresses }: Contend, names: readonly string[]): Promise<readonly Taker[]> {
  const key = `${kind} ${addresses.join(' ')}`;
  const found = opened.get(key) ?? openers[kind](addresses, names);
  opened.set(key, found);
  return found;
}

const [first = 0, count = 0] = (process.argv[2] ?? '').split(' ').map(Number);
const names = Array.from({ length: count }, (_, index) => `client-${first + index}`);
serveParent<Contend, Contended>(
  { holds: [], failures: 0, unfinishedMs: [], cpuMicros: 0, failure: '' },
  async (question) => new Contest(question).run(first, await takersOf(question, names)),
);
