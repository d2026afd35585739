/** What an Acquire asks for, and who asks, where a test or a bench does not care. */
import type { LineSettings } from '../../src/locks/line.ts';
import type { AcquireAsk, Caller } from '../../src/locks/locks.ts';

/** The defaults of the settings. */
export const usualWaiting: LineSettings = {
  livenessMs: 6000,
  priorityStepMs: 5000,
  maxWaiters: 10_000,
  maxWaitersPerResource: 1000,
};

/** A caller of whom only `gone` matters; nobody tells it that it went. */
export function callerWho(gone: () => boolean, principal = ''): Caller {
  return { principal, gone, whenGone: () => () => {} };
}

export const stays: Caller = callerWho(() => false);

export function asking(changes: Partial<AcquireAsk> = {}): AcquireAsk {
  return {
    resources: ['r'],
    owner: 'w1',
    ttlMs: 10_000,
    waitMs: 0,
    mode: 'exclusive',
    any: 0,
    priority: 0,
    requestId: '',
    labels: {},
    ...changes,
  };
}

/** A caller who can go. */
export class Leaver implements Caller {
  readonly principal = '';
  readonly #acts = new Set<() => void>();
  #gone = false;

  gone(): boolean {
    return this.#gone;
  }

  whenGone(act: () => void): () => void {
    this.#acts.add(act);
    return () => this.#acts.delete(act);
  }

  go(): void {
    this.#gone = true;
    for (const act of this.#acts) act();
  }
}
