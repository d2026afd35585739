/** The one door to time, chance and the names of this process, so that tests can move and choose them. */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Milliseconds that only ever grow; stands still in a suspended machine. */
  nowMs(): number;
  /** Runs `act` once after `delayMs`; keeps the process alive until then only if asked to. */
  after(delayMs: number, act: () => void, keepsAlive: boolean): Timer;
  /** At least 0, below 1. */
  fraction(): number;
  /** Nobody guesses it: a request id is a secret. */
  secret(): string;
}

/** Beyond this setTimeout fires at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  after(delayMs, act, keepsAlive) {
    const timer = setTimeout(act, Math.min(Math.max(0, delayMs), TIMER_MS_MAX));
    if (!keepsAlive) timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
  fraction: () => Math.random(),
  secret: () => randomUUID(),
};

/** Names this process among all: an owner is this and a number. */
export const processName = (): string => `${hostname()}/${process.pid}`;

/** So many milliseconds from now by the wall clock, as gRPC counts, whatever clock a test may use. */
export const deadlineIn = (delayMs: number): Date => new Date(Date.now() + delayMs);
